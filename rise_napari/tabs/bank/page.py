"""One page of the instance bank's cut-outs as small pictures, read beside the window."""

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
"""How large in the window, and how many of the picture's pixels are one of the window's: fine screens show them all."""
PIXELS = SIDE * SHARPNESS
BACKGROUND = 40
CROSS = np.array((214, 69, 69), np.uint8)
MARGIN = 2 * SHARPNESS


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A cut-out ready to be shown: ``picture`` uint8 (PIXELS, PIXELS, 3), grey and crossed out when excluded."""

    picture: NDArray[np.uint8]
    entry: BankEntry


def read_page(path: Path, entries: Sequence[BankEntry]) -> list[Thumbnail]:
    """The cut-outs of ``entries``, which are in the order of their frames: each frame is decoded once.

    What cannot be read any more is left out.
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
                picture = _cut_out(image, masks.get(entry.instance), excluded=entry.excluded)
                if picture is not None:
                    found.append(Thumbnail(picture, entry))
    return found


def _cut_out(image: NDArray[np.uint8], segmentation: object, *, excluded: bool) -> NDArray[np.uint8] | None:
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
    if excluded:
        grey = tile.mean(axis=2, keepdims=True).astype(np.uint8)
        tile = np.repeat(grey // 2 + 20, 3, axis=2)
        for step in range(PIXELS):
            for column in (step, PIXELS - 1 - step):
                tile[step, max(0, column - SHARPNESS) : column + SHARPNESS + 1] = CROSS
    return tile


def pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    """A picture, uint8 (H, W, 3), as Qt shows it: a SHARPNESS-th as large in the window as it has pixels."""
    data = np.ascontiguousarray(picture)
    height, width = data.shape[:2]
    image = QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    shown = QPixmap.fromImage(image.copy())
    shown.setDevicePixelRatio(SHARPNESS)
    return shown
