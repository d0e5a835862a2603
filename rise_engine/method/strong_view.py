"""Targets of a strong view that was moved once more after the before view ("another round of weak augmentations")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.method.batch import pad_masks
from rise_engine.method.targets import Targets, bound_masks, boxes_of_masks
from rise_engine.pseudo_sequences.geometry import warp_masks
from rise_engine.pseudo_sequences.views import PseudoSequence


def moved_to_strong(
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
        boxes[index] = moved_boxes(teacher_boxes[index], motion, size)
        moved.append(None if known is None else _moved_targets(known, motion, size, config))
    return moved, boxes


def moved_boxes(boxes: Tensor, motion: Tensor, size: tuple[int, int]) -> Tensor:
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
    bounding = bound_masks(known.boxes, known.masks, image_size=size)[seen]
    boxes = torch.where(
        bounding[:, None], boxes_of_masks(masks[seen], image_size=size), moved_boxes(known.boxes[seen], motion, size)
    )
    return Targets(labels=known.labels[seen], boxes=boxes, masks=masks[seen])
