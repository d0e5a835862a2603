"""Pseudo-labels from a teacher's predictions: Eq. 6 (cascade), 7 (mask threshold), 8 and Multi-Label Matching.

Paper, Sec. 3.3. The boxes of Eq. 8 (Mask-to-Box) are computed in ``targets.boxes_of_masks``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, box_convert, box_iou

from rise_engine.config import PseudoLabelConfig
from rise_engine.method.extensions.edge_refinement import follow_edges
from rise_engine.method.targets import Targets, boxes_bound_masks, boxes_of_masks
from rise_engine.method.thresholds import quantile_level, staircase
from rise_engine.model.segmenter import SegmenterOutput

Strategy = Literal["cascade", "quantile_first", "threshold", "quantile"]

MIN_AREA = 32
"""Pseudo-masks with fewer pixels are dropped."""
OVERLAPPING_IOU = 0.5
"""Two masks, or two boxes, with a larger IoU show the same object."""
KNOWN_IOU = 0.7
"""A pseudo-mask with a larger IoU to a known object shows that object."""


@dataclass(frozen=True, slots=True)
class Selection:
    """``kept`` int64 (K,), predictions in descending order of score; ``cut`` the lowest score kept, None without any.

    ``after_threshold`` and ``after_quantile`` count the predictions left after each filter, in the strategy's order. A
    filter that the strategy does not use leaves the count unchanged.
    """

    kept: Tensor
    after_threshold: int
    after_quantile: int
    cut: float | None


@dataclass(frozen=True, slots=True)
class CascadeCounts:
    """Statistics of the cascade on one image, for the curves: how many of ``predictions`` each filter left.

    ``after_matching`` counts the pseudo-labels, after Multi-Label Matching (or NMS) and the smallest area; ``scores``
    are theirs. ``cut`` is the lowest score that passed the filters. The others are the thresholds of the step.
    """

    scores: Sequence[float]
    predictions: int
    after_threshold: int
    after_quantile: int
    after_matching: int
    cut: float | None
    gamma_cls: float
    quantile_level: float
    gamma_mask: float


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """The K predictions of one image that serve as targets, in descending order of score.

    ``masks`` bool (K, H, W) on the padded canvas; ``boxes`` (K, 4) cxcywh, 0..1 of the unpadded image; ``labels``
    int64 (K,); ``scores`` (K,); ``queries`` int64 (K,), the teacher's queries that predicted them.
    """

    masks: Tensor
    boxes: Tensor
    labels: Tensor
    scores: Tensor
    queries: Tensor
    counts: CascadeCounts

    def __len__(self) -> int:
        return len(self.labels)


def select(scores: Tensor, *, gamma: float, level: float, strategy: Strategy) -> Selection:
    """Selects predictions by their class scores (N,) as pseudo-labels (Eq. 6).

    The threshold keeps scores above ``gamma``. The quantile keeps the top 1 - ``level`` of its input, rounded up and at
    least one. ``cascade`` applies the threshold first, then the quantile to the survivors; ``quantile_first`` applies
    them in the other order; ``threshold`` and ``quantile`` apply only one of them.
    """
    order = scores.argsort(descending=True, stable=True)
    total = len(order)
    passing = int((scores > gamma).sum())
    if strategy == "cascade":
        after_threshold, after_quantile = passing, _top(passing, level)
    elif strategy == "quantile_first":
        after_quantile = _top(total, level)
        after_threshold = min(passing, after_quantile)
    elif strategy == "threshold":
        after_threshold = after_quantile = passing
    else:
        after_threshold, after_quantile = total, _top(total, level)
    kept = order[: min(after_threshold, after_quantile)]
    cut = float(scores[kept[-1]]) if len(kept) else None
    return Selection(kept=kept, after_threshold=after_threshold, after_quantile=after_quantile, cut=cut)


def _top(count: int, level: float) -> int:
    # 0.005 * 200 is slightly more than 1 in floating point and must still be one.
    return max(1, math.ceil((1 - level) * count - 1e-9)) if count else 0


@torch.no_grad()
def make_pseudo_labels(
    output: SegmenterOutput,
    image_index: int,
    *,
    image_size: tuple[int, int],
    canvas: tuple[int, int],
    config: PseudoLabelConfig,
    step: int,
    steps: int,
    image: Tensor | None = None,
) -> PseudoLabels:
    """Pseudo-labels of one image of a teacher's output, at a step of the schedule.

    ``image_size`` is (height, width) without padding, ``canvas`` with it; ``image`` (3, *image_size) is the teacher's
    input, which ``config.edge_reach`` needs. Masks are computed only for predictions that pass Eq. 6. Then Eq. 7, Eq. 8
    and Multi-Label Matching (or box NMS) are applied; masks under 32 pixels are dropped.
    """
    gamma_cls = staircase(step, steps, config.threshold_start, config.threshold_peak, config.stairs)
    level = quantile_level(step, steps, config.quantile_start)
    mask_peak = config.mask_threshold if config.mask_threshold_peak is None else config.mask_threshold_peak
    gamma_mask = staircase(step, steps, config.mask_threshold, mask_peak, config.stairs)
    scores, labels = output.class_logits[image_index].float().sigmoid().max(1)
    selection = select(scores, gamma=gamma_cls, level=level, strategy=config.strategy)
    queries = selection.kept
    masks = torch.zeros((0, *canvas), dtype=torch.bool, device=scores.device)
    if len(queries):
        logits, size = output.masks(image_index, queries), {"image_size": image_size, "canvas": canvas}
        reach = round(config.edge_reach * min(image_size))
        masks = binary_masks(logits, threshold=gamma_mask, **size, image=image, edge_reach=reach)
    large = masks.flatten(1).sum(1) >= MIN_AREA
    queries, masks = queries[large], masks[large]
    boxes = (
        boxes_of_masks(masks, image_size=image_size)
        if config.mask_to_box
        else output.boxes[image_index, queries].float()
    )
    if config.multi_label_matching:
        kept = multi_label_matching(masks, labels[queries], most=config.max_overlapping)
    else:
        corners = box_convert(boxes, "cxcywh", "xyxy")
        kept = batched_nms(corners, scores[queries], labels[queries], config.nms_iou)
    kept_queries = queries[kept]
    return PseudoLabels(
        masks=masks[kept],
        boxes=boxes[kept],
        labels=labels[kept_queries],
        scores=scores[kept_queries],
        queries=kept_queries,
        counts=CascadeCounts(
            scores=scores[kept_queries].tolist(),
            predictions=len(scores),
            after_threshold=selection.after_threshold,
            after_quantile=selection.after_quantile,
            after_matching=len(kept),
            cut=selection.cut,
            gamma_cls=gamma_cls,
            quantile_level=level,
            gamma_mask=gamma_mask,
        ),
    )


def binary_masks(
    logits: Tensor,
    *,
    threshold: float,
    image_size: tuple[int, int],
    canvas: tuple[int, int],
    image: Tensor | None = None,
    edge_reach: int = 0,
) -> Tensor:
    """Eq. 7: bool (N, *canvas) where sigmoid(logits) > ``threshold``, from logits (N, H/4, W/4); False on padding.

    With ``edge_reach`` pixels and the ``image`` (3, *image_size) the borders first move towards its edges.
    """
    height, width = min(image_size[0], canvas[0]), min(image_size[1], canvas[1])
    enlarged = F.interpolate(logits[:, None].float(), scale_factor=4, mode="bilinear", align_corners=False)[:, 0]
    enlarged = enlarged[:, :height, :width]
    if image is not None and edge_reach:
        inside = follow_edges(enlarged.sigmoid(), image, reach=edge_reach) > threshold
    else:
        inside = enlarged > math.log(threshold / (1 - threshold))
    return F.pad(inside, (0, canvas[1] - inside.shape[2], 0, canvas[0] - inside.shape[1]))


def multi_label_matching(masks: Tensor, labels: Tensor, *, most: int) -> Tensor:
    """Indices of the predictions to keep, of masks bool (N, H, W) and labels (N,) in descending order of score.

    Overlapping predictions of the same class are kept instead of suppressed, but at most ``most`` of them: a prediction
    is dropped when that many kept ones of its class already overlap it with mask IoU above 0.5.
    """
    same = ((mask_iou(masks, masks) > OVERLAPPING_IOU) & (labels[:, None] == labels[None, :])).cpu()
    kept: list[int] = []
    for index in range(len(labels)):
        if int(same[index, kept].sum()) < most:
            kept.append(index)
    return torch.tensor(kept, dtype=torch.int64, device=labels.device)


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU (N, M) of masks bool (N, H, W) and (M, H, W); 0 where both are empty."""
    a, b = first.flatten(1).float(), second.flatten(1).float()
    shared = a @ b.T
    return shared / (a.sum(1)[:, None] + b.sum(1)[None, :] - shared).clamp(min=1)


