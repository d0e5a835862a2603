"""Multi-scale deformable attention (Deformable DETR, Sec. 4.1): the layer, and its sampling in several forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from rise_engine.model.deformable_detr.deformops_sampling import sample_deformops
from rise_engine.model.deformable_detr.embedding_bag_sampling import EmbeddingBagSampling
from rise_engine.model.device import moved

AttentionForm = Literal["auto", "grid", "bag", "gather", "fused"]
LevelSizes = Sequence[tuple[int, int]]


class DeformableAttention(nn.Module):
    """Every query attends to a few points around its reference in every level of a feature pyramid.

    ``form`` selects the implementation of the sampling; the result is the same. ``grid``: one ``grid_sample`` per
    level. ``bag``: one weighted ``embedding_bag`` over all corners of all points. ``gather``: plain indexing, for ONNX
    runtimes without a correct GridSample. ``fused``: the CUDA kernel of the package deformops, on other devices
    ``auto``. ``auto``: ``bag`` on a CPU, else ``grid``.
    """

    def __init__(self, *, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"The width {dim} is no multiple of the {heads} heads: change hidden_dim or num_heads.")
        self.heads, self.levels, self.points = heads, levels, points
        self.form: AttentionForm = "auto"
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Points start on one ray per head, at distances 1, 2, ... pixels, with equal weights."""
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        rays = torch.stack([angles.cos(), angles.sin()], -1)
        rays = rays / rays.abs().amax(-1, keepdim=True)
        offsets = rays[:, None, None] * torch.arange(1, self.points + 1)[None, None, :, None]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).reshape(-1))
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self, query: Tensor, references: Tensor, memory: Tensor, sizes: LevelSizes, padding: Tensor | None = None
    ) -> Tensor:
        """Attended values (B, Q, D).

        ``query`` (B, Q, D) with its position added; ``references`` (B or 1, Q, L, 2) xy or (B or 1, Q, L, 4) cxcywh,
        0..1 of each level's padded map; ``memory`` (B, N, D) the flattened levels of ``sizes`` (height, width);
        ``padding`` (B, N), True where memory is padding and counts as zero.
        """
        batch, queries, _ = query.shape
        values = self.value_proj(memory)
        if padding is not None:
            values = values.masked_fill(padding[..., None], 0.0)
        values = values.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, d)
        # Positions of a few hundred pixels need more digits than half precision has.
        full_precision = torch.promote_types(query.dtype, torch.float32)
        shape = (batch, queries, self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query).to(full_precision).view(*shape, 2)
        weights = self.attention_weights(query).to(full_precision).view(*shape[:3], -1).softmax(-1).view(shape)
        locations = sampling_locations(references.to(full_precision), offsets, sizes)
        with torch.autocast(query.device.type, enabled=False):
            sampled = sample(values.to(full_precision), sizes, locations, weights, form=self.form)
        attended: Tensor = self.output_proj(sampled.to(query.dtype))
        return attended


def sampling_locations(references: Tensor, offsets: Tensor, sizes: LevelSizes) -> Tensor:
    """Points (B, Q, heads, L, P, 2), 0..1 of each level, from references (B, Q, L, 2 or 4) and offsets of that shape.

    Offsets count pixels of the level around a reference point, and eighths of the box around a reference box.
    """
    centre = references[:, :, None, :, None, :2]
    if references.shape[-1] == 2:
        scale = torch.tensor([(1 / width, 1 / height) for height, width in sizes]).to(offsets.dtype)
        scale = moved(scale, offsets.device)
        return centre + offsets * scale[:, None]
    return centre + offsets * (references[:, :, None, :, None, 2:] * (0.5 / offsets.shape[-2]))


def sample(
    values: Tensor, sizes: LevelSizes, locations: Tensor, weights: Tensor, *, form: AttentionForm = "auto"
) -> Tensor:
    """Weighted sums of bilinear samples, (B, Q, heads * d); values outside a level are zero.

    ``values`` (B, heads, N, d), ``locations`` (B, Q, heads, L, P, 2) xy 0..1, ``weights`` (B, Q, heads, L, P). Pixel
    i of a level W wide is centred at (i + 0.5) / W.
    """
    if form == "auto" or (form == "fused" and values.device.type != "cuda"):
        form = "bag" if values.device.type == "cpu" else "grid"
    sampler = {"grid": _sample_grid, "bag": _sample_bag, "gather": _sample_gather, "fused": sample_deformops}[form]
    return sampler(values, sizes, locations, weights)


def _sample_grid(values: Tensor, sizes: LevelSizes, locations: Tensor, weights: Tensor) -> Tensor:
    batch, heads, _, channels = values.shape
    queries = locations.shape[1]
    grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Q, L, P, 2)
    shares = weights.transpose(1, 2).flatten(0, 1)[:, None]  # (B * heads, 1, Q, L, P)
    total = values.new_zeros(batch * heads, channels, queries)
    per_level = values.flatten(0, 1).split([height * width for height, width in sizes], 1)
    for level, (level_values, size) in enumerate(zip(per_level, sizes, strict=True)):
        feature_map = level_values.transpose(1, 2).unflatten(-1, size)
        points = grid_sample(feature_map, grids[:, :, level], padding_mode="zeros", align_corners=False)
        total = total + (points * shares[:, :, :, level]).sum(-1)
    return total.view(batch, heads * channels, queries).transpose(1, 2)


def _sample_bag(values: Tensor, sizes: LevelSizes, locations: Tensor, weights: Tensor) -> Tensor:
    sums: Tensor = EmbeddingBagSampling.apply(values, sizes, locations, weights)
    return sums


def _sample_gather(values: Tensor, sizes: LevelSizes, locations: Tensor, weights: Tensor) -> Tensor:
    batch, heads, _, channels = values.shape
    queries = locations.shape[1]
    rows, shares = _corners(sizes, locations, weights)  # (B, Q, heads, L, P, 4)
    indices = rows.transpose(1, 2).flatten(2)  # (B, heads, Q * samples)
    picked = values.gather(2, indices[..., None].expand(-1, -1, -1, channels))
    picked = picked.view(batch, heads, queries, -1, channels)
    sums = (shares.transpose(1, 2).flatten(3)[..., None, :] @ picked).squeeze(-2)  # (B, heads, Q, d)
    return sums.transpose(1, 2).reshape(batch, queries, heads * channels)


def _corners(sizes: LevelSizes, locations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Token indices and weights (B, Q, heads, L, P, 4) of the four pixels around every location.

    A pixel outside its level has weight 0 and the index of some pixel inside.
    """
    extent = torch.tensor([(width, height) for height, width in sizes], device=locations.device)[:, None]  # (L, 1, 2)
    areas = [height * width for height, width in sizes]
    starts = torch.tensor([sum(areas[:level]) for level in range(len(areas))], device=locations.device)[:, None, None]
    position = locations * extent - 0.5
    low = position.floor()
    fraction = position - low.detach()
    low = low.long()
    pixels = torch.stack([low, low + 1], -1)  # (B, Q, heads, L, P, xy, 2)
    inside = (pixels >= 0) & (pixels < extent[..., None])
    shares = torch.stack([1 - fraction, fraction], -1) * inside
    pixels = torch.minimum(pixels.clamp(min=0), extent[..., None] - 1)
    columns, lines = pixels.unbind(-2)
    across, down = shares.unbind(-2)
    rows = (lines * extent[..., 0, None])[..., :, None] + columns[..., None, :]
    corner_shares = (down * weights[..., None])[..., :, None] * across[..., None, :]
    return rows.flatten(-2) + starts, corner_shares.flatten(-2)
