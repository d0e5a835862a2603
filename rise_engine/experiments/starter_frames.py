"""Frames for the starter, rendered once into a folder: reading a frame costs a tenth of rendering it.

    python -m rise_engine.experiments.starter_frames FOLDER --simulated 6000 --drawn 3000

Each frame is a JPEG and a PNG of the same name. The PNG is an instance map: 0 is no object, n is the n-th object. A
call with the same arguments continues where the last one stopped, and several calls with other ``--first`` numbers may
fill one folder at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from rise_engine.atomic import atomic_path
from rise_engine.project.frame import LabelledFrame
from rise_engine.synthetic import ToteArtist
from rise_engine.synthetic.simulation import ToteSimulator

DRAWN = "drawn"
SIMULATED = "simulated"
SHORT_SIDES = (384, 512)
"""Between these is the short side of a rendered frame, in pixels."""
ASPECTS = (1.0, 1.5)
"""Between these is the long side over the short side."""
JPEG_QUALITY = 94

VIEWS_OF_A_SCENE = 2
"""Photos of each simulated scene from different poses, because letting things fall costs more than a photo."""

FrameMaker = Callable[[np.random.Generator, tuple[int, int]], list[LabelledFrame]]
"""Makes one or more frames of a size (height, width); the generator determines them."""


def image_path(folder: Path, kind: str, number: int) -> Path:
    """Where the image of a frame is."""
    return folder / f"{kind}_{number:06d}.jpg"


def write_frame(path: Path, frame: LabelledFrame) -> None:
    """Writes the image to ``path`` (.jpg) and then the instance map next to it (.png), each in one piece.

    The masks must be disjoint, because a pixel of the map belongs to one object.
    """
    labels = np.zeros(frame.image.shape[:2], np.uint16)
    for number, mask in enumerate(frame.masks, start=1):
        labels[mask] = number
    with atomic_path(path) as part:
        Image.fromarray(frame.image).save(part, "JPEG", quality=JPEG_QUALITY)
    with atomic_path(path.with_suffix(".png")) as part:
        Image.fromarray(labels).save(part, "PNG")


def read_frame(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The image uint8 (H, W, 3) at ``path`` and its instance map int32 (H, W)."""
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    with Image.open(path.with_suffix(".png")) as labels:
        return pixels, np.array(labels).astype(np.int32)


def frame_paths(folder: Path, kind: str) -> list[Path]:
    """The finished frames of a kind: those that have their instance map, in the order of their numbers."""
    return [path.with_suffix(".jpg") for path in sorted(folder.glob(f"{kind}_*.png"))]


@cache
def _artist() -> ToteArtist:
    return ToteArtist(seed=0)


@cache
def _simulator() -> ToteSimulator:
    return ToteSimulator(seed=0)


def draw(rng: np.random.Generator, size: tuple[int, int]) -> list[LabelledFrame]:
    """A drawn tote."""
    return [_artist().draw(rng, size=size)]


def simulate(rng: np.random.Generator, size: tuple[int, int]) -> list[LabelledFrame]:
    """Photos of a simulated tote."""
    return _simulator().simulate(rng, size=size, views=VIEWS_OF_A_SCENE)


def render(folder: Path, kind: str, make: FrameMaker, *, first: int, count: int, seed: int, together: int = 1) -> int:
    """Renders the frames ``first`` to ``first + count - 1`` that are missing; returns the number of new frames.

    ``together`` is the number of frames that ``make`` returns. A frame follows from ``seed`` and its number alone.
    Frames without an object are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for number in range(first, first + count, together):
        paths = [image_path(folder, kind, number + view) for view in range(together)]
        if any(path.with_suffix(".png").exists() for path in paths):
            continue
        rng = np.random.default_rng([seed, number])
        short = 16 * int(rng.integers(SHORT_SIDES[0] // 16, SHORT_SIDES[1] // 16 + 1))
        long = 16 * round(short * rng.uniform(*ASPECTS) / 16)
        for path, frame in zip(paths, make(rng, (short, long)), strict=True):
            if len(frame.masks):
                write_frame(path, frame)
                made += 1
    return made


def main(
    folder: Annotated[Path, typer.Argument(help="Where the frames are written.")],
    drawn: Annotated[int, typer.Option(help="Number of drawn frames.")] = 0,
    simulated: Annotated[int, typer.Option(help="Number of simulated frames; needs the extra `starter`.")] = 0,
    first: Annotated[int, typer.Option(help="Number of the first frame.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of all frames.")] = 0,
) -> None:
    """Render frames for the starter into a folder."""
    made = render(folder, DRAWN, draw, first=first, count=drawn, seed=seed)
    print(f"{made} drawn frames in {folder}.", flush=True)
    made = render(folder, SIMULATED, simulate, first=first, count=simulated, seed=seed, together=VIEWS_OF_A_SCENE)
    print(f"{made} simulated frames in {folder}.", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
