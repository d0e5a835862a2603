"""The supervised branch: both views of a labelled frame carry L_s, and L_embed ties them (paper, Eq. 1, 4 and 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.method.association import (
    association_accuracy,
    association_loss,
    contrastive_queries,
    generator_of,
    identities_by_score,
)
from rise_engine.method.batch import collate, known_targets
from rise_engine.method.losses import Criterion, LossTerms, sample_masks
from rise_engine.method.matching import Assignment
from rise_engine.method.targets import Targets
from rise_engine.model.segmenter import Segmenter, SegmenterOutput
from rise_engine.pseudo_sequences.views import PseudoSequence, View
from rise_engine.training.distributed import WHOLE, Share

SEGMENTED_IOU = 0.5


@dataclass(frozen=True, slots=True)
class SupervisedLosses:
    """``association`` is L_embed, unweighted; ``accuracy`` the share of pairs told apart, None without pairs;
    ``matched`` counts the queries that the last layer matched here; ``segmented`` lists, per sequence, the frame's own
    objects that the network covers (empty unless the bank asks)."""

    terms: LossTerms
    association: Tensor
    accuracy: float | None
    matched: int
    segmented: list[list[int]]


def common_objects(before: View, after: View) -> tuple[Tensor, Tensor]:
    """Rows of the objects that both views show, as two index tensors of equal length."""
    same = before.ids[:, None] == after.ids[None, :]
    rows, columns = torch.nonzero(same, as_tuple=True)
    return rows, columns


def associates(config: RiseConfig) -> bool:
    """Whether there is an L_embed: it has a weight, and two views to tie."""
    return config.sequence.enabled and config.loss.association > 0


def supervised_losses(
    model: Segmenter,
    sequences: Sequence[PseudoSequence],
    criterion: Criterion,
    config: RiseConfig,
    *,
    device: torch.device,
    seed: int,
    share: Share = WHOLE,
) -> SupervisedLosses:
    """Losses of labelled pseudo-sequences; views are batched as before, after, before, after, ...

    Without pseudo-sequences (``sequence.enabled`` off) the before views alone carry L_s. What is drawn for a sequence
    follows from ``seed`` and its frame. With a ``share`` the losses add up, over all who share the part, to those of
    one batch.
    """
    views_each = 2 if config.sequence.enabled else 1
    scenes = [scene for sequence in sequences for scene in (sequence.before, sequence.after)[:views_each]]
    batch = collate([scene.image for scene in scenes], device=device, share=share)
    targets = [known_targets(scene, batch.canvas, device=device) for scene in scenes]
    output = model(batch.images, batch.padding_mask)
    terms, assignments = criterion(output, targets, share=share)
    (frames,) = share.total([len(sequences)])

    association = output.embeddings.sum() * 0
    accuracies = []
    for index, sequence in enumerate(sequences):
        if not associates(config):
            break
        before, after = 2 * index, 2 * index + 1
        rows, columns = common_objects(sequence.before, sequence.after)
        if not len(rows):
            continue
        anchors = output.embeddings[before, assignments[before].best[rows].to(device)]
        partners = output.embeddings[after, assignments[after].best[columns].to(device)]
        accuracies.append(association_accuracy(anchors.detach(), partners.detach()))
        if config.loss.identities == "predicted":
            everyone = output.embeddings[before, assignments[before].best.to(device)]
            others = output.embeddings[after, assignments[after].best.to(device)]
            rows, columns = identities_by_score(everyone.detach(), others.detach())
            anchors = everyone[rows]
        positives, negatives = contrastive_queries(
            output.class_logits[after], output.boxes[after], targets[after], config.loss
        )
        association = (
            association
            + association_loss(
                anchors,
                output.embeddings[after],
                [positives[column] for column in columns.tolist()],
                [negatives[column] for column in columns.tolist()],
                auxiliary=config.loss.association_auxiliary,
                generator=generator_of(seed, sequence.name),
            )
            / frames
        )
    return SupervisedLosses(
        terms=terms,
        association=association,
        accuracy=sum(accuracies) / len(accuracies) if accuracies else None,
        matched=sum(len(assignment.queries) for assignment in assignments),
        segmented=[
            segmented_objects(output, first, assignments[first], targets[first], sequence.before)
            if config.sequence.bank_admit == "segmented"
            else []
            for first, sequence in zip(range(0, len(scenes), views_each), sequences, strict=True)
        ],
    )


@torch.no_grad()
def segmented_objects(
    output: SegmenterOutput, image: int, assignment: Assignment, targets: Targets, scene: View
) -> list[int]:
    """Positions in their frame of the objects that their best query covers with mask IoU >= 0.5 (paper, Sec. 3.1)."""
    if not len(targets):
        return []
    logits = output.masks(image, assignment.best.to(targets.masks.device))
    predicted = logits > 0
    wanted = sample_masks(targets.masks, size=(logits.shape[-2], logits.shape[-1])) > 0
    shared = (predicted & wanted).flatten(1).sum(1)
    covered = shared >= SEGMENTED_IOU * (predicted | wanted).flatten(1).sum(1).clamp(min=1)
    return scene.ids[covered.cpu() & ~scene.pasted].tolist()
