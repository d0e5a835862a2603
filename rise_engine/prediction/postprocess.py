"""Postprocessing of a prediction: the network's output becomes instances with scores, boxes and full-size masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.ops import batched_nms, box_convert

from rise_engine.method.extensions.edge_refinement import follow_edges
from rise_engine.model.segmenter import SegmenterOutput
from rise_engine.project.records import PredictedInstance
from rise_engine.project.segmentation import from_patch

NMS_IOU = 0.7
"""IoU of the box NMS for a network without test-time augmentation."""
REFINED_SCORE = 0.2
"""Masks with a lower score are not moved to edges: they are half of all masks, and a person seldom inspects them."""

Box = tuple[float, float, float, float]
"""Half-open xyxy in pixels of the original frame."""


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
    image: Tensor | None = None,
    edge_reach: float = 0.0,
) -> list[PredictedInstance]:
    """The instances of one image of a batch, the highest score first (IDOL's inference on still images).

    Scores are sigmoids. Box NMS runs within each class. The ``top`` best pairs of query and class with a score of at
    least ``min_score`` are kept. Mask logits are computed for these only, resized bilinearly to ``original_size``
    (H, W) and cut at 0; empty masks are removed. ``network_size`` (h, w) is the size of the frame in the network's
    input, without padding. With ``edge_reach`` (a share of the shorter side), masks with a score of at least
    ``REFINED_SCORE`` are moved to edges of the ``image`` (3, *network_size) RGB 0..1 before they are resized.
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
    refined: dict[int, Tensor] = {}
    if image is not None and reach:
        refined_rows = torch.unique(rows[scores[kept] >= REFINED_SCORE])
        refined = {row: _refined_at_edges(logits[row], image, reach) for row in refined_rows.tolist()}
    logits = logits.cpu()
    found: list[PredictedInstance] = []
    masks: dict[int, tuple[dict[str, Any], Box] | None] = {}
    for row, label, score in zip(rows.tolist(), labels[kept].tolist(), scores[kept].tolist(), strict=True):
        if row not in masks:
            mask_logits, stride = (refined[row], 1) if row in refined else (logits[row], 4)
            masks[row] = full_size_mask(mask_logits.cpu().numpy(), network_size, original_size, stride=stride)
        mask = masks[row]
        if mask is not None:
            found.append(PredictedInstance(rle=mask[0], box=mask[1], label=label, score=score))
    return found


def _refined_at_edges(logits: Tensor, image: Tensor, reach: int) -> Tensor:
    """One mask as probability minus 0.5, (h, w), after its outline moved to edges of ``image`` (3, h, w).

    ``logits`` (h/4, w/4). Only the surroundings of the object are computed.
    """
    height, width = image.shape[1:]
    probability = interpolate(logits[None, None], scale_factor=4, mode="bilinear", align_corners=False)[0, 0]
    probability = probability[:height, :width].sigmoid()
    rows, columns = (torch.nonzero((probability > 0.5).any(axis))[:, 0].tolist() for axis in (1, 0))
    if rows:
        # The filter reaches this far; pixels farther from the object do not change.
        margin = 4 * reach
        y, x = (slice(max(0, used[0] - margin), used[-1] + margin + 1) for used in (rows, columns))
        probability[y, x] = follow_edges(probability[None, y, x], image[:, y, x], reach=reach)[0]
    return probability - 0.5


def full_size_mask(
    logits: NDArray[np.float32], network_size: tuple[int, int], original_size: tuple[int, int], *, stride: int = 4
) -> tuple[dict[str, Any], Box] | None:
    """RLE and half-open xyxy box of mask ``logits`` (h/stride, w/stride) on the original frame; None for an empty mask.

    Only the region that interpolation from positive logits can reach is resized, so the cost depends on the size of
    the object and not on the size of the frame.
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
    height, width = original_size
    return from_patch(mask, row=y, column=x, height=height, width=width), box


def _samples(
    first: int, last: int, cells: int, span: float, length: int
) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Linear interpolation along one axis, for the original pixels that cells ``first`` to ``last`` can reach.

    The ``length`` pixels of the frame cover ``span`` of the ``cells``; ``span`` need not be a whole number. Returns
    the first such pixel and, for each pixel, the two neighbouring cells and the weight of the second.
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
