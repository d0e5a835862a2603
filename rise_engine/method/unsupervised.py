"""The unsupervised branch: the before view gives pseudo-labels, the strong view must meet them (L_u, Eq. 5), and the
after view must recognise every object again (L_embed, Eq. 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rise_engine.config import RiseConfig
from rise_engine.method.association import (
    association_accuracy,
    association_loss,
    contrastive_queries,
    generator_of,
    identities_by_score,
)
from rise_engine.method.batch import collate, known_targets, pad_masks
from rise_engine.method.extensions.next_frame import match_next_frame, predict_next_frames
from rise_engine.method.extensions.test_time import predict_augmented
from rise_engine.method.losses import Criterion, LossTerms
from rise_engine.method.matching import assign
from rise_engine.method.pseudo_labels import (
    PseudoLabels,
    ignore_queries,
    make_pseudo_labels,
    merge_with_known,
    multi_label_matching,
)
from rise_engine.method.supervised import associates, common_objects
from rise_engine.method.targets import Targets
from rise_engine.method.view_transfer import (
    boxes_after,
    pseudo_labels_in_after_view,
    strong_view_targets,
    targets_after,
)
from rise_engine.model.segmenter import Segmenter, SegmenterOutput
from rise_engine.pseudo_sequences.views import PseudoSequence
from rise_engine.training.distributed import WHOLE, Share


@dataclass(frozen=True, slots=True)
class UnsupervisedLosses:
    """As ``SupervisedLosses``, with what the cascade did on each frame."""

    terms: LossTerms
    association: Tensor
    accuracy: float | None
    pseudo_labels: list[PseudoLabels]


@contextmanager
def predicting(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the mode is put back afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def unsupervised_losses(
    model: Segmenter,
    teacher: nn.Module,
    sequences: Sequence[PseudoSequence],
    criterion: Criterion,
    config: RiseConfig,
    *,
    step: int,
    device: torch.device,
    seed: int,
    at_least: float = 1,
    share: Share = WHOLE,
) -> UnsupervisedLosses:
    """Losses of unlabelled pseudo-sequences at a step of the schedule.

    A frame without a single target (nothing pasted, no pseudo-label) is left out of L_u: otherwise every object in it
    would be taught as background. Terms are divided by ``at_least`` where fewer queries are matched. What is drawn for
    a sequence follows from ``seed`` and its frame. With a ``share`` the losses add up, over all who share the part, to
    those of one batch.
    """
    before = collate([sequence.before.image for sequence in sequences], device=device, share=share)
    with predicting(teacher):
        reference = predict_augmented(
            teacher,
            [sequence.before.image for sequence in sequences],
            scales=config.pseudo_labels.teacher_scales,
            mirror=config.pseudo_labels.teacher_mirror,
            device=device,
            share=share,
        )
    pseudo_labels = [
        make_pseudo_labels(
            reference,
            index,
            image_size=before.sizes[index],
            canvas=before.canvas,
            config=config.pseudo_labels,
            step=step,
            steps=config.schedule.steps,
            picture=sequence.before.image.to(device),
        )
        for index, sequence in enumerate(sequences)
    ]
    next_frames = {}
    if associates(config):
        with predicting(teacher):
            next_frames = predict_next_frames(
                teacher, sequences, config, canvas=before.canvas, step=step, device=device
            )
    known = [known_targets(sequence.before, before.canvas, device=device) for sequence in sequences]
    targets: list[Targets | None] = []
    for pseudo, certain, size in zip(pseudo_labels, known, before.sizes, strict=True):
        pasted = certain if config.pseudo_labels.pasted_targets else certain.select(slice(0))
        merged = merge_with_known(pseudo, pasted, image_size=size)
        targets.append(merged if len(merged.labels) else None)
    seen_by_teacher = reference.boxes
    if config.augment.reweaken:
        targets, seen_by_teacher = strong_view_targets(sequences, targets, seen_by_teacher, before.sizes, config)

    images = [sequence.strong for sequence in sequences]
    count = len(sequences)
    learns_after = config.pseudo_labels.after_view and config.sequence.enabled
    if associates(config) or learns_after:
        images += [sequence.after.image for sequence in sequences]
    if associates(config) and config.schedule.before_gradient:
        images += [sequence.before.image for sequence in sequences]
    batch = collate(images, device=device, share=share)
    output = model(batch.images, batch.padding_mask)
    seen = [*seen_by_teacher]
    if learns_after:
        targets += targets_after(sequences, pseudo_labels, known, canvas=batch.canvas, config=config)
        seen += boxes_after(sequences, reference.boxes)
    ignored = [
        ignore_queries(
            boxes,
            reference,
            place % count,
            pseudo_labels[place % count],
            wanted,
            config.pseudo_labels,
            teacher_boxes=teacher_boxes,
        )
        for place, (boxes, teacher_boxes, wanted) in enumerate(zip(output.boxes, seen, targets, strict=False))
    ]
    beside = len(images) - len(targets)
    terms, _ = criterion(
        output, [*targets, *[None] * beside], ignore=[*ignored, *[None] * beside], at_least=at_least, share=share
    )

    association = output.embeddings.sum() * 0
    accuracies = []
    (frames,) = share.total([count])
    if associates(config):
        for index, sequence in enumerate(sequences):
            if sequence.recorded:
                pairs = _Pairs(
                    *match_next_frame(reference, index, pseudo_labels[index], known[index], next_frames[index])
                )
            else:
                pairs = _known_pairs(
                    sequence, pseudo_labels[index], known[index], reference, index, config, batch.canvas
                )
            if not len(pairs.queries):
                continue
            trained = config.schedule.before_gradient
            anchors = (output.embeddings[2 * count + index] if trained else reference.embeddings[index])[pairs.queries]
            after = count + index
            best = assign(output.class_logits[after], output.boxes[after], pairs.targets, config.loss).best
            partners = output.embeddings[after, best.to(device)].detach()
            if not sequence.recorded:
                accuracies.append(association_accuracy(anchors.detach(), partners))
            positives, negatives = contrastive_queries(
                output.class_logits[after], output.boxes[after], pairs.targets, config.loss
            )
            if config.loss.identities == "predicted" and not sequence.recorded:
                rows, columns = identities_by_score(anchors.detach(), partners)
                anchors = anchors[rows]
                positives = [positives[column] for column in columns.tolist()]
                negatives = [negatives[column] for column in columns.tolist()]
            association = (
                association
                + association_loss(
                    anchors,
                    output.embeddings[after],
                    positives,
                    negatives,
                    auxiliary=config.loss.association_auxiliary,
                    generator=generator_of(seed, sequence.name),
                )
                / frames
            )
    accuracy = sum(accuracies) / len(accuracies) if accuracies else None
    return UnsupervisedLosses(terms, association, accuracy, pseudo_labels)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Queries of the before view and, row by row, the same objects as targets in the after view."""

    queries: Tensor
    targets: Targets


