"""Recognising an object in another view by its embedding (paper, Sec. 3.2, Eq. 3 and 4; IDOL)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rise_engine.config import LossConfig
from rise_engine.method.matching import (
    CANDIDATES,
    NEGATIVE_IOU,
    Costs,
    cheapest,
    dynamic_k,
    overlapping,
    resolve,
    simota_costs,
)
from rise_engine.method.targets import Targets

NEGATIVE_CANDIDATES = 100
"""Queries outside the dynamic k of this many candidates are negatives; those between the two are left out."""
SAME_OBJECT_SCORE = 0.5
"""Above it Eq. 3 takes the best match for the same object."""
AUXILIARY_NEGATIVES = 10
"""Random negatives a positive in the auxiliary term."""


def association_scores(first: Tensor, second: Tensor) -> Tensor:
    """f(i, j) of Eq. 3, (N, M): the mean of the softmax over either view of embeddings (N, E) and (M, E)."""
    with torch.autocast(first.device.type, enabled=False):
        product = first.float() @ second.float().T
        return (product.softmax(1) + product.softmax(0)) / 2


def identities_by_score(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows of embeddings (N, E) and (M, E) Eq. 3 takes for the same object, as two int64 index tensors.

    Each object of the first view goes to its best match of the second if their score is above 0.5.
    """
    if not len(first) or not len(second):
        none = torch.zeros(0, dtype=torch.int64, device=first.device)
        return none, none
    best, columns = association_scores(first, second).max(1)
    rows = torch.nonzero(best > SAME_OBJECT_SCORE)[:, 0]
    return rows, columns[rows]


def association_accuracy(first: Tensor, second: Tensor) -> float:
    """Share of objects recognised: row i of both (N, E) belongs to the same object, and Eq. 3 should find it.

    Objects of one view alone are not among the N, so it tells those apart that stayed, and is 1 for a single one. Not a
    number without any object.
    """
    if len(first) == 0:
        return float("nan")
    found = association_scores(first, second).argmax(1)
    return float((found == torch.arange(len(first), device=found.device)).float().mean())


@torch.no_grad()
def contrastive_queries(
    class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig
) -> tuple[list[Tensor], list[Tensor]]:
    """Positive and negative views of each of G targets: two lists of int64 indices into the Q queries of one image.

    Logits (Q, C) and boxes (Q, 4) are the last layer's. Positives are the queries that SimOTA gives the target,
    negatives those it would not even give with 100 candidates in place of 10 (IDOL). With ``config.matching`` at
    ``iou``: IoU of at least 0.7, or else the best one, against at most 0.3 (paper, App. B). With ``config.views`` at
    ``top_ten``: the ten cheapest queries, each with the cheapest of its targets, against all others.
    """
    if len(targets) == 0:
        return [], []
    cost, overlap = simota_costs(class_logits[None].float(), boxes[None].float(), targets, config)[:, 0].cpu().numpy()
    if config.matching == "iou":
        positive = resolve(overlapping(overlap), -overlap)
        negative = (overlap <= NEGATIVE_IOU) & np.logical_not(positive)
    elif config.views == "top_ten":
        positive = resolve(cheapest(cost, CANDIDATES), cost)
        negative = np.logical_not(positive)
    else:
        costs = Costs(cost, overlap)
        positive = resolve(dynamic_k(costs, CANDIDATES), cost)
        negative = np.logical_not(resolve(dynamic_k(costs, NEGATIVE_CANDIDATES), cost) | positive)
    return _indices(positive, boxes.device), _indices(negative, boxes.device)


def _indices(chosen: np.ndarray, device: torch.device) -> list[Tensor]:
    return [torch.from_numpy(np.flatnonzero(row)).to(device) for row in chosen]


def association_loss(
    anchors: Tensor,
    embeddings: Tensor,
    positives: Sequence[Tensor],
    negatives: Sequence[Tensor],
    *,
    auxiliary: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """L_embed, a scalar: the mean over N objects of ln(1 + sum over positives p and negatives n of exp(v n - v p)).

    With a single positive this is Eq. 4; several come from one-to-many matching (IDOL). ``anchors`` (N, E) are the
    objects' embeddings v in one view, ``embeddings`` (Q, E) all those of the other view, and ``positives`` and
    ``negatives`` index the latter for each object. An object without a positive or without a negative adds 0.

    ``auxiliary`` weighs IDOL's second term, the mean of (cosine - 1)^2 over positives and cosine^2 over ten random
    negatives a positive, drawn with ``generator`` (a CPU one).
    """
    with torch.autocast(anchors.device.type, enabled=False):
        anchors, embeddings = anchors.float(), embeddings.float()
        nothing = anchors.sum() * 0.0 + embeddings.sum() * 0.0
        if len(anchors) == 0:
            return nothing
        shape = (len(anchors), len(embeddings))
        positive = _chosen(positives, shape, embeddings.device)
        negative = _chosen(negatives, shape, embeddings.device)
        both = positive.any(1) & negative.any(1)
        product = (anchors @ embeddings.T)[both]
        pulled = (-product).masked_fill(~positive[both], -torch.inf).logsumexp(1)
        pushed = product.masked_fill(~negative[both], -torch.inf).logsumexp(1)
        loss = nothing + F.softplus(pulled + pushed).sum() / len(anchors)
        if auxiliary > 0:
            loss = loss + auxiliary * _cosine_term(anchors, embeddings, positives, negatives, generator)
        return loss


def generator_of(seed: int, frame: str) -> torch.Generator:
    """Random numbers for a frame of this name that do not depend on what else is drawn."""
    return torch.Generator().manual_seed((seed << 32 | zlib.crc32(frame.encode())) & (2**63 - 1))


def _chosen(indices: Sequence[Tensor], shape: tuple[int, int], device: torch.device) -> Tensor:
    chosen = torch.zeros(shape, dtype=torch.bool, device=device)
    rows = torch.arange(shape[0], device=device)
    counts = torch.tensor([len(row) for row in indices], device=device)
    chosen[rows.repeat_interleave(counts), torch.cat(list(indices)).to(device)] = True
    return chosen


def _cosine_term(
    anchors: Tensor,
    embeddings: Tensor,
    positives: Sequence[Tensor],
    negatives: Sequence[Tensor],
    generator: torch.Generator | None,
) -> Tensor:
    cosines = F.normalize(anchors, dim=1) @ F.normalize(embeddings, dim=1).T
    terms = []
    for row, positive, negative in zip(cosines, positives, negatives, strict=True):
        count = AUXILIARY_NEGATIVES * max(1, len(positive))
        drawn = negative[torch.randperm(len(negative), generator=generator)[:count].to(negative.device)]
        if len(positive) + len(drawn):
            terms.append(torch.cat(((row[positive] - 1) ** 2, row[drawn] ** 2)).mean())
    return torch.stack(terms).sum() / len(anchors) if terms else cosines.sum() * 0.0
