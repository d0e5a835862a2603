"""Split an instance: into its connected parts, or along a line that a person draws."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import line

Mask = NDArray[np.bool_]

SMALLEST = 12
"""Minimum area in pixels; smaller parts stay with the largest part."""


def connected_parts(mask: Mask) -> list[Mask]:
    """The parts of ``mask`` bool (H, W) that do not touch, the largest first; tiny parts stay with the largest."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), bool))
    return _parts(labels, count)


def cut(mask: Mask, path: Sequence[tuple[float, float]]) -> list[Mask]:
    """``mask`` bool (H, W) cut along a line through points (row, column), the largest part first.

    Pixels of the line belong to the nearest part, so no pixel is lost. One part when the line does not cross the whole
    mask.
    """
    before = ndimage.label(mask)[1]
    blade = mask & along(path, mask.shape)
    labels, count = ndimage.label(mask & ~blade)
    if count <= before or count == 0:
        return [mask.copy()]
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    filled = np.where(mask, labels[tuple(nearest)], 0)
    return _parts(filled, count)


def along(path: Sequence[tuple[float, float]], size: tuple[int, ...]) -> Mask:
    """The pixels of a line through points (row, column), on a frame of ``size``; points may be outside."""
    drawn = np.zeros(size[:2], np.bool_)
    corners = [(floor(row), floor(column)) for row, column in path]
    for (row, column), (next_row, next_column) in zip(corners, [*corners[1:], corners[-1]], strict=True):
        rows, columns = line(row, column, next_row, next_column)
        inside = (rows >= 0) & (columns >= 0) & (rows < size[0]) & (columns < size[1])
        drawn[rows[inside], columns[inside]] = True
    return drawn


def _parts(labels: NDArray[np.int32], count: int) -> list[Mask]:
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-areas, kind="stable") + 1
    parts = [labels == label for label in order.tolist() if areas[label - 1] >= SMALLEST]
    if not parts:
        return [labels > 0]
    parts[0] = parts[0] | np.isin(labels, [label for label in order.tolist() if areas[label - 1] < SMALLEST])
    return parts
