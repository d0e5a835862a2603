"""Views of different sizes as one padded batch (Deformable DETR: padded right and below, mask True on padding)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rise_engine.method.targets import Targets
from rise_engine.model.device import moved
from rise_engine.pseudo_sequences.views import PseudoSequence, View

STRIDE = 32
"""The canvas is a multiple of the coarsest backbone stride, so that no level is cut off."""

Size = tuple[int, int]
"""(height, width) in pixels."""


def at_least_one(matched: Sequence[int]) -> list[float]:
    """The divisors of the losses where a batch stands alone: its matched queries, or 1 without any."""
    return [max(1, count) for count in matched]


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """What the losses of a batch are normalised by.

    A batch may be one part of a larger one. With the totals of the larger batch the losses of all parts add up to its
    losses.

    ``frames``: the number of frames, over which L_embed is averaged. ``size``: height and width of the largest view;
    the canvas of every part has room for it, because a wider edge of zeros slightly changes what a network predicts.
    ``divisors`` takes the number of matched queries of each decoder layer in this batch to what the layer's losses are
    divided by.
    """

    frames: int
    size: Size
    divisors: Callable[[Sequence[int]], Sequence[float]] = at_least_one

    @classmethod
    def of(cls, sequences: Sequence[PseudoSequence]) -> BatchTotals:
        """Those of a batch that is no part of a larger one."""
        return cls(frames=len(sequences), size=largest_size([sequence.before.image for sequence in sequences]))


@dataclass(frozen=True, slots=True)
class Batch:
    """``images`` float (B, 3, H, W); ``padding_mask`` bool (B, H, W), True on padding, None when nothing is padded;
    ``sizes`` the unpadded (height, width) of each image."""

    images: Tensor
    padding_mask: Tensor | None
    sizes: tuple[Size, ...]

    @property
    def canvas(self) -> Size:
        """Height and width of the padded images."""
        return self.images.shape[-2], self.images.shape[-1]


def size_of(image: Tensor) -> Size:
    """Height and width of an image (..., H, W)."""
    return image.shape[-2], image.shape[-1]


def largest_size(images: Sequence[Tensor]) -> Size:
    """The largest height and the largest width of images (3, H_i, W_i); (0, 0) without any."""
    heights, widths = zip((0, 0), *(size_of(image) for image in images), strict=True)
    return max(heights), max(widths)


def canvas_for(images: Sequence[Tensor], *, room_for: Size = (0, 0)) -> Size:
    """Height and width of the canvas that ``collate`` pads images (3, H_i, W_i) to."""
    height, width = (
        -(-max(side, least) // STRIDE) * STRIDE for side, least in zip(largest_size(images), room_for, strict=True)
    )
    return height, width


def collate(images: Sequence[Tensor], *, device: torch.device, room_for: Size = (0, 0)) -> Batch:
    """Pads images (3, H_i, W_i) with zeros to one canvas and moves them to the device.

    The canvas also has room for an image of the size ``room_for``, (height, width).
    """
    sizes = tuple(size_of(image) for image in images)
    height, width = canvas_for(images, room_for=room_for)
    # Views are mostly on the device already. The padding is known here, so that it need not be read back from there.
    batch = images[0].new_zeros(len(images), 3, height, width)
    padding = torch.ones(len(images), height, width, dtype=torch.bool)
    for index, (image, (h, w)) in enumerate(zip(images, sizes, strict=True)):
        batch[index, :, :h, :w] = image
        padding[index, :h, :w] = False
    return Batch(
        images=moved(batch, device),
        padding_mask=moved(padding, device) if bool(padding.any()) else None,
        sizes=sizes,
    )


def pad_masks(masks: Tensor, canvas: Size) -> Tensor:
    """Masks bool (N, h, w) on the padded canvas, (N, H, W)."""
    padded = masks.new_zeros(masks.shape[0], *canvas)
    padded[:, : masks.shape[1], : masks.shape[2]] = masks
    return padded


def known_targets(view: View, canvas: Size, *, device: torch.device) -> Targets:
    """The known (labelled or pasted) objects of a view as targets on the canvas."""
    size = size_of(view.image)
    return Targets.from_masks(pad_masks(view.masks, canvas), view.labels, image_size=size).to(device)
