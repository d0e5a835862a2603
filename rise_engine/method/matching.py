"""Matching of queries with targets: SimOTA (the paper's optimal transport, App. B), IoU or Hungarian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, box_iou, generalized_box_iou

from rise_engine.config import LossConfig
from rise_engine.method.targets import Targets

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

CANDIDATES = 10
"""The sum of this many largest IoUs of a target gives its number of queries (dynamic k of OTA)."""
GIOU_COST = 3.0
CENTRE_REACH = 2.5 / 32
"""Half the side of the square around a target's centre, as a share of the image (IDOL)."""
OFF_CENTRE_COST = 100.0
OUTSIDE_COST = 10_000.0
POSITIVE_IOU = 0.7
NEGATIVE_IOU = 0.3
HUNGARIAN_COSTS = {"classification": 2.0, "l1": 5.0, "giou": 2.0}
"""As in Deformable DETR."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Matched pairs of one image's Q queries and G targets.

    ``queries`` and ``targets`` int64 (M,), the pairs, no query twice; ``best`` int64 (G,), the best matched
    query of each target (for a target without any, because there are too few queries: its cheapest one); ``ignored``
    bool (Q,), queries that are neither positive nor negative.
    """

    queries: Tensor
    targets: Tensor
    best: Tensor
    ignored: Tensor

    def to(self, device: torch.device | str) -> Assignment:
        """The same assignment on another device."""
        return Assignment(
            queries=self.queries.to(device),
            targets=self.targets.to(device),
            best=self.best.to(device),
            ignored=self.ignored.to(device),
        )


@dataclass(frozen=True, slots=True)
class Costs:
    """``cost`` and ``iou`` of Q queries and G targets, each float32 (..., G, Q)."""

    cost: Floats
    iou: Floats


def assign(class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig) -> Assignment:
    """Matches one image's predictions, logits (Q, C) and boxes (Q, 4) cxcywh, by ``config.matching``."""
    return assign_layers(class_logits[None, None], boxes[None, None], [targets], config)[0][0].to(boxes.device)


def simota(class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig) -> Assignment:
    """SimOTA for one image, for any ``config.matching``; see ``assign_layers``."""
    return assign(class_logits, boxes, targets, config.model_copy(update={"matching": "simota"}))


def hungarian(class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig) -> Assignment:
    """The one-to-one matching of Deformable DETR for one image."""
    return assign(class_logits, boxes, targets, config.model_copy(update={"matching": "hungarian"}))


def iou(class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig) -> Assignment:
    """The baseline of the paper's Table 3 for one image: positive from IoU 0.7, negative up to 0.3, else ignored."""
    return assign(class_logits, boxes, targets, config.model_copy(update={"matching": "iou"}))


@torch.no_grad()
def assign_layers(
    class_logits: Tensor, boxes: Tensor, targets: Sequence[Targets | None], config: LossConfig
) -> list[list[Assignment]]:
    """Matches each of L layers and B images separately: logits (L, B, Q, C), boxes (L, B, Q, 4) -> [layer][image].

    SimOTA: a target takes as many of its cheapest queries as its ten largest IoUs add up to (at least one); a query
    wanted by several stays with the cheapest of them; targets left with none then take free queries. An image whose
    targets are None gets an empty assignment. Costs are computed on the device of the predictions and come to the CPU
    in one transfer, where the assignments stay.
    """
    layers, queries = class_logits.shape[0], class_logits.shape[2]
    counts = [0 if wanted is None else len(wanted) for wanted in targets]
    empty = np.zeros((layers, 0, queries), dtype=np.float32)
    costs = Costs(empty, empty)
    if sum(counts):
        pair_costs = hungarian_costs if config.matching == "hungarian" else simota_costs
        per_image = [
            pair_costs(class_logits[:, image].float(), boxes[:, image].float(), wanted, config)
            for image, wanted in enumerate(targets)
            if wanted is not None and len(wanted)
        ]
        cost, overlap = torch.cat(per_image, dim=2).cpu().numpy()
        costs = Costs(np.nan_to_num(cost, nan=2 * OUTSIDE_COST), np.nan_to_num(overlap))
    ends = np.cumsum(counts)
    return [
        [
            _assignment(Costs(costs.cost[layer, end - count : end], costs.iou[layer, end - count : end]), config)
            for count, end in zip(counts, ends, strict=True)
        ]
        for layer in range(layers)
    ]


def _assignment(costs: Costs, config: LossConfig) -> Assignment:
    ignored: Bools = np.zeros(costs.cost.shape[1], dtype=bool)
    if config.matching == "simota":
        cost = costs.cost
        matched = resolve(dynamic_k(costs, CANDIDATES), cost)
    elif config.matching == "iou":
        cost = -costs.iou
        matched = resolve(overlapping(costs.iou), cost)
        ignored = (costs.iou > NEGATIVE_IOU).any(0) & np.logical_not(matched.any(0))
    else:
        cost = costs.cost
        matched = np.zeros(cost.shape, dtype=bool)
        rows, columns = linear_sum_assignment(cost)
        matched[rows, columns] = True
    target_index, query_index = np.nonzero(matched)
    best = np.where(matched | ~matched.any(1, keepdims=True), cost, np.inf).argmin(1)
    return Assignment(
        queries=torch.from_numpy(query_index),
        targets=torch.from_numpy(target_index),
        best=torch.from_numpy(best),
        ignored=torch.from_numpy(ignored),
    )


