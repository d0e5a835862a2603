"""Postprocessing of a prediction: the network's output becomes instances with full-size masks."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as rle_codec
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import batched_nms, box_convert

from rise_engine.method.extensions.edge_refinement import follow_edges
from rise_engine.model.segmenter import SegmenterOutput
from rise_engine.project.records import PredictedInstance

NMS_IOU = 0.7
"""What ``LoadedModel.nms_iou`` is for a network by itself."""
EDGES_FROM_SCORE = 0.2
"""Masks of a lower score, half of a frame's and seldom looked at, are not worth the time of moving to edges."""


@torch.no_grad()
def predictions_from_output(
    output: SegmenterOutput,
    image_index: int,
    *,
    network_size: tuple[int, int],
    original_size: tuple[int, int],
    min_score: float,
    top: int = 100,
    nms_iou: float = NMS_IOU,
    picture: Tensor | None = None,
    edge_reach: float = 0.0,
) -> list[PredictedInstance]:
    """The instances of one image of a batch, best first (IDOL's inference on still images).

    Sigmoid scores, box NMS within each class, the best ``top`` of all pairs of query and class with a score of at
    least ``min_score``; the mask logits of these alone are computed, resized bilinearly to ``original_size`` (H, W)
    and cut at 0. ``network_size`` (h, w) is the frame's size on the canvas, without padding. Empty masks are left out.
    With ``edge_reach``, a share of the shorter side, masks of some score move towards edges of the ``picture``
    (3, *network_size), 0..1, before they are resized.
    """
    scores = output.class_logits[image_index].float().sigmoid()
    queries, labels = torch.nonzero(scores >= min_score, as_tuple=True)
    scores = scores[queries, labels]
    boxes = box_convert(output.boxes[image_index].float(), "cxcywh", "xyxy")
    kept = batched_nms(boxes[queries], scores, labels, nms_iou)[:top]
    if not len(kept):
        return []
    distinct, rows = torch.unique(queries[kept], return_inverse=True)
    logits = output.masks(image_index, distinct).float()
    reach = round(edge_reach * min(network_size))
    fitted: dict[int, Tensor] = {}
    if picture is not None and reach:
        worthy = torch.unique(rows[scores[kept] >= EDGES_FROM_SCORE])
        fitted = {row: _fitted(logits[row], picture, reach) for row in worthy.tolist()}
    logits = logits.cpu()
    found: list[PredictedInstance] = []
    masks: dict[int, tuple[dict[str, Any], tuple[float, float, float, float]] | None] = {}
    for row, label, score in zip(rows.tolist(), labels[kept].tolist(), scores[kept].tolist(), strict=True):
        if row not in masks:
            cells, stride = (fitted[row], 1) if row in fitted else (logits[row], 4)
            masks[row] = full_size_mask(cells.cpu().numpy(), network_size, original_size, stride=stride)
        mask = masks[row]
        if mask is not None:
            found.append(PredictedInstance(rle=mask[0], box=mask[1], label=label, score=score))
    return found


def _fitted(logits: Tensor, picture: Tensor, reach: int) -> Tensor:
    """How far above one half the probabilities (h, w) of one mask are whose border was moved to edges of ``picture``
    (3, h, w), from its logits (h/4, w/4). Only the surroundings of the object are looked at.
    """
    height, width = picture.shape[1:]
    inside = interpolate(logits[None, None], scale_factor=4, mode="bilinear", align_corners=False)[0, 0]
    inside = inside[:height, :width].sigmoid()
    rows, columns = (torch.nonzero((inside > 0.5).any(axis))[:, 0].tolist() for axis in (1, 0))
    if rows:
        # As far as the filter looks: pixels that are farther from the object do not change.
        margin = 4 * reach
        y, x = (slice(max(0, seen[0] - margin), seen[-1] + margin + 1) for seen in (rows, columns))
        inside[y, x] = follow_edges(inside[None, y, x], picture[:, y, x], reach=reach)[0]
    return inside - 0.5


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
