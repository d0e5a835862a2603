"""Polygons as labelling tools write them: flat lists of numbers or lists of [x, y] pairs (COCO format)."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from rise_engine.project.segmentation import Polygons

Bounds = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


def as_polygons(segmentation: object) -> Polygons | None:
    """Polygons as ``[[x0, y0, x1, y1, ...], ...]``; rings of pairs are made flat. None when they are neither.

    A list of three or more pairs without a list around it is one ring.
    """
    if not isinstance(segmentation, list) or not all(isinstance(ring, list) for ring in segmentation):
        return None
    if len(segmentation) >= 3 and all(map(_is_pair, segmentation)):
        return [_flat(segmentation)]
    rings = [_flat(ring) if ring and all(map(_is_pair, ring)) else ring for ring in segmentation]
    flat = all(len(ring) % 2 == 0 and not any(isinstance(side, list) for side in ring) for ring in rings)
    return rings if flat else None


def bounds_of(polygons: Polygons) -> tuple[Bounds | None, bool]:
    """The box around the rings with three or more points, and whether they certainly cover pixels of that box.

    The box is None when there is no such ring. Raises ValueError or TypeError for rings that are not of numbers.
    """
    boxes, solid = [], False
    for ring in polygons:
        if len(ring) < 6:
            continue
        corners = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(corners).all():
            raise ValueError("a corner is not a number")
        low, high = corners.min(axis=0), corners.max(axis=0)
        x, y = (corners - low).T
        area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
        solid |= area > 2 * float((high - low).sum())
        boxes.append((*low.tolist(), *high.tolist()))
    if not boxes:
        return None, False
    columns = list(zip(*boxes, strict=True))
    return (min(columns[0]), min(columns[1]), max(columns[2]), max(columns[3])), solid


def _is_pair(point: object) -> bool:
    return isinstance(point, list) and len(point) == 2 and all(isinstance(one, int | float) for one in point)


def _flat(points: list[Any]) -> list[float]:
    return list(chain.from_iterable(points))
