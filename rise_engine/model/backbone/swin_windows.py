"""Swin Transformer for any image size: pads to whole windows before shifting, as the original detection code does."""

from __future__ import annotations

import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn


class PaddedSwinBlock(SwinTransformerBlock):
    """timm's block, but the map is padded to whole windows before it is shifted and not after.

    The original detection code (and IDOL's and torchvision's) uses this order. With the other order, the last windows
    have other pixels than those that the weights were trained with.
    """

    def _attn(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        rows, columns = self.window_size
        padded = F.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        attended: Tensor = super()._attn(padded)
        return attended[:, :height, :width]


def pad_before_shifting(net: nn.Module) -> None:
    """Gives every Swin block of ``net`` the original order; other networks do not change."""
    for module in net.modules():
        if type(module) is SwinTransformerBlock:
            module.__class__ = PaddedSwinBlock
