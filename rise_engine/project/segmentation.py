"""Mask codec: COCO polygons and run lengths (RLE) to boolean masks, patches and boxes, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from rise_engine.errors import RiseError

Polygons: TypeAlias = list[list[float]]
Segmentation: TypeAlias = Polygons | dict[str, Any]
"""Polygons ``[[x0, y0, x1, y1, ...], ...]`` in pixels, or ``{"size": [h, w], "counts": str | list[int]}``."""


def to_json(segmentation: Segmentation) -> str:
    """The segmentation as the database stores it."""
    return json.dumps(segmentation, separators=(",", ":"))


def to_rle(segmentation: Segmentation, height: int, width: int) -> dict[str, Any]:
    """The segmentation as pycocotools' compressed RLE (``counts`` as bytes); the union of polygons is rasterised.

    Raises RiseError when run lengths belong to another size or are broken.
    """
    if isinstance(segmentation, dict):
        return _checked_rle(segmentation, height, width)
    polygons = [_bounded(ring, height, width) for ring in segmentation if len(ring) >= 6]
    if not polygons:
        return _encode(np.zeros((height, width), dtype=bool))
    united: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return united


def to_mask(segmentation: Segmentation, height: int, width: int) -> NDArray[np.bool_]:
    """Bool (H, W). Raises RiseError when run lengths belong to another size or are broken."""
    rle = to_rle(segmentation, height, width)
    try:
        return np.asarray(coco_mask.decode(rle)).astype(bool)
    except ValueError as error:
        raise RiseError(
            f"A mask's run lengths are broken ({error}); export it again from the tool that made it."
        ) from error


def to_patch(segmentation: Segmentation, height: int, width: int) -> tuple[int, int, NDArray[np.bool_]]:
    """The mask cropped to its box: the row and column of its top left pixel, and bool (h, w); 0 x 0 when empty.

    The cost follows the size of the object, not of the frame. Raises RiseError as ``to_mask`` does.
    """
    rle = to_rle(segmentation, height, width)
    counts = rle["counts"]
    ends = np.cumsum(_runs_of(counts if isinstance(counts, bytes) else counts.encode("ascii")))
    starts, ends = ends[:-1:2], ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not starts.size:
        return 0, 0, np.zeros((0, 0), dtype=bool)
    first, last = int(starts[0]) // height, int(ends[-1] - 1) // height
    # Pixels are counted down the columns.
    columns = np.zeros((last - first + 1, height), dtype=bool)
    flat, offset = columns.reshape(-1), first * height
    for start, end in zip((starts - offset).tolist(), (ends - offset).tolist(), strict=True):
        flat[start:end] = True
    rows = np.flatnonzero(columns.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return top, first, np.ascontiguousarray(columns[:, top:bottom].T)


def from_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A bool (H, W) mask as compressed RLE with ``counts`` as str, ready for JSON."""
    return _as_text(_encode(mask))


def from_patch(patch: NDArray[np.bool_], *, row: int, column: int, height: int, width: int) -> dict[str, Any]:
    """Compressed RLE of a mask (height, width) that is False outside ``patch``, bool (h, w).

    The inverse of ``to_patch``. ``row`` and ``column`` are those of the patch's top left pixel. The patch covers rows
    ``row`` to ``row + h`` and columns ``column`` to ``column + w``, ends excluded, and must be inside the frame. The
    cost depends on the size of the patch, not on the size of the frame.
    """
    columns = np.zeros((height, patch.shape[1]), dtype=np.uint8, order="F")
    columns[row : row + patch.shape[0]] = patch
    return _as_text(_encode_columns(columns, column, width))


def _as_text(rle: dict[str, Any]) -> dict[str, Any]:
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def box_of(segmentation: Segmentation, height: int, width: int) -> tuple[float, float, float, float]:
    """The tight half-open xyxy box in pixels; zeros for an empty mask."""
    x, y, w, h = (float(v) for v in coco_mask.toBbox(to_rle(segmentation, height, width)))
    return x, y, x + w, y + h


