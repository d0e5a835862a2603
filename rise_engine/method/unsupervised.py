"""The unsupervised branch: L_u (Eq. 5) and L_embed (Eq. 4) of unlabelled frames (paper, Sec. 3.3).

The teacher makes pseudo-labels on the before view. The student learns to predict them on the strong view, and to find
every object again in the after view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rise_engine.config import RiseConfig
from rise_engine.method.association import ViewPair, associate, common_objects, uses_association
from rise_engine.method.batch import BatchTotals, collate, known_targets, pad_masks, size_of
from rise_engine.method.extensions.next_frame import NextFrameObjects, match_next_frame, predict_next_frames
from rise_engine.method.losses import Criterion, LossTerms
from rise_engine.method.matching import assign
from rise_engine.method.pseudo_labels import PseudoLabels, ignore_queries, multi_label_matching
from rise_engine.method.targets import Targets
from rise_engine.method.teacher import TeacherPass, teacher_pass
from rise_engine.method.view_transfer import (
    ViewTargets,
    after_view_targets,
    before_view_targets,
    pseudo_labels_in_after_view,
    strong_view_targets,
)
from rise_engine.model.segmenter import Segmenter, SegmenterOutput
from rise_engine.pseudo_sequences.views import PseudoSequence


@dataclass(frozen=True, slots=True)
class UnsupervisedLosses:
    """L_u (unweighted, term by term) and L_embed of unlabelled frames; the rest is as in ``SupervisedLosses``.

    ``pseudo_labels`` holds those of each frame.
    """

    terms: LossTerms
    association: Tensor
    accuracy: float | None
    pseudo_labels: list[PseudoLabels]


@dataclass(frozen=True, slots=True)
class StudentViews:
    """The views that the student is trained on, and their positions in its batch.

    ``images`` are all strong views, then all after views, then all before views. ``strong``, ``after`` and ``before``
    hold the position of each sequence's view; they are empty where the batch has no such views. ``learns_after``: the
    after views have targets in L_u; otherwise only L_embed uses them.
    """

    images: list[Tensor]
    strong: range
    after: range
    before: range
    learns_after: bool

    @classmethod
    def of(cls, sequences: Sequence[PseudoSequence], config: RiseConfig) -> StudentViews:
        """The views that the settings ask for."""
        learns_after = config.pseudo_labels.after_view and config.sequence.enabled
        with_after = uses_association(config) or learns_after
        with_before = uses_association(config) and config.schedule.before_gradient
        strong = [sequence.strong for sequence in sequences]
        after = [sequence.after.image for sequence in sequences] if with_after else []
        before = [sequence.before.image for sequence in sequences] if with_before else []
        ends = len(strong), len(strong) + len(after), len(strong) + len(after) + len(before)
        return cls(
            images=[*strong, *after, *before],
            strong=range(ends[0]),
            after=range(ends[0], ends[1]),
            before=range(ends[1], ends[2]),
            learns_after=learns_after,
        )


def unsupervised_losses(
    model: Segmenter,
    teacher: nn.Module,
    sequences: Sequence[PseudoSequence],
    config: RiseConfig,
    *,
    step: int,
    device: torch.device,
    seed: int,
    totals: BatchTotals | None = None,
) -> UnsupervisedLosses:
    """Losses of unlabelled pseudo-sequences at a step of the schedule.

    Random numbers for a sequence follow from ``seed`` and its frame. ``totals`` are those of the larger batch that this
    one is a part of.
    """
    totals = totals or BatchTotals.of(sequences)
    before = [sequence.before.image for sequence in sequences]
    reference = teacher_pass(teacher, before, config, step=step, device=device, room_for=totals.size)
    next_frames = {}
    if uses_association(config):
        next_frames = predict_next_frames(teacher, sequences, config, canvas=reference.canvas, step=step, device=device)
    known = [known_targets(sequence.before, reference.canvas, device=device) for sequence in sequences]
    strong = strong_view_targets(
        sequences,
        before_view_targets(reference, known, config.pseudo_labels),
        reference.output.boxes,
        reference.sizes,
        config,
    )

    views = StudentViews.of(sequences, config)
    batch = collate(views.images, device=device, room_for=totals.size)
    output = model(batch.images, batch.padding_mask)

    after = after_view_targets(sequences, reference, known, config) if views.learns_after else None
    terms = consistency_loss(output, views, reference, strong, after, config, totals)
    pairs = []
    if uses_association(config):
        pairs = view_pairs(output, views, sequences, reference, known, next_frames, config)
    association, accuracy = associate(output, pairs, config.loss, frames=totals.frames, seed=seed)
    return UnsupervisedLosses(terms, association, accuracy, reference.pseudo_labels)


def consistency_loss(
    output: SegmenterOutput,
    views: StudentViews,
    reference: TeacherPass,
    strong: ViewTargets,
    after: ViewTargets | None,
    config: RiseConfig,
    totals: BatchTotals,
) -> LossTerms:
    """L_u (Eq. 5): the student's predictions on the strong views, and where asked on the after views, against targets.

    A view without any target is left out. Otherwise it would teach that every object is background.
    """
    targets: list[Targets | None] = [None] * len(views.images)
    ignored: list[Tensor | None] = [None] * len(views.images)
    for positions, wanted in ((views.strong, strong), (views.after, after)):
        if wanted is None:
            continue
        for index, position in enumerate(positions):
            targets[position] = wanted.targets[index]
            ignored[position] = ignore_queries(
                output.boxes[position],
                reference.output,
                index,
                reference.pseudo_labels[index],
                targets[position],
                config.pseudo_labels,
                teacher_boxes=wanted.teacher_boxes[index],
            )
    terms, _ = Criterion(config.loss)(output, targets, ignore=ignored, divisors=totals.divisors)
    return terms


def view_pairs(
    output: SegmenterOutput,
    views: StudentViews,
    sequences: Sequence[PseudoSequence],
    reference: TeacherPass,
    known: Sequence[Targets],
    next_frames: dict[int, NextFrameObjects],
    config: RiseConfig,
) -> list[ViewPair]:
    """The objects of both views of each sequence, for L_embed.

    The before view's embeddings are the teacher's, without gradient, unless ``schedule.before_gradient`` is on.
    """
    pairs = []
    for index, sequence in enumerate(sequences):
        if sequence.recorded:
            queries, targets = match_next_frame(
                reference.output, index, reference.pseudo_labels[index], known[index], next_frames[index]
            )
        else:
            queries, targets = same_objects(sequence, index, reference, known[index], config)
        if not len(queries):
            continue
        embeddings = output.embeddings[views.before[index]] if views.before else reference.output.embeddings[index]
        after = views.after[index]
        best = assign(output.class_logits[after], output.boxes[after], targets, config.loss).best
        everyone = torch.arange(len(queries))
        pairs.append(
            ViewPair(
                frame=sequence.name,
                before=embeddings,
                before_queries=queries,
                after=after,
                after_targets=targets,
                after_queries=best.to(embeddings.device),
                same_before=everyone,
                same_after=everyone,
                by_construction=not sequence.recorded,
            )
        )
    return pairs


def same_objects(
    sequence: PseudoSequence, index: int, reference: TeacherPass, pasted: Targets, config: RiseConfig
) -> tuple[Tensor, Targets]:
    """Queries int64 (N,) of the before view, and the same N objects as targets in the after view.

    Identities are known by construction: those of pasted objects from their ids, those of pseudo-labels from the motion
    between the views. A pseudo-label that shows a pasted object is left out, because the object may have been moved. Of
    several pseudo-labels that show one object only the best is used; the others would be pushed away as different.
    """
    pseudo = reference.pseudo_labels[index]
    device = pseudo.masks.device
    same_before, same_after = common_objects(sequence.before, sequence.after)
    pasted_queries = assign(
        reference.output.class_logits[index], reference.output.boxes[index], pasted, config.loss
    ).best

    rows, moved = pseudo_labels_in_after_view(sequence, pseudo, pasted, config.sequence)
    best = multi_label_matching(pseudo.masks[rows], pseudo.labels[rows], most=1)
    rows, moved = rows[best], moved[best]

    masks = torch.cat([sequence.after.masks[same_after].to(device), moved])
    labels = torch.cat([sequence.after.labels[same_after].to(device), pseudo.labels[rows]])
    size = size_of(sequence.after.image)
    targets = Targets.from_masks(pad_masks(masks, reference.canvas), labels, image_size=size)
    return torch.cat([pasted_queries[same_before].to(device), pseudo.queries[rows]]), targets
