"""Appearance of a frame: colour and contrast of its thumbnail as a vector, without a network; stored in the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rise_engine.errors import RiseError
from rise_engine.project.image_file import read_image
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord

_GRID = 8
_CELL = 4
_LENGTH = _GRID * _GRID * 4


def appearances(project: Project, frames: Sequence[FrameRecord]) -> dict[int, NDArray[np.float32]]:
    """A vector (256,) for each frame: mean colour and contrast on a grid of 8 x 8. Unreadable files are left out."""
    stored = project.frames.feature_vectors()
    known = {frame: np.frombuffer(vector, dtype=np.float32) for frame, vector in stored.items()}
    found: dict[int, NDArray[np.float32]] = {}
    fresh: list[tuple[int, bytes]] = []
    for frame in frames:
        vector = known.get(frame.id)
        if vector is None or vector.size != _LENGTH:
            try:
                image = read_image(project.images / frame.name, short_side=_GRID * _CELL)
            except RiseError:
                continue
            vector = _appearance(image.pixels)
            fresh.append((frame.id, vector.tobytes()))
        found[frame.id] = vector
    if fresh and not project.read_only:
        project.frames.set_feature_vectors(fresh)
    return found


def clutter(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """An estimate of how full frames are, (N,), from their vectors (N, 256).

    It is the mean contrast, because objects have edges. On photos of one kind of tote, the order is close to the order
    by number of objects (docs/evidence.md).
    """
    cells: NDArray[np.float32] = vectors.reshape(-1, _GRID * _GRID, 4)
    return cells[:, :, 3].mean(axis=1)


def store_appearances(project: Project, images: Mapping[int, NDArray[np.uint8]]) -> None:
    """Stores the appearance of frames from their images, uint8 (H, W, 3), that were decoded for another reason."""
    project.frames.set_feature_vectors((frame, _appearance(pixels).tobytes()) for frame, pixels in images.items())


def _appearance(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = _GRID * _CELL
    small = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX), dtype=np.float32) / 255
    grey = small.mean(axis=2)
    contrast = np.abs(np.gradient(grey, axis=0)) + np.abs(np.gradient(grey, axis=1))
    channels = np.concatenate([small, contrast[:, :, None]], axis=2)
    cells = channels.reshape(_GRID, _CELL, _GRID, _CELL, 4).mean(axis=(1, 3))
    return np.ascontiguousarray(cells.reshape(-1), dtype=np.float32)
