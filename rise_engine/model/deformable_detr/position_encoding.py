"""Sine and cosine position encoding of feature maps (DETR, App. A.4), with half-pixel centres."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10_000.0


def sine_position_encoding(size: tuple[int, int], dim: int, valid: Tensor) -> Tensor:
    """Encoding (B, H * W, dim) of the pixels of a map of ``size`` (H, W): first half row, second half column.

    ``valid`` (B, 2) is how many rows and columns of each image are no padding; coordinates run from 0 to 2 pi over
    these and stand still beyond.
    """
    height, width = size
    rows = _encode(torch.arange(height, device=valid.device), valid[:, :1], dim // 2)
    columns = _encode(torch.arange(width, device=valid.device), valid[:, 1:], dim // 2)
    full = (-1, height, width, -1)
    return torch.cat([rows[:, :, None].expand(*full), columns[:, None].expand(*full)], -1).flatten(1, 2)


def _encode(pixels: Tensor, valid: Tensor, dim: int) -> Tensor:
    counted = torch.minimum(pixels + 1.0, valid)
    phase = (counted - 0.5) / (valid + 1e-6) * (2 * math.pi)  # (B, pixels)
    exponents = torch.arange(0, dim, 2, device=pixels.device) / dim
    angles = phase[..., None] / TEMPERATURE**exponents
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)