def _known_pairs(
    sequence: PseudoSequence,
    pseudo: PseudoLabels,
    pasted: Targets,
    reference: SegmenterOutput,
    image: int,
    config: RiseConfig,
    canvas: tuple[int, int],
) -> _Pairs:
    """Identities are known by construction: pasted objects by their id, pseudo-labels by the known motion.

    A pseudo-label that shows a pasted object has no say here (the object may have been moved), and of several that
    show the same object only the best has: the others would be pushed away as different ones.
    """
    device = pseudo.masks.device
    size = (sequence.after.image.shape[-2], sequence.after.image.shape[-1])
    rows, columns = common_objects(sequence.before, sequence.after)
    pasted_best = assign(reference.class_logits[image], reference.boxes[image], pasted, config.loss).best

    own, moved = pseudo_labels_in_after_view(sequence, pseudo, pasted, config.sequence)
    best = multi_label_matching(pseudo.masks[own], pseudo.labels[own], most=1)
    own, moved = own[best], moved[best]

    masks = torch.cat([sequence.after.masks[columns].to(device), moved])
    labels = torch.cat([sequence.after.labels[columns].to(device), pseudo.labels[own]])
    targets = Targets.from_masks(pad_masks(masks, canvas), labels, image_size=size)
    return _Pairs(torch.cat([pasted_best[rows].to(device), pseudo.queries[own]]), targets)
