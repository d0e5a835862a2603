"""Dynamic mask head: each query predicts the weights of a tiny network that makes its mask (CondInst, Sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURE_STRIDE = 8
"""Stride of the mask features in pixels; mask logits have half of it."""


class MaskFeatures(nn.Module):
    """The encoder's three finest maps merged from coarse to fine into a few channels at stride 8."""

    def __init__(self, *, dim: int, channels: int) -> None:
        super().__init__()
        self.s32 = nn.Conv2d(dim, dim, 3, padding=1)
        self.s16 = nn.Conv2d(dim, dim, 3, padding=1)
        self.s8 = nn.Conv2d(dim, dim, 3, padding=1)
        self.reduce = nn.Conv2d(dim, dim // 4, 3, padding=1)
        self.out = nn.Conv2d(dim // 4, channels, 3, padding=1)
        for convolution in (self.s32, self.s16, self.s8, self.reduce, self.out):
            nn.init.kaiming_uniform_(convolution.weight, a=1)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, channels, H / 8, W / 8) from encoder maps (B, D, ...) of stride 8, 16 and 32."""
        fine, middle, coarse = maps
        merged = self.s32(coarse).relu()
        merged = self.s16(middle + F.interpolate(merged, middle.shape[-2:], mode="nearest")).relu()
        merged = self.s8(fine + F.interpolate(merged, fine.shape[-2:], mode="nearest")).relu()
        result: Tensor = self.out(self.reduce(merged).relu()).relu()
        return result


def dynamic_parameter_count(channels: int) -> int:
    """Number of parameters of a query's mask network: three 1x1 convolutions, the first with two more inputs (x, y)."""
    return (channels + 2) * channels + channels * channels + channels + channels + channels + 1


def mask_logits(features: Tensor, parameters: Tensor, references: Tensor) -> Tensor:
    """Mask logits (B, n, 2h, 2w) at stride 4, always in float32.

    ``features`` (B, C, h, w) of ``MaskFeatures``; ``parameters`` (B, n, dynamic_parameter_count(C)): the three
    weights, each (out, in), then the three biases; ``references`` (B, n, 2) xy in pixels of the image.

    The input of a query's network is (reference - pixel position, features). The part of its first layer that
    depends on the query only is a bias, so one matrix product computes all queries without a copy of the features for
    each.
    """
    with torch.autocast(features.device.type, enabled=False):
        # Positions are in raw pixels: half precision would shift a mask by up to two of them.
        full_precision = torch.promote_types(features.dtype, torch.float32)
        features, parameters, references = (part.to(full_precision) for part in (features, parameters, references))
        batch, channels, height, width = features.shape
        wide = (channels + 2) * channels
        sections = [wide, channels * channels, channels, channels, channels, 1]
        first, second, last, bias_first, bias_second, bias_last = parameters.split(sections, -1)
        weight = first.unflatten(-1, (channels, channels + 2))  # (B, n, C, 2 + C)
        toward = weight[..., :2]
        constant = (toward @ references[..., None]).squeeze(-1) + bias_first  # (B, n, C)
        shared = torch.cat([_pixel_positions(height, width, features), features.flatten(2)], 1)  # (B, 2 + C, hw)
        weight = torch.cat([-toward, weight[..., 2:]], -1).flatten(1, 2)  # (B, n * C, 2 + C)
        hidden = torch.baddbmm(constant.flatten(1, 2)[..., None], weight, shared).relu()
        hidden = hidden.view(-1, channels, height * width)  # (B * n, C, hw)
        second = second.reshape(-1, channels, channels)
        hidden = torch.baddbmm(bias_second.reshape(-1, channels, 1), second, hidden).relu()
        logits = torch.baddbmm(bias_last.reshape(-1, 1, 1), last.reshape(-1, 1, channels), hidden)
        return double_size(logits.view(batch, -1, height, width))


def double_size(maps: Tensor) -> Tensor:
    """Bilinear upsampling (..., h, w) to (..., 2h, 2w); pixel i is aligned with pixel 2i + 1 of the result."""
    before = torch.cat([maps[..., :1], maps[..., :-1]], -1)
    maps = torch.stack([(before + maps) / 2, maps], -1).flatten(-2)
    before = torch.cat([maps[..., :1, :], maps[..., :-1, :]], -2)
    return torch.stack([(before + maps) / 2, maps], -2).flatten(-3, -2)


def _pixel_positions(height: int, width: int, like: Tensor) -> Tensor:
    """Centres (B, 2, h * w) xy of the features, in pixels of the image."""
    x = torch.arange(width, device=like.device) * FEATURE_STRIDE + FEATURE_STRIDE // 2
    y = torch.arange(height, device=like.device) * FEATURE_STRIDE + FEATURE_STRIDE // 2
    positions = torch.stack([x.expand(height, width), y[:, None].expand(height, width)]).flatten(1)
    return positions.to(like.dtype).expand(like.shape[0], -1, -1)
