"""Transforms the targets of the before view to the strong and the after view, by the known motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from rise_engine.config import PseudoLabelConfig, RiseConfig, SequenceConfig
from rise_engine.method.batch import Size, known_targets, pad_masks, size_of
from rise_engine.method.pseudo_labels import KNOWN_IOU, PseudoLabels, mask_iou, merge_with_known
from rise_engine.method.targets import Targets, boxes_bound_masks, boxes_of_masks
from rise_engine.method.teacher import TeacherPass
from rise_engine.pseudo_sequences.geometry import warp_masks
from rise_engine.pseudo_sequences.views import PseudoSequence


class ViewTargets(NamedTuple):
    """Targets of one view of each of B sequences, None for a view without any, and the teacher's boxes (B, Q, 4)
    there."""

    targets: list[Targets | None]
    teacher_boxes: Tensor


def before_view_targets(
    reference: TeacherPass, known: Sequence[Targets], config: PseudoLabelConfig
) -> list[Targets | None]:
    """Targets in the before views: the objects pasted there, and the pseudo-labels of all others."""
    found = []
    for pseudo, pasted, size in zip(reference.pseudo_labels, known, reference.sizes, strict=True):
        merged = merge_with_known(pseudo, pasted if config.pasted_targets else pasted.select(slice(0)), image_size=size)
        found.append(merged if len(merged) else None)
    return found


def strong_view_targets(
    sequences: Sequence[PseudoSequence],
    targets: Sequence[Targets | None],
    teacher_boxes: Tensor,
    sizes: Sequence[Size],
    config: RiseConfig,
) -> ViewTargets:
    """The before views' targets and the teacher's boxes (B, Q, 4) in the strong views.

    They are the same unless the strong view was moved once more ("another round of weak augmentations"). A box that
    bounds its mask bounds the moved mask; a predicted one (without Mask-to-Box) is moved on its own. Objects of which
    too little stays in view (``sequence.min_area``, ``.min_visible``) are dropped.
    """
    found: list[Targets | None] = []
    boxes = teacher_boxes.clone()
    for index, (sequence, known, size) in enumerate(zip(sequences, targets, sizes, strict=True)):
        motion = sequence.strong_motion
        if motion is None:
            found.append(known)
            continue
        boxes[index] = transfer_boxes(teacher_boxes[index], motion, size)
        found.append(None if known is None else _transfer_targets(known, motion, size, config))
    return ViewTargets(found, boxes)


def after_view_targets(
    sequences: Sequence[PseudoSequence], reference: TeacherPass, pasted: Sequence[Targets], config: RiseConfig
) -> ViewTargets:
    """Targets and the teacher's boxes in the after views: objects pasted there, and pseudo-labels still visible.

    ``pasted`` are the objects pasted into the before views. The next frame of a recording has no targets, because its
    objects may have moved in an unknown way.
    """
    found: list[Targets | None] = []
    for sequence, pseudo, before in zip(sequences, reference.pseudo_labels, pasted, strict=True):
        if sequence.recorded:
            found.append(None)
            continue
        size = size_of(sequence.after.image)
        known = known_targets(sequence.after, reference.canvas, device=pseudo.masks.device)
        if not config.pseudo_labels.pasted_targets:
            known = known.select(slice(0))
        rows, masks = pseudo_labels_in_after_view(sequence, pseudo, before, config.sequence)
        moved = Targets.from_masks(pad_masks(masks, reference.canvas), pseudo.labels[rows], image_size=size)
        if not config.pseudo_labels.mask_to_box:
            moved = replace(moved, boxes=transfer_boxes(pseudo.boxes[rows], sequence.motion, size))
        together = Targets(
            labels=torch.cat([known.labels, moved.labels]),
            boxes=torch.cat([known.boxes, moved.boxes]),
            masks=torch.cat([known.masks, moved.masks]),
        )
        found.append(together if len(together) else None)
    boxes = [
        transfer_boxes(predicted, sequence.motion, size_of(sequence.after.image))
        for sequence, predicted in zip(sequences, reference.output.boxes, strict=True)
    ]
    return ViewTargets(found, torch.stack(boxes))


def pseudo_labels_in_after_view(
    sequence: PseudoSequence, pseudo: PseudoLabels, pasted: Targets, config: SequenceConfig
) -> tuple[Tensor, Tensor]:
    """Rows int64 (N,) of the K pseudo-labels that the after view still shows, and their masks there, bool (N, h, w).

    A pseudo-label that shows an object ``pasted`` into the before view is left out: that object is known, and may have
    been moved separately. The others lose its pixels. Objects pasted into the after view hide what is below them. A
    pseudo-label must keep ``config.min_area`` pixels and the share ``config.min_visible`` of its mask in the before
    view, as known objects must.
    """
    size = size_of(sequence.after.image)
    others = torch.nonzero(~(mask_iou(pseudo.masks, pasted.masks) > KNOWN_IOU).any(1))[:, 0]
    before = (pseudo.masks[others] & ~pasted.masks.any(0))[:, : size[0], : size[1]]
    moved = warp_masks(before, sequence.motion) & ~sequence.covered.to(before.device)
    area, full = moved.flatten(1).sum(1), pseudo.masks[others].flatten(1).sum(1)
    visible = (area >= config.min_area) & (area >= config.min_visible * full)
    return others[visible], moved[visible]


def transfer_boxes(boxes: Tensor, motion: Tensor, size: Size) -> Tensor:
    """Boxes (N, 4) cxcywh, 0..1 of ``size`` (h, w), moved along ``motion`` (2, 3) and clipped to the image.

    The content of a box is taken for the ellipse that touches its sides. The corners of a rotated box are far outside
    most objects: the box of a disc would grow by a third in both directions at 30 degrees.
    """
    height, width = size
    scale = boxes.new_tensor([width, height])
    matrix = motion.to(boxes)
    centre = (boxes[:, :2] * scale) @ matrix[:, :2].T + matrix[:, 2]
    half = ((boxes[:, 2:] * scale / 2).square() @ matrix[:, :2].T.square()).sqrt()
    low, high = ((centre - half) / scale).clamp(0, 1), ((centre + half) / scale).clamp(0, 1)
    return torch.cat([(low + high) / 2, high - low], dim=1)


def _transfer_targets(known: Targets, motion: Tensor, size: Size, config: RiseConfig) -> Targets | None:
    height, width = size
    canvas = (known.masks.shape[1], known.masks.shape[2])
    masks = pad_masks(warp_masks(known.masks[:, :height, :width], motion), canvas)
    area = masks.flatten(1).sum(1)
    whole = known.masks.flatten(1).sum(1) * torch.linalg.det(motion[:, :2]).abs().to(area.device)
    visible = (area >= config.sequence.min_area) & (area >= config.sequence.min_visible * whole)
    if not bool(visible.any()):
        return None
    bounding = boxes_bound_masks(known.boxes, known.masks, image_size=size)[visible]
    boxes = torch.where(
        bounding[:, None],
        boxes_of_masks(masks[visible], image_size=size),
        transfer_boxes(known.boxes[visible], motion, size),
    )
    return Targets(labels=known.labels[visible], boxes=boxes, masks=masks[visible])
