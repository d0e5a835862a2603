"""Views of different sizes as one padded batch (Deformable DETR: padded right and below, mask True on padding)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rise_engine.method.targets import Targets
from rise_engine.model.device import moved
from rise_engine.pseudo_sequences.views import View
from rise_engine.training.distributed import WHOLE, Share

STRIDE = 32
"""The canvas is a multiple of the coarsest backbone stride, so that no level is cut off."""


@dataclass(frozen=True, slots=True)
class Batch:
    """``images`` float (B, 3, H, W); ``padding_mask`` bool (B, H, W), True on padding, None when nothing is padded;
    ``sizes`` the unpadded (height, width) of each image."""

    images: Tensor
    padding_mask: Tensor | None
    sizes: tuple[tuple[int, int], ...]

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the padded images."""
        return self.images.shape[-2], self.images.shape[-1]


def collate(images: Sequence[Tensor], *, device: torch.device, share: Share = WHOLE) -> Batch:
    """Pads images (3, H_i, W_i) with zeros to one canvas and moves them to the device.

    The canvas holds the images of all who share a part of the step: a wider edge of zeros is not quite without effect.
    """
    sizes = tuple((image.shape[-2], image.shape[-1]) for image in images)
    largest = share.largest([max(side) for side in zip(*sizes, strict=True)])
    height, width = (-(-side // STRIDE) * STRIDE for side in largest)
    # Views mostly are on the device already; what is known here is not asked for there.
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


def pad_masks(masks: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Masks bool (N, h, w) on the padded canvas, (N, H, W)."""
    padded = masks.new_zeros(masks.shape[0], *canvas)
    padded[:, : masks.shape[1], : masks.shape[2]] = masks
    return padded


def known_targets(scene: View, canvas: tuple[int, int], *, device: torch.device) -> Targets:
    """Every object of a scene that is known for sure, as targets on the canvas."""
    size = (scene.image.shape[-2], scene.image.shape[-1])
    return Targets.from_masks(pad_masks(scene.masks, canvas), scene.labels, image_size=size).to(device)
