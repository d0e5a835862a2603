"""From mask logits of a quarter of the network's resolution to run lengths on the original frame."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle_codec


def full_size_mask(
    logits: NDArray[np.float32], network_size: tuple[int, int], original_size: tuple[int, int], *, stride: int = 4
) -> tuple[dict[str, Any], tuple[float, float, float, float]] | None:
    """RLE and half-open xyxy box of ``logits`` (h/stride, w/stride) on the original frame; None for an empty mask.

    Only the region whose interpolation can reach a positive logit is resized, so that the cost follows the size of
    the object and not that of the frame.
    """
    used = tuple(-(-side // stride) for side in network_size)
    logits = logits[: used[0], : used[1]]
    rows, columns = np.flatnonzero((logits > 0).any(axis=1)), np.flatnonzero((logits > 0).any(axis=0))
    if not len(rows):
        return None
    spans = [side / stride for side in network_size]
    y, upper, lower, down = _samples(rows[0], rows[-1], logits.shape[0], spans[0], original_size[0])
    x, left, right, along = _samples(columns[0], columns[-1], logits.shape[1], spans[1], original_size[1])
    tall = logits[upper] * (1 - down[:, None]) + logits[lower] * down[:, None]
    mask = tall[:, left] * (1 - along) + tall[:, right] * along > 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    box = (float(x + columns[0]), float(y + rows[0]), float(x + columns[-1] + 1), float(y + rows[-1] + 1))
    return encode_region(mask, (x, y), original_size), box


def _samples(
    first: int, last: int, cells: int, span: float, length: int
) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Along one axis, where the original pixels fall that cells ``first`` to ``last`` of the logits can reach.

    The frame's ``length`` pixels lie on ``span`` of the ``cells``, which need not be whole. Returns the first such
    pixel and, for each pixel, the two cells between which it lies and its share of the second.
    """
    position = (np.arange(length) + 0.5) * (span / length) - 0.5
    start, stop = np.searchsorted(position, first - 1, side="right"), np.searchsorted(position, last + 1, side="left")
    if first == 0:
        start = np.int64(0)
    if last == cells - 1:
        stop = np.int64(length)
    position = np.clip(position[start:stop], 0, cells - 1)
    lower = np.floor(position).astype(np.int64)
    return int(start), lower, np.minimum(lower + 1, cells - 1), (position - lower).astype(np.float32)


def encode_region(mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> dict[str, Any]:
    """Compressed COCO RLE of ``mask`` (h, w) placed with its top left at ``corner`` (x, y) of an (H, W) frame.

    The runs are found inside the region alone, which for small objects is far cheaper than encoding the frame.
    """
    height, width = size
    edges = np.diff(np.pad(mask.T, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    columns, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    base = (columns + corner[0]) * height + corner[1]
    starts, stops = base + starts, base + stops
    apart = starts[1:] != stops[:-1]
    starts, stops = starts[np.r_[True, apart][: len(starts)]], stops[np.r_[apart, True][: len(stops)]]
    boundaries = np.concatenate([[0], np.stack([starts, stops], axis=1).ravel()])
    if boundaries[-1] < height * width or len(boundaries) == 1:
        boundaries = np.append(boundaries, height * width)
    counts = np.diff(boundaries).tolist()
    encoded = cast(dict[str, Any], rle_codec.frPyObjects({"size": [height, width], "counts": counts}, height, width))
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}