def simota_costs(class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig) -> Tensor:
    """Cost and IoU float32 (2, L, G, Q) of logits (L, Q, C) and boxes (L, Q, 4), as IDOL defines the cost."""
    layers, queries = boxes.shape[:2]
    predicted, wanted = box_convert(boxes.flatten(0, 1), "cxcywh", "xyxy"), _corners(targets)
    centres = boxes[..., :2].flatten(0, 1)
    in_box = ((centres > wanted[:, None, :2]) & (centres < wanted[:, None, 2:])).all(-1)
    at_centre = ((centres - targets.boxes[:, None, :2]).abs() < CENTRE_REACH).all(-1)
    near_some = (in_box | at_centre).any(0)
    cost = (
        -GIOU_COST * generalized_box_iou(wanted, predicted)
        + OFF_CENTRE_COST * ~(in_box & at_centre)
        + OUTSIDE_COST * ~near_some
    )
    shape = (len(targets), layers, queries)
    cost = cost.view(shape).transpose(0, 1) + _classification_costs(class_logits, targets, config)
    return torch.stack((cost, box_iou(wanted, predicted).view(shape).transpose(0, 1)))


def hungarian_costs(class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig) -> Tensor:
    """Cost and IoU float32 (2, L, G, Q), the cost being Deformable DETR's sum of class, L1 and GIoU."""
    layers, queries = boxes.shape[:2]
    predicted, wanted = box_convert(boxes.flatten(0, 1), "cxcywh", "xyxy"), _corners(targets)
    geometry = HUNGARIAN_COSTS["l1"] * torch.cdist(targets.boxes, boxes.flatten(0, 1), p=1)
    geometry = geometry - HUNGARIAN_COSTS["giou"] * generalized_box_iou(wanted, predicted)
    shape = (len(targets), layers, queries)
    classification = HUNGARIAN_COSTS["classification"] * _classification_costs(class_logits, targets, config)
    cost = geometry.view(shape).transpose(0, 1) + classification
    return torch.stack((cost, box_iou(wanted, predicted).view(shape).transpose(0, 1)))


def _corners(targets: Targets) -> Tensor:
    return box_convert(targets.boxes, "cxcywh", "xyxy")


def _classification_costs(class_logits: Tensor, targets: Targets, config: LossConfig) -> Tensor:
    """(L, G, Q): the focal loss of calling a query the target's class, less that of calling it background."""
    logits = class_logits[..., targets.labels].transpose(1, 2)
    probability = logits.sigmoid()
    alpha, gamma = config.focal_alpha, config.focal_gamma
    positive = alpha * (1 - probability) ** gamma * -(probability + 1e-8).log()
    negative = (1 - alpha) * probability**gamma * -(1 - probability + 1e-8).log()
    return positive - negative


def dynamic_k(costs: Costs, candidates: int) -> Bools:
    """(G, Q): every target's k cheapest queries, k the whole part of the sum of its largest IoUs, at least 1."""
    if len(costs.cost) == 0:
        return np.zeros(costs.cost.shape, dtype=bool)
    largest = np.sort(costs.iou, axis=1)[:, ::-1][:, :candidates]
    return cheapest(costs.cost, np.maximum(largest.sum(1).astype(np.int64), 1)[:, None])


def cheapest(cost: Floats, count: int | NDArray[np.int64]) -> Bools:
    """(G, Q): the ``count`` cheapest queries of every target, one number or (G, 1); ties go to the lower index."""
    taken = np.zeros(cost.shape, dtype=bool)
    order = np.argsort(cost, axis=1, kind="stable")
    np.put_along_axis(taken, order, np.broadcast_to(np.arange(cost.shape[1]) < count, cost.shape), axis=1)
    return taken


def overlapping(overlap: Floats) -> Bools:
    """(G, Q): queries with IoU of at least 0.7, or else the best one."""
    taken: Bools = overlap >= POSITIVE_IOU
    without = np.logical_not(taken.any(1))
    taken[without, overlap[without].argmax(1)] = True
    return taken


def resolve(taken: Bools, cost: Floats) -> Bools:
    """Leaves every query to the cheapest of its targets and gives free ones to targets without a query.

    ``taken`` bool and ``cost`` float, both (G, Q). Free queries are those no target uses; when these run out, queries
    that a target can spare because it has several. With more targets than queries some targets stay without. Ties go
    to the lower index, so that equal input gives equal output.
    """
    matched = _cheapest_target_only(taken, cost)
    while True:
        without = ~matched.any(1)
        free = ~matched.any(0)
        if not without.any() or not free.any():
            break
        wanting = np.flatnonzero(without)
        choice = np.where(free, cost[wanting], np.inf).argmin(1)
        chosen = np.zeros_like(matched)
        chosen[wanting, choice] = True
        matched |= _cheapest_target_only(chosen, cost)
    return _share(matched, cost)


def _cheapest_target_only(taken: Bools, cost: Floats) -> Bools:
    if len(taken) == 0:
        return taken
    cheapest = np.where(taken, cost, np.inf).argmin(0)
    return taken & (np.arange(len(taken))[:, None] == cheapest)


def _share(matched: Bools, cost: Floats) -> Bools:
    """Reassigns queries of targets that have several to targets that have none."""
    for target in np.flatnonzero(~matched.any(1)):
        spare = matched[matched.sum(1) > 1].any(0)
        if not spare.any():
            break
        query = np.where(spare, cost[target], np.inf).argmin()
        matched[:, query] = False
        matched[target, query] = True
    return matched
