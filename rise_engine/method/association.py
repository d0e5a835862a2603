"""Association of the objects of two views by their embeddings (paper, Sec. 3.2, Eq. 3 and 4; IDOL)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rise_engine.config import LossConfig, RiseConfig
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
from rise_engine.model.segmenter import SegmenterOutput
from rise_engine.pseudo_sequences.views import View

NEGATIVE_CANDIDATES = 100
"""Queries outside the dynamic k of this many candidates are negatives. Queries between the two are ignored."""
SAME_OBJECT_SCORE = 0.5
"""Above it Eq. 3 takes the best match for the same object."""
AUXILIARY_NEGATIVES = 10
"""Random negatives per positive in the auxiliary term."""


@dataclass(frozen=True, slots=True)
class ViewPair:
    """N objects of a before view and M objects of an after view, of which P are the same.

    ``frame`` is the frame's name, which random numbers follow from. ``before`` (Q, E) are the embeddings of the before
    view's queries, ``before_queries`` int64 (N,) the best query of each object. ``after`` is the position of the after
    view in a batch, ``after_targets`` are its M objects and ``after_queries`` int64 (M,) their best queries.
    ``same_before`` and ``same_after``, both int64 (P,), index the N and the M objects that are the same.
    ``by_construction`` is False where Eq. 3 chose them, as in a recording.
    """

    frame: str
    before: Tensor
    before_queries: Tensor
    after: int
    after_targets: Targets
    after_queries: Tensor
    same_before: Tensor
    same_after: Tensor
    by_construction: bool = True


def uses_association(config: RiseConfig) -> bool:
    """Whether there is an L_embed: it needs a weight above 0 and two views."""
    return config.sequence.enabled and config.loss.association > 0


def common_objects(before: View, after: View) -> tuple[Tensor, Tensor]:
    """Rows of the objects that both views show, as two int64 index tensors of equal length."""
    same = before.ids[:, None] == after.ids[None, :]
    rows, columns = torch.nonzero(same, as_tuple=True)
    return rows, columns


def associate(
    output: SegmenterOutput, pairs: Sequence[ViewPair], config: LossConfig, *, frames: int, seed: int
) -> tuple[Tensor, float | None]:
    """L_embed of a batch, a scalar without its weight: the mean of ``association_loss`` over ``frames`` frames.

    Also the share of the pairs of the same object that Eq. 3 finds, None without pairs that are known by construction.
    With ``config.identities`` at ``predicted``, Eq. 3 replaces the known identities in the loss.
    """
    association = output.embeddings.sum() * 0
    accuracies = []
    for pair in pairs:
        rows, columns = pair.same_before, pair.same_after
        if not len(rows):
            continue
        logits, boxes, after = output.class_logits[pair.after], output.boxes[pair.after], output.embeddings[pair.after]
        first, second = pair.before[pair.before_queries], after[pair.after_queries].detach()
        if pair.by_construction:
            accuracies.append(association_accuracy(first[rows].detach(), second[columns]))
            if config.identities == "predicted":
                rows, columns = identities_by_score(first.detach(), second)
        positives, negatives = contrastive_queries(logits, boxes, pair.after_targets, config)
        loss = association_loss(
            first[rows],
            after,
            [positives[column] for column in columns.tolist()],
            [negatives[column] for column in columns.tolist()],
            auxiliary=config.association_auxiliary,
            generator=frame_generator(seed, pair.frame),
        )
        association = association + loss / frames
    return association, sum(accuracies) / len(accuracies) if accuracies else None


def association_scores(first: Tensor, second: Tensor) -> Tensor:
    """f(i, j) of Eq. 3, (N, M): the mean of the softmax over either view of embeddings (N, E) and (M, E)."""
    with torch.autocast(first.device.type, enabled=False):
        product = first.float() @ second.float().T
        return (product.softmax(1) + product.softmax(0)) / 2


def identities_by_score(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of embeddings (N, E) and (M, E) that Eq. 3 takes for the same object, as two int64 index tensors.

    Each object of the first view is assigned to its best match of the second if their score is above 0.5.
    """
    if not len(first) or not len(second):
        none = torch.zeros(0, dtype=torch.int64, device=first.device)
        return none, none
    best, columns = association_scores(first, second).max(1)
    rows = torch.nonzero(best > SAME_OBJECT_SCORE)[:, 0]
    return rows, columns[rows]


def association_accuracy(first: Tensor, second: Tensor) -> float:
    """The share of objects that Eq. 3 finds again: row i of both (N, E) belongs to the same object.

    Only objects that both views show are among the N, so that the share is 1 for a single one. NaN without any object.
    """
    if len(first) == 0:
        return float("nan")
    found = association_scores(first, second).argmax(1)
    return float((found == torch.arange(len(first), device=found.device)).float().mean())


@torch.no_grad()
def contrastive_queries(
    class_logits: Tensor, boxes: Tensor, targets: Targets, config: LossConfig
) -> tuple[list[Tensor], list[Tensor]]:
    """Positive and negative queries of each of G targets: two lists of int64 indices into the Q queries of one image.

    The paper calls them views. Logits (Q, C) and boxes (Q, 4) are the last layer's. Positives are the queries that
    SimOTA assigns to the target; negatives are those that it would not assign with 100 candidates either (IDOL).

    With ``config.matching`` at ``iou``, positives have an IoU of at least 0.7 (or the best one), negatives of at most
    0.3 (paper, App. B). With ``config.views`` at ``top_ten``, positives are the ten cheapest queries, each assigned to
    the cheapest of its targets, and negatives are all others.
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

    ``auxiliary`` is the weight of IDOL's second term, the mean of (cosine - 1)^2 over positives and cosine^2 over ten
    random negatives per positive; they are sampled with ``generator``, on the CPU.
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


def frame_generator(seed: int, frame: str) -> torch.Generator:
    """A generator for the frame of this name; its random numbers depend on nothing else."""
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
        sampled = negative[torch.randperm(len(negative), generator=generator)[:count].to(negative.device)]
        if len(positive) + len(sampled):
            terms.append(torch.cat(((row[positive] - 1) ** 2, row[sampled] ** 2)).mean())
    return torch.stack(terms).sum() / len(anchors) if terms else cosines.sum() * 0.0
