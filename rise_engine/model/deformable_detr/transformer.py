"""Encoder and decoder layers of Deformable DETR, prediction heads, and box refinement (Deformable DETR, Sec. 4)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from rise_engine.model.deformable_detr.attention import DeformableAttention, LevelSizes
from rise_engine.model.deformable_detr.dropout import dropout, relu_dropout


class FeedForward(nn.ModuleList):
    """Two linear layers with ReLU between, dropout after each."""

    def __init__(self, dim: int, hidden: int, rate: float) -> None:
        super().__init__([nn.Linear(dim, hidden), nn.Linear(hidden, dim)])
        self.rate = rate

    def forward(self, features: Tensor) -> Tensor:
        """(..., dim) to (..., dim)."""
        hidden = relu_dropout(self[0](features), self.rate, self.training)
        return dropout(self[1](hidden), self.rate, self.training)


class MLP(nn.Module):
    """Linear layers with ReLU between, as the box, embedding and mask heads use."""

    def __init__(self, dim: int, out: int, *, layers: int = 3) -> None:
        super().__init__()
        widths = [dim] * layers + [out]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, features: Tensor) -> Tensor:
        """(..., dim) to (..., out)."""
        *hidden, last = self.layers
        for layer in hidden:
            features = layer(features).relu()
        result: Tensor = last(features)
        return result


class EncoderLayer(nn.Module):
    """Deformable self-attention among the pixels of all levels, then a feed-forward part; norms come after."""

    def __init__(self, *, dim: int, heads: int, levels: int, points: int, feedforward_dim: int, rate: float) -> None:
        super().__init__()
        self.attn = DeformableAttention(dim=dim, heads=heads, levels=levels, points=points)
        self.norm_attn = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, feedforward_dim, rate)
        self.norm_ffn = nn.LayerNorm(dim)
        self.rate = rate

    def forward(
        self, memory: Tensor, position: Tensor, references: Tensor, sizes: LevelSizes, padding: Tensor | None
    ) -> Tensor:
        """``memory`` (B, N, D), ``position`` (B or 1, N, D), ``references`` (B or 1, N, L, 2), ``padding`` (B, N)."""
        attended = self.attn(memory + position, references, memory, sizes, padding)
        memory = self.norm_attn(memory + dropout(attended, self.rate, self.training))
        result: Tensor = self.norm_ffn(memory + self.ffn(memory))
        return result


class DecoderLayer(nn.Module):
    """Attention among the queries, deformable attention from queries to pixels, feed-forward; norms come after."""

    def __init__(self, *, dim: int, heads: int, levels: int, points: int, feedforward_dim: int, rate: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, dropout=rate, batch_first=True)
        self.norm_self = nn.LayerNorm(dim)
        self.cross_attn = DeformableAttention(dim=dim, heads=heads, levels=levels, points=points)
        self.norm_cross = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, feedforward_dim, rate)
        self.norm_ffn = nn.LayerNorm(dim)
        self.rate = rate

    def forward(
        self,
        queries: Tensor,
        position: Tensor,
        references: Tensor,
        memory: Tensor,
        sizes: LevelSizes,
        padding: Tensor | None,
    ) -> Tensor:
        """``queries`` and ``position`` (B, Q, D), ``references`` (B, Q, L, 2 or 4), ``memory`` (B, N, D)."""
        placed = queries + position
        attended = self.self_attn(placed, placed, queries, need_weights=False)[0]
        queries = self.norm_self(queries + dropout(attended, self.rate, self.training))
        attended = self.cross_attn(queries + position, references, memory, sizes, padding)
        queries = self.norm_cross(queries + dropout(attended, self.rate, self.training))
        result: Tensor = self.norm_ffn(queries + self.ffn(queries))
        return result


def pixel_references(sizes: LevelSizes, valid_ratios: Tensor) -> Tensor:
    """Reference points (B, N, L, 2) of the encoder: the centre of every pixel, in every level.

    ``valid_ratios`` (B, L, 2) is the share of each level's width and height without padding.
    """
    device = valid_ratios.device
    centres = []
    for level, (height, width) in enumerate(sizes):
        y = (torch.arange(height, device=device) + 0.5) / (valid_ratios[:, level, 1, None] * height)  # (B, H)
        x = (torch.arange(width, device=device) + 0.5) / (valid_ratios[:, level, 0, None] * width)  # (B, W)
        full = (-1, height, width)
        centres.append(torch.stack([x[:, None].expand(*full), y[:, :, None].expand(*full)], -1).flatten(1, 2))
    return torch.cat(centres, 1)[:, :, None] * valid_ratios[:, None]


def refine_boxes(correction: Tensor, references: Tensor) -> Tensor:
    """Boxes (B, Q, 4) cxcywh 0..1: the references (B, Q, 2 or 4), shifted by the correction before the sigmoid."""
    base = inverse_sigmoid(references)
    if base.shape[-1] == 2:
        base = nn.functional.pad(base, (0, 2))
    return (correction + base).sigmoid()


def inverse_sigmoid(probabilities: Tensor, eps: float = 1e-5) -> Tensor:
    """Logits of probabilities; the probability and its complement are at least ``eps``."""
    clamped = probabilities.clamp(0, 1)
    return torch.log(clamped.clamp(min=eps) / (1 - clamped).clamp(min=eps))
