"""Targets of one training image: class, box and mask of each object; Mask-to-Box (paper, Eq. 8)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rise_engine.model.device import moved


@dataclass(frozen=True, slots=True)
class Targets:
    """The N objects of one image.

    ``labels`` int64 (N,), class indices; ``boxes`` float32 (N, 4) cxcywh, 0..1 of the unpadded image; ``masks`` bool
    (N, H, W) on the padded canvas.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.labels.ndim != 1 or self.boxes.shape != (count, 4) or self.masks.ndim != 3 or len(self.masks) != count:
            shapes = [tuple(tensor.shape) for tensor in (self.labels, self.boxes, self.masks)]
            raise ValueError(f"labels, boxes and masks {shapes} do not belong together: use (N,), (N, 4), (N, H, W)")

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def from_masks(cls, masks: Tensor, labels: Tensor, *, image_size: tuple[int, int]) -> Targets:
        """Targets with boxes that bound their masks (N, H, W); ``image_size`` is (height, width) without padding.

        Instances without a pixel have no box and are dropped.
        """
        masks = masks.bool()
        visible = masks.flatten(1).any(1)
        if not bool(visible.all()):
            masks, labels = masks[visible], labels[visible]
        return cls(labels=labels.long(), boxes=boxes_of_masks(masks, image_size=image_size), masks=masks)

    def select(self, rows: slice | Tensor) -> Targets:
        """Some of the objects: a slice, or bool (N,), or indices."""
        return Targets(labels=self.labels[rows], boxes=self.boxes[rows], masks=self.masks[rows])

    def to(self, device: torch.device | str) -> Targets:
        """The same targets on another device."""
        return Targets(
            labels=moved(self.labels, torch.device(device)),
            boxes=moved(self.boxes, torch.device(device)),
            masks=moved(self.masks, torch.device(device)),
        )


def boxes_of_masks(masks: Tensor, *, image_size: tuple[int, int]) -> Tensor:
    """Eq. 8: boxes float32 (N, 4) cxcywh, in 0..1 of ``image_size`` (height, width), that bound masks (N, H, W).

    Every mask needs a pixel. A box ends after the last pixel (half-open), so that one pixel has the width
    1 / image width.
    """
    height, width = image_size
    # argmax finds the first of equal maxima. Nothing here waits for a GPU, unlike a search in each mask.
    columns, rows = masks.any(1).int(), masks.any(2).int()
    x0, y0 = columns.argmax(1).float(), rows.argmax(1).float()
    x1, y1 = columns.shape[1] - columns.flip(1).argmax(1).float(), rows.shape[1] - rows.flip(1).argmax(1).float()
    return torch.stack(
        ((x0 + x1) / (2 * width), (y0 + y1) / (2 * height), (x1 - x0) / width, (y1 - y0) / height), dim=1
    )


def boxes_bound_masks(boxes: Tensor, masks: Tensor, *, image_size: tuple[int, int]) -> Tensor:
    """Whether each of the boxes (N, 4) bounds its mask (N, H, W), bool (N,); predicted boxes rarely do.

    The tolerance is 1e-5 of the image's side.
    """
    return torch.isclose(boxes, boxes_of_masks(masks, image_size=image_size), rtol=0, atol=1e-5).all(1)
