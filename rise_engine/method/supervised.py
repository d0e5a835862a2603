"""The supervised branch: L_s on both views of a labelled frame, and L_embed between them (paper, Eq. 1 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.method.association import ViewPair, associate, common_objects, uses_association
from rise_engine.method.batch import BatchTotals, collate, known_targets
from rise_engine.method.losses import Criterion, LossTerms, sample_masks
from rise_engine.method.matching import Assignment
from rise_engine.method.targets import Targets
from rise_engine.model.segmenter import Segmenter, SegmenterOutput
from rise_engine.pseudo_sequences.views import PseudoSequence, View

SEGMENTED_IOU = 0.5


@dataclass(frozen=True, slots=True)
class SupervisedLosses:
    """L_s and L_embed of labelled frames.

    ``association`` is L_embed without its weight; ``accuracy`` the share of objects that Eq. 3 finds again, None
    without pairs; ``matched`` the number of queries that the last layer matched; ``segmented`` lists for each sequence
    the objects of the frame that the network segments (empty unless the instance bank needs it).
    """

    terms: LossTerms
    association: Tensor
    accuracy: float | None
    matched: int
    segmented: list[list[int]]


def supervised_losses(
    model: Segmenter,
    sequences: Sequence[PseudoSequence],
    config: RiseConfig,
    *,
    device: torch.device,
    seed: int,
    totals: BatchTotals | None = None,
) -> SupervisedLosses:
    """Losses of labelled pseudo-sequences; views are batched as before, after, before, after, ...

    Without pseudo-sequences (``sequence.enabled`` off) the batch has the before views only. Random numbers for a
    sequence follow from ``seed`` and its frame. ``totals`` are those of the larger batch that this one is a part of.
    """
    totals = totals or BatchTotals.of(sequences)
    views_each = 2 if config.sequence.enabled else 1
    views = [view for sequence in sequences for view in (sequence.before, sequence.after)[:views_each]]
    batch = collate([view.image for view in views], device=device, room_for=totals.size)
    targets = [known_targets(view, batch.canvas, device=device) for view in views]
    output = model(batch.images, batch.padding_mask)
    terms, assignments = Criterion(config.loss)(output, targets, divisors=totals.divisors)
    pairs = view_pairs(output, sequences, targets, assignments) if uses_association(config) else []
    association, accuracy = associate(output, pairs, config.loss, frames=totals.frames, seed=seed)
    befores = range(0, len(views), views_each)
    return SupervisedLosses(
        terms=terms,
        association=association,
        accuracy=accuracy,
        matched=sum(len(assignment.queries) for assignment in assignments),
        segmented=[
            segmented_objects(output, before, assignments[before], targets[before], sequence.before)
            if config.sequence.bank_admit == "segmented"
            else []
            for before, sequence in zip(befores, sequences, strict=True)
        ],
    )


def view_pairs(
    output: SegmenterOutput,
    sequences: Sequence[PseudoSequence],
    targets: Sequence[Targets],
    assignments: Sequence[Assignment],
) -> list[ViewPair]:
    """The objects of both views of each sequence; every identity is known from the labels and the pasting."""
    pairs = []
    for before, sequence in zip(range(0, len(targets), 2), sequences, strict=True):
        after = before + 1
        same_before, same_after = common_objects(sequence.before, sequence.after)
        pairs.append(
            ViewPair(
                frame=sequence.name,
                before=output.embeddings[before],
                before_queries=assignments[before].best,
                after=after,
                after_targets=targets[after],
                after_queries=assignments[after].best,
                same_before=same_before,
                same_after=same_after,
            )
        )
    return pairs


@torch.no_grad()
def segmented_objects(
    output: SegmenterOutput, image_index: int, assignment: Assignment, targets: Targets, view: View
) -> list[int]:
    """Positions in the frame of its objects that their best query covers with mask IoU >= 0.5 (paper, Sec. 3.1)."""
    if not len(targets):
        return []
    logits = output.masks(image_index, assignment.best.to(targets.masks.device))
    predicted = logits > 0
    wanted = sample_masks(targets.masks, size=(logits.shape[-2], logits.shape[-1])) > 0
    shared = (predicted & wanted).flatten(1).sum(1)
    covered = shared >= SEGMENTED_IOU * (predicted | wanted).flatten(1).sum(1).clamp(min=1)
    return view.ids[covered.cpu() & ~view.pasted].tolist()
