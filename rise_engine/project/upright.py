"""The upright size of a frame, and whether stored annotations were made on an image of that size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rise_engine.project.records import Instance, Source
from rise_engine.project.segmentation import Polygons

Size = tuple[int, int]
"""(width, height) in pixels."""
TOLERANCE = 1.0
"""Pixels by which a corner may be outside the image: tools round, and some put corners on pixel centres."""


def usable_size(entry: Mapping[str, Any]) -> Size | None:
    """The (width, height) of an imported entry of ``images``; None where it has none that can be used.

    Missing, null, text and zero are not usable: the image file gives the size then.
    """
    width, height = _side(entry.get("width")), _side(entry.get("height"))
    return None if width is None or height is None else (width, height)


def _side(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**31:
        return None
    return int(value) if value == int(value) else None


def fits(polygons: Iterable[Polygons], size: Size) -> bool:
    """Whether all corners are inside an image of this size, with a tolerance of one pixel."""
    limits = np.asarray(size) + TOLERANCE
    for rings in polygons:
        for ring in rings:
            corners = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
            if (corners < -TOLERANCE).any() or (corners > limits).any():
                return False
    return True


def imported_polygons(instances: Iterable[Instance]) -> list[Polygons]:
    """The polygons that came from a file; run lengths name their size themselves, and drawn masks have the frame's."""
    return [
        instance.segmentation
        for instance in instances
        if instance.source is Source.IMPORTED and isinstance(instance.segmentation, list)
    ]


def size_conflict(made_for: Size | None, size: Size, polygons: list[Polygons]) -> str | None:
    """A sentence when polygons were made on an image of another size than ``size``, the frame's; None when they fit.

    ``made_for`` is the size that the imported file gives. It may have the sides as the sensor has them, before EXIF
    orientation, with polygons of the upright image (Label Studio). Polygons that leave the upright image, but fit the
    sensor's size, are of the sensor's image and do not fit.
    """
    if made_for is None or made_for == size or not polygons:
        return None
    if made_for == size[::-1] and (fits(polygons, size) or not fits(polygons, made_for)):
        return None
    return made_on_another_size(made_for, size)


def made_on_another_size(made_for: Size, size: Size) -> str:
    """The end of a sentence that begins with the frame's name."""
    return (
        f"its annotations were made on {made_for[0]} x {made_for[1]} pixels, but the image has {size[0]} x {size[1]}; "
        "use the images that the annotations were made on."
    )
