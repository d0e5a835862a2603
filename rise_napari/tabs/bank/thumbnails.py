"""Thumbnails of the instance bank's cut-outs, read page by page in a background thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from qtpy.QtGui import QImage, QPixmap

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import BankEntry
from rise_engine.project.segmentation import mask_region, to_mask

SIDE, SHARPNESS = 72, 2
"""The side of a thumbnail in Qt's pixels, and the image pixels per Qt pixel, which high-resolution screens show."""
PIXELS = SIDE * SHARPNESS
BACKGROUND = 40
CROSS = np.array((214, 69, 69), np.uint8)
MARGIN = 2 * SHARPNESS


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A cut-out: ``image`` is uint8 (PIXELS, PIXELS, 3), grey and crossed out if the cut-out is excluded."""

    image: NDArray[np.uint8]
    entry: BankEntry


def read_thumbnails(path: Path, entries: Sequence[BankEntry]) -> list[Thumbnail]:
    """The cut-outs of ``entries``, which must be grouped by frame: each frame is decoded once.

    Entries that can no longer be read are skipped.
    """
    found = []
    with Project.open(path, read_only=True) as project:
        for frame, group in groupby(entries, key=lambda entry: entry.frame):
            wanted = list(group)
            try:
                image = project.image(frame)
                masks = {one.id: one.segmentation for one in project.annotations.of_frame(frame)}
            except RiseError:
                continue
            for entry in wanted:
                tile = _cut_out(image, masks.get(entry.instance))
                if tile is not None:
                    found.append(Thumbnail(_crossed_out(tile) if entry.excluded else tile, entry))
    return found


def _cut_out(image: NDArray[np.uint8], segmentation: object) -> NDArray[np.uint8] | None:
    try:
        mask = to_mask(segmentation, *image.shape[:2])  # type: ignore[arg-type]
    except (RiseError, TypeError):
        return None
    box = mask_region(mask)
    if box is None:
        return None
    cut = np.where(mask[box][..., None], image[box], np.uint8(BACKGROUND))
    factor = min(SHARPNESS, (PIXELS - 2 * MARGIN) / max(cut.shape[:2]))
    size = tuple(max(1, round(side * factor)) for side in (cut.shape[1], cut.shape[0]))
    small = Image.fromarray(cut).resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)
    tile = np.full((PIXELS, PIXELS, 3), BACKGROUND, np.uint8)
    top, left = (PIXELS - small.height) // 2, (PIXELS - small.width) // 2
    tile[top : top + small.height, left : left + small.width] = np.asarray(small)
    return tile


def _crossed_out(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The tile in grey with both diagonals, uint8 (PIXELS, PIXELS, 3)."""
    grey = tile.mean(axis=2, keepdims=True).astype(np.uint8)
    crossed = np.repeat(grey // 2 + 20, 3, axis=2)
    for row in range(PIXELS):
        for column in (row, PIXELS - 1 - row):
            crossed[row, max(0, column - SHARPNESS) : column + SHARPNESS + 1] = CROSS
    return crossed


def pixmap(pixels: NDArray[np.uint8]) -> QPixmap:
    """An image, uint8 (H, W, 3), as a pixmap with SHARPNESS image pixels per Qt pixel."""
    data = np.ascontiguousarray(pixels)
    height, width = data.shape[:2]
    image = QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    shown = QPixmap.fromImage(image.copy())
    shown.setDevicePixelRatio(SHARPNESS)
    return shown