def merge_with_known(pseudo: PseudoLabels, known: Targets, *, image_size: tuple[int, int]) -> Targets:
    """The known objects of an image unchanged, followed by the pseudo-labels of other objects.

    A pseudo-mask with IoU above 0.7 to a known object shows that object and is dropped. The others lose the pixels of
    known objects. They are dropped when fewer than 32 pixels or less than half of the mask are left: a rim around a
    known object is no object of its own. A box that bounds its mask bounds the remaining mask; a predicted one (without
    Mask-to-Box) is unchanged. The result may be empty: such an image must be left out of L_u, where it would teach that
    every object is background.
    """
    repeated = (mask_iou(pseudo.masks, known.masks) > KNOWN_IOU).any(1)
    masks = pseudo.masks & ~known.masks.any(0)
    area = masks.flatten(1).sum(1)
    added = ~repeated & (area >= MIN_AREA) & (2 * area >= pseudo.masks.flatten(1).sum(1))
    bounding = boxes_bound_masks(pseudo.boxes, pseudo.masks, image_size=image_size)[added]
    boxes = torch.where(bounding[:, None], boxes_of_masks(masks[added], image_size=image_size), pseudo.boxes[added])
    return Targets(
        labels=torch.cat((known.labels, pseudo.labels[added])),
        boxes=torch.cat((known.boxes, boxes)),
        masks=torch.cat((known.masks, masks[added])),
    )


