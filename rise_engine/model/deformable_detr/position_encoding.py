"""Sine and cosine position encoding of feature maps (DETR, App. A.4), with half-pixel centres."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TEMPERATURE = 10_000.0


def sine_position_encoding(size: tuple[int, int], dim: int, valid: Tensor, *, counted: bool = False) -> Tensor:
    """Encoding (B, H * W, dim) of the pixels of a map of ``size`` (H, W): first half row, second half column.

    ``valid`` (B, 2) is the number of rows and columns of each image that are not padding. Coordinates run from 0 to
    2 pi over these and keep their last value on padding. With ``counted`` each row and column is counted by itself, as
    in Deformable DETR and IDOL: a pixel right of the image counts no row at all, and one below it no column.
    """
    height, width = size
    row, column = (torch.arange(side, device=valid.device) for side in size)
    rows = _encode(_phase(row, valid[:, :1]), dim // 2)[:, :, None]  # (B, H, 1, dim / 2)
    columns = _encode(_phase(column, valid[:, 1:]), dim // 2)[:, None]  # (B, 1, W, dim / 2)
    if counted:
        nothing = _encode(_phase(row[:1] - 1, torch.zeros_like(valid[:, :1])), dim // 2)[:, None]
        rows = torch.where((column < valid[:, 1:])[:, None, :, None], rows, nothing)
        columns = torch.where((row < valid[:, :1])[:, :, None, None], columns, nothing)
    full = (-1, height, width, -1)
    return torch.cat([rows.expand(*full), columns.expand(*full)], -1).flatten(1, 2)


def _phase(pixels: Tensor, valid: Tensor) -> Tensor:
    """Coordinates (B, pixels) in radians of pixels counted from 0, of which the first ``valid`` (B, 1) are image."""
    counted = torch.minimum(pixels + 1.0, valid)
    return (counted - 0.5) / (valid + 1e-6) * (2 * math.pi)


def _encode(phase: Tensor, dim: int) -> Tensor:
    exponents = torch.arange(0, dim, 2, device=phase.device) / dim
    angles = phase[..., None] / TEMPERATURE**exponents
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)
