"""Swin Transformer on images that its windows do not divide, in the order of the original code."""

from __future__ import annotations

import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn


class PaddedSwinBlock(SwinTransformerBlock):
    """timm's block, but the map is padded to whole windows before it is shifted and not after.

    The original detection code (and IDOL's and torchvision's) does it in this order. In the other one the last windows
    hold other pixels, and weights trained with the one order see something else in the other.
    """

    def _attn(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        rows, columns = self.window_size
        padded = F.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        attended: Tensor = super()._attn(padded)
        return attended[:, :height, :width]


def pad_before_shifting(net: nn.Module) -> None:
    """Give every Swin block of ``net`` the original order; other networks stay as they are."""
    for module in net.modules():
        if type(module) is SwinTransformerBlock:
            module.__class__ = PaddedSwinBlock