def mask_of_another_size(size: object, height: int, width: int) -> str:
    """A sentence about run lengths of the given ``size`` on an image of another height and width."""
    return (
        f"A mask was made for an image of height and width {size}, but the image has [{height}, {width}]; "
        "use the images that the annotations were made on."
    )


def mask_region(mask: NDArray[Any]) -> tuple[slice, slice] | None:
    """The rows and the columns that the non-zero pixels of an (H, W) array span; None when there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def area_of(segmentation: Segmentation, height: int, width: int) -> int:
    """Number of pixels."""
    return int(coco_mask.area(to_rle(segmentation, height, width)))


def _bounded(ring: Sequence[float], height: int, width: int) -> list[float]:
    """The ring with distant corners clipped: the memory that pycocotools needs grows with their distance."""
    try:
        points = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        points = np.full((1, 2), np.nan)
    if not np.isfinite(points).all():
        raise RiseError("A polygon is not a list of x, y numbers; export it again from the tool that made it.")
    bounded: list[float] = points.clip((-width, -height), (2 * width, 2 * height)).ravel().tolist()
    return bounded


def _encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """pycocotools' encoding, computed from the columns between the first and the last pixel only."""
    width = mask.shape[1]
    columns = np.flatnonzero(mask.any(axis=0))
    if not columns.size or columns[-1] - columns[0] >= width // 2:
        whole: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        return whole
    first, end = int(columns[0]), int(columns[-1]) + 1
    return _encode_columns(np.asfortranarray(mask[:, first:end], dtype=np.uint8), first, width)


def _encode_columns(part: NDArray[np.uint8], first: int, width: int) -> dict[str, Any]:
    """RLE of a mask (H, width) that is zero outside the columns ``part``, uint8 (H, w) in Fortran order.

    ``first`` is the column in the mask of the part's first column.
    """
    height, end = part.shape[0], first + part.shape[1]
    runs = _runs_of(coco_mask.encode(part)["counts"]).tolist()
    runs[0] += first * height
    if len(runs) % 2:
        runs[-1] += (width - end) * height
    elif end < width:
        runs.append((width - end) * height)
    encoded: dict[str, Any] = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return encoded


def _checked_rle(rle: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    size, counts = rle.get("size"), rle.get("counts")
    if list(size or ()) != [height, width]:
        raise RiseError(mask_of_another_size(size, height, width))
    if isinstance(counts, list):
        runs = np.asarray(counts, dtype=np.int64)
    elif isinstance(counts, str | bytes):
        runs = _runs_of(counts if isinstance(counts, bytes) else counts.encode("ascii", "replace"))
    else:
        runs = np.full(1, -1, dtype=np.int64)
    # pycocotools trusts the lengths and would write past the end of its buffer.
    if runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != height * width:
        raise RiseError(
            f"A mask's run lengths do not add up to {height} x {width} pixels; "
            "export it again from the tool that made it."
        )
    if isinstance(counts, list):
        packed: dict[str, Any] = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        return packed
    return {"size": [height, width], "counts": counts}


def _runs_of(counts: bytes) -> NDArray[np.int64]:
    """Decode the compressed form: five bits per character, a sign, and differences to the run two before."""
    codes = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0 or (codes < 0).any() or (codes > 63).any() or codes[-1] & 32:
        return np.full(1, -1, dtype=np.int64)
    last = (codes & 32) == 0
    starts = np.concatenate(([0], np.flatnonzero(last)[:-1] + 1))
    place = np.arange(codes.size) - np.repeat(starts, np.diff(np.append(starts, codes.size)))
    if int(place.max()) > 8:
        return np.full(1, -1, dtype=np.int64)
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = (codes[last] & 16) != 0
    values = values - (negative.astype(np.int64) << (5 * (place[last] + 1)))
    runs: NDArray[np.int64] = values.astype(np.int64)
    if runs.size > 3:
        # From the fourth on, each length is stored as the difference to the one two places before.
        runs[1::2] = np.cumsum(values[1::2])
        runs[2::2] = np.cumsum(values[2::2])
    return runs