@torch.no_grad()
def ignore_queries(
    boxes: Tensor,
    teacher: SegmenterOutput,
    image_index: int,
    pseudo: PseudoLabels,
    targets: Targets | None,
    config: PseudoLabelConfig,
    *,
    teacher_boxes: Tensor | None = None,
) -> Tensor | None:
    """The student's queries that are no negatives in L_u, bool (Q,), by their boxes (Q, 4); None for none.

    A prediction of the teacher with a score above ``config.ignore_unkept`` that is no pseudo-label may still be an
    object: queries on its box (IoU above 0.5) should not learn that it is background. A prediction on the box of one of
    the image's ``targets`` shows that object again, as most queries of one-to-many matching do, and exempts no query.
    ``teacher_boxes`` (Q, 4) are the teacher's boxes in the student's view, where that differs from the teacher's.
    """
    if config.ignore_unkept is None:
        return None
    unkept = teacher.class_logits[image_index].float().sigmoid().amax(1) > config.ignore_unkept
    unkept[pseudo.queries] = False
    predicted = teacher.boxes[image_index] if teacher_boxes is None else teacher_boxes
    uncertain = box_convert(predicted[unkept].float(), "cxcywh", "xyxy")
    if targets is not None:
        repeated = box_iou(uncertain, box_convert(targets.boxes.float(), "cxcywh", "xyxy")) > OVERLAPPING_IOU
        uncertain = uncertain[~repeated.any(1)]
    return (box_iou(box_convert(boxes.float(), "cxcywh", "xyxy"), uncertain) > OVERLAPPING_IOU).any(1)
