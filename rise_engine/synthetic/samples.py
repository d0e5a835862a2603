"""Write a folder of synthetic totes as sample data."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.project.frame import LabelledFrame
from rise_engine.synthetic.artist import ToteArtist


@cache
def _shared_artist() -> ToteArtist:
    return ToteArtist()


def draw_tote(rng: np.random.Generator, *, size: tuple[int, int] = (256, 344), max_objects: int = 24) -> LabelledFrame:
    """One drawn tote of ``size`` (H, W) by the process's shared artist; its name is empty, its categories are all 0."""
    return _shared_artist().draw(rng, size=size, max_objects=max_objects)


def write_sample_folder(
    folder: Path, *, count: int = 24, seed: int = 0, size: tuple[int, int] = (480, 640)
) -> list[LabelledFrame]:
    """Write ``tote_000.jpg`` and so on into ``folder`` (made when missing) and return the frames with their masks.

    Raises ``RiseError`` when the folder cannot be written to.
    """
    frames = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            frame = replace(draw_tote(np.random.default_rng((seed, index)), size=size), name=f"tote_{index:03d}.jpg")
            Image.fromarray(frame.image).save(folder / frame.name, quality=92)
            frames.append(frame)
    except OSError as error:
        raise RiseError(
            f"Sample totes cannot be written to {folder}: {error}. Choose a folder you can write to."
        ) from error
    return frames
