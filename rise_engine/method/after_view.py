"""What the before view taught, where it is in the after view: the same motion moved both views' contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rise_engine.config import RiseConfig, SequenceConfig
from rise_engine.method.batch import known_targets, pad_masks
from rise_engine.method.pseudo_labels import KNOWN_IOU, PseudoLabels, mask_iou
from rise_engine.method.strong_view import moved_boxes
from rise_engine.method.targets import Targets
from rise_engine.pseudo_sequences.geometry import warp_masks
from rise_engine.pseudo_sequences.views import PseudoSequence


def pseudo_labels_after(
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
        rows, masks = pseudo_labels_after(sequence, pseudo, before, config.sequence)
        moved = Targets.from_masks(pad_masks(masks, canvas), pseudo.labels[rows], image_size=size)
        if not config.pseudo_labels.mask_to_box:
            moved = replace(moved, boxes=moved_boxes(pseudo.boxes[rows], sequence.motion, size))
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
            moved_boxes(own, sequence.motion, (sequence.after.image.shape[-2], sequence.after.image.shape[-1]))
            for sequence, own in zip(sequences, boxes, strict=True)
        ]
    )
