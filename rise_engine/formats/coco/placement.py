"""How the coordinates of a COCO file get to the upright frame: unchanged, turned or scaled (COCO format)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rise_engine.errors import RiseError
from rise_engine.formats.coco.polygons import Bounds
from rise_engine.project.frame import resized_mask
from rise_engine.project.image_file import ImageHeader
from rise_engine.project.segmentation import Segmentation, from_mask, to_json, to_mask
from rise_engine.project.upright import TOLERANCE, Size

_ASPECT_TOLERANCE = 0.01
"""Relative difference of the aspect ratios up to which annotations of another size can be scaled."""


class Fit(Enum):
    """How the annotations of an image are related to its upright frame."""

    UPRIGHT = "upright"
    UNDECIDED = "undecided"
    """They fit both the upright image and the one of the sensor, and are taken as upright."""
    SENSOR = "sensor"
    """Polygons of the image as the sensor has it, before EXIF orientation."""
    SCALABLE = "scalable"
    """Made on an image of another size with the same aspect ratio."""
    ANOTHER = "another"
    """Made on an image of another size and aspect ratio."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Of one annotation: the box around its polygons, or the (width, height) of its run lengths."""

    bounds: Bounds | None = None
    rle_size: Size | None = None


def fit_of(given: Size | None, header: ImageHeader, extents: Sequence[Extent]) -> Fit:
    """How annotations fit a photo; ``given`` is the size that the file has for the image, if it has one."""
    size = (header.width, header.height)
    sensor = size[::-1] if header.orientation >= 5 else size
    boxes = [extent.bounds for extent in extents if extent.bounds is not None]
    sizes = {extent.rle_size for extent in extents if extent.rle_size is not None and extent.rle_size != size}
    if boxes and given not in (None, size, size[::-1]):
        sizes.add(given)
    if sizes:
        return Fit.SCALABLE if all(one is not None and _same_aspect(one, size) for one in sizes) else Fit.ANOTHER
    if header.orientation != 1 and sensor == size:
        return Fit.UNDECIDED if extents else Fit.UPRIGHT
    if not boxes or given == size or (given is None and header.orientation == 1):
        return Fit.UPRIGHT
    upright, turned = _fit(boxes, size), _fit(boxes, size[::-1])
    if upright or not turned:
        return Fit.UNDECIDED if upright and turned else Fit.UPRIGHT
    return Fit.SENSOR if header.orientation >= 5 else Fit.ANOTHER


def turned(segmentation: Segmentation, header: ImageHeader) -> Segmentation:
    """Polygons of the sensor's image in the upright image, by the EXIF orientation."""
    if isinstance(segmentation, dict):
        return segmentation
    width, height = header.width, header.height
    corner: dict[int, Callable[[float, float], tuple[float, float]]] = {
        5: lambda x, y: (y, x),
        6: lambda x, y: (width - y, x),
        7: lambda x, y: (width - y, height - x),
        8: lambda x, y: (y, height - x),
    }
    move = corner[header.orientation]
    return [[side for x, y in zip(ring[::2], ring[1::2], strict=True) for side in move(x, y)] for ring in segmentation]


def scaled(segmentation: Segmentation, given: Size | None, header: ImageHeader) -> Segmentation:
    """The segmentation at the size of the upright image. Raises RiseError when run lengths are broken."""
    if isinstance(segmentation, dict):
        height, width = segmentation["size"]
        return from_mask(resized_mask(to_mask(segmentation, height, width), header.height, header.width))
    if given is None:
        return segmentation
    x, y = header.width / given[0], header.height / given[1]
    return [[side * (y if place % 2 else x) for place, side in enumerate(ring)] for ring in segmentation]


def placed(text: str, origin: str, given: Size | None, header: ImageHeader, fit: Fit) -> tuple[str, str]:
    """An annotation's segmentation and origin, both JSON, on the upright frame. Raises RiseError for a broken mask."""
    segmentation: Segmentation = json.loads(text)
    known: dict[str, Any] = json.loads(origin)
    try:
        if fit is Fit.SENSOR:
            moved = turned(segmentation, header)
        else:
            moved = scaled(segmentation, given, header)
            known.pop("area", None)
    except (TypeError, ValueError) as error:
        raise RiseError(
            f"The annotation {known.get('id')} has a segmentation that cannot be read ({error})."
        ) from error
    known.pop("bbox", None)
    return to_json(moved), json.dumps(known)


def with_size(entry: dict[str, Any], header: ImageHeader) -> dict[str, Any]:
    """The entry of ``images`` with the size of the upright photo."""
    return {**entry, "width": header.width, "height": header.height}


def _same_aspect(one: Size, other: Size) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= _ASPECT_TOLERANCE


def _fit(boxes: Sequence[Bounds], size: Size) -> bool:
    return all(
        min(x0, y0) >= -TOLERANCE and x1 <= size[0] + TOLERANCE and y1 <= size[1] + TOLERANCE
        for x0, y0, x1, y1 in boxes
    )
