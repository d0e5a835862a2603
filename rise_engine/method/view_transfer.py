"""What the before view taught, where it is in the after view: the same motion moved both views' contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rise_engine.config import RiseConfig, SequenceConfig
from rise_engine.method.batch import known_targets, pad_masks
from rise_engine.method.pseudo_labels import KNOWN_IOU, PseudoLabels, mask_iou
from rise_engine.method.targets import Targets, boxes_bound_masks, boxes_of_masks
from rise_engine.pseudo_sequences.geometry import warp_masks
from rise_engine.pseudo_sequences.views import PseudoSequence


def pseudo_labels_in_after_view(
    sequence: PseudoSequence, pseudo: PseudoLabels, pasted: Targets, config: SequenceConfig
) -> tuple[Tensor, Tensor]:
    """Which of the K pseudo-labels the after view still shows, int64 (N,), and their masks there, bool (N, h, w).

    One that shows an object ``pasted`` into the before view is left out: that object may have been moved by itself, and
    is known anyway; the others lose its pixels. What a pasted object covers is not seen. As with known objects, what
    is left must have ``config.min_area`` pixels and the share ``config.min_visible`` of what the before view shows.
    """
    size = (sequence.after.image.shape[-2], sequence.after.image.shape[-1])
    own = torch.nonzero(~(mask_iou(pseudo.masks, pasted.masks) > KNOWN_IOU).any(1))[:, 0]
    before = (pseudo.masks[own] & ~pasted.masks.any(0))[:, : size[0], : size[1]]
    moved = warp_masks(before, sequence.motion) & ~sequence.covered.to(before.device)
    area, full = moved.flatten(1).sum(1), pseudo.masks[own].flatten(1).sum(1)
    seen = (area >= config.min_area) & (area >= config.min_visible * full)
    return own[seen], moved[seen]


def targets_after(
    sequences: Sequence[PseudoSequence],
    pseudo_labels: Sequence[PseudoLabels],
    pasted: Sequence[Targets],
    *,
    canvas: tuple[int, int],
    config: RiseConfig,
) -> list[Targets | None]:
    """Targets of L_u in the after views, on ``canvas``: objects pasted there, and pseudo-labels still seen.

    A view without any is None, as it would teach that every object is background; so is the next frame of a recording,
    where objects moved nobody knows how.
    """
    found: list[Targets | None] = []
    for sequence, pseudo, before in zip(sequences, pseudo_labels, pasted, strict=True):
        if sequence.recorded:
            found.append(None)
            continue
        size = (sequence.after.image.shape[-2], sequence.after.image.shape[-1])
        certain = known_targets(sequence.after, canvas, device=pseudo.masks.device)
        if not config.pseudo_labels.pasted_targets:
            certain = certain.select(slice(0))
        rows, masks = pseudo_labels_in_after_view(sequence, pseudo, before, config.sequence)
        moved = Targets.from_masks(pad_masks(masks, canvas), pseudo.labels[rows], image_size=size)
        if not config.pseudo_labels.mask_to_box:
            moved = replace(moved, boxes=transfer_boxes(pseudo.boxes[rows], sequence.motion, size))
        together = Targets(
            labels=torch.cat([certain.labels, moved.labels]),
            boxes=torch.cat([certain.boxes, moved.boxes]),
            masks=torch.cat([certain.masks, moved.masks]),
        )
        found.append(together if len(together) else None)
    return found


def boxes_after(sequences: Sequence[PseudoSequence], boxes: Tensor) -> Tensor:
    """The teacher's boxes (B, Q, 4) of the before views, where they are in the after views."""
    return torch.stack(
        [
            transfer_boxes(own, sequence.motion, (sequence.after.image.shape[-2], sequence.after.image.shape[-1]))
            for sequence, own in zip(sequences, boxes, strict=True)
        ]
    )


def strong_view_targets(
    sequences: Sequence[PseudoSequence],
    targets: Sequence[Targets | None],
    teacher_boxes: Tensor,
    sizes: Sequence[tuple[int, int]],
    config: RiseConfig,
) -> tuple[list[Targets | None], Tensor]:
    """The before views' targets, and the teacher's boxes (B, Q, 4), where they are in the strong views.

    A box that bounds its mask does so again, a predicted one (without Mask-to-Box) is moved by itself.
    Objects of which too little stays in view (``sequence.min_area``, ``.min_visible``) go; an image without any left is
    None, as without any target.
    """
    moved: list[Targets | None] = []
    boxes = teacher_boxes.clone()
    for index, (sequence, known, size) in enumerate(zip(sequences, targets, sizes, strict=True)):
        motion = sequence.strong_motion
        if motion is None:
            moved.append(known)
            continue
        boxes[index] = transfer_boxes(teacher_boxes[index], motion, size)
        moved.append(None if known is None else _moved_targets(known, motion, size, config))
    return moved, boxes


def transfer_boxes(boxes: Tensor, motion: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes (N, 4) cxcywh, 0..1 of ``size`` (h, w), around what they held, moved, within the picture.

    What a box holds is taken for the ellipse that touches its sides. The corners of a turned box lie far outside of
    most objects: a disc's box would grow by a third in either direction at 30 degrees.
    """
    height, width = size
    scale = boxes.new_tensor([width, height])
    matrix = motion.to(boxes)
    centre = (boxes[:, :2] * scale) @ matrix[:, :2].T + matrix[:, 2]
    half = ((boxes[:, 2:] * scale / 2).square() @ matrix[:, :2].T.square()).sqrt()
    low, high = ((centre - half) / scale).clamp(0, 1), ((centre + half) / scale).clamp(0, 1)
    return torch.cat([(low + high) / 2, high - low], dim=1)


def _moved_targets(known: Targets, motion: Tensor, size: tuple[int, int], config: RiseConfig) -> Targets | None:
    height, width = size
    canvas = (known.masks.shape[1], known.masks.shape[2])
    masks = pad_masks(warp_masks(known.masks[:, :height, :width], motion), canvas)
    area = masks.flatten(1).sum(1)
    whole = known.masks.flatten(1).sum(1) * torch.linalg.det(motion[:, :2]).abs().to(area.device)
    seen = (area >= config.sequence.min_area) & (area >= config.sequence.min_visible * whole)
    if not bool(seen.any()):
        return None
    bounding = boxes_bound_masks(known.boxes, known.masks, image_size=size)[seen]
    boxes = torch.where(
        bounding[:, None], boxes_of_masks(masks[seen], image_size=size), transfer_boxes(known.boxes[seen], motion, size)
    )
    return Targets(labels=known.labels[seen], boxes=boxes, masks=masks[seen])
