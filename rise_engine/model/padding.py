"""Padding of images to sides that are multiples of 32, so that every feature level has a whole number of pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE_MULTIPLE = 32


def pad_to_multiple(images: Tensor, padding_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Images padded at the right and bottom, with the updated padding mask; None when nothing is padded.

    ``images`` (B, 3, H, W); ``padding_mask`` bool (B, H, W), True on padding, or None.
    """
    height, width = images.shape[-2:]
    fill = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
    if any(fill):
        if padding_mask is None:
            padding_mask = torch.zeros(images.shape[0], height, width, dtype=torch.bool, device=images.device)
        return F.pad(images, fill), F.pad(padding_mask, fill, value=True)
    # Only on a CPU: on a GPU the test would synchronise, which costs more than an empty mask.
    if padding_mask is not None and padding_mask.device.type == "cpu" and not padding_mask.any():
        padding_mask = None
    return images, padding_mask
