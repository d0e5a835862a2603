"""The canvas that a network works on: sides that every level divides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE_MULTIPLE = 32


def pad_to_multiple(images: Tensor, padding_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Sides padded to a multiple of 32 with the mask that says so; no mask where nothing is padded.

    ``images`` (B, 3, H, W); ``padding_mask`` bool (B, H, W), True on padding, or None.
    """
    height, width = images.shape[-2:]
    fill = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
    if any(fill):
        if padding_mask is None:
            padding_mask = torch.zeros(images.shape[0], height, width, dtype=torch.bool, device=images.device)
        return F.pad(images, fill), F.pad(padding_mask, fill, value=True)
    # A GPU would have to be waited for; a mask of nothing costs less there.
    if padding_mask is not None and padding_mask.device.type == "cpu" and not padding_mask.any():
        padding_mask = None
    return images, padding_mask
