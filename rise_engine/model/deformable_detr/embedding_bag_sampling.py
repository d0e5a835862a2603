"""Sampling of deformable attention by one weighted embedding bag: several times faster on a CPU than ``grid_sample``.

A row of the bag's table has the channels of one pixel of one head. Each level has a border of zeros in the table, so
points outside need no special case: they are moved to the border, read zeros and get no gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# torch warns once per process that the interface of its sparse matrices may change.
warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")

BORDER = 2
"""Zero pixels around each level: all four corners of a point 1.5 pixels outside are still in the border."""


class BorderedLevels:
    """Rows of the pixels of all levels in a table with borders, and numbers per level repeated for P points."""

    def __init__(self, sizes: Sequence[tuple[int, int]], points: int, like: Tensor) -> None:
        device = like.device
        strides = [width + 2 * BORDER for _, width in sizes]
        areas = [(height + 2 * BORDER) * stride for (height, _), stride in zip(sizes, strides, strict=True)]
        starts = [sum(areas[:level]) for level in range(len(areas))]
        origins = [start + BORDER * (stride + 1) for start, stride in zip(starts, strides, strict=True)]
        self.points = points
        self.length = sum(areas)
        self.rows = torch.cat(
            [
                (torch.arange(height)[:, None] * stride + torch.arange(width) + origin).flatten()
                for (height, width), stride, origin in zip(sizes, strides, origins, strict=True)
            ]
        ).to(device)
        """(N,) the table's row of every token."""

        def repeated(numbers: Sequence[int]) -> Tensor:
            return torch.tensor(numbers, dtype=like.dtype, device=device).repeat_interleave(points)

        self.widths = repeated([width for _, width in sizes])
        self.heights = repeated([height for height, _ in sizes])
        self.strides = repeated(strides)
        self.origins = repeated(origins)
        zeros = torch.zeros_like(self.strides)
        self.corners = torch.stack([zeros, zeros + 1, self.strides, self.strides + 1]).int()
        """(4, L * P) steps in the table from a point's top left pixel to its four pixels."""


class EmbeddingBagSampling(torch.autograd.Function):
    """``sample`` of ``deformable_attention`` with values (B, heads, N, d); the gradient reaches all three inputs.

    torch's gradient of an embedding bag sorts all indices, which costs more than all other operations together. Here
    it is one product with a sparse matrix.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, sizes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
    ) -> Tensor:
        """(B, Q, heads * d); ``locations`` (B, Q, heads, L, P, 2), ``weights`` (B, Q, heads, L, P)."""
        batch, heads, _, channels = values.shape
        levels = BorderedLevels(sizes, weights.shape[-1], values)
        table = values.new_zeros(batch, heads, levels.length, channels).index_copy_(2, levels.rows, values)
        flat = locations.flatten(-3, -2)  # (B, Q, heads, L * P, 2)
        x, left = _split(flat[..., 0], levels.widths)
        y, top = _split(flat[..., 1], levels.heights)
        # Clamped: NaN locations must give NaN results and no index outside the table.
        first = top.mul_(levels.strides).add_(left).add_(levels.origins).int().clamp_(0, levels.length - 1)
        offsets = torch.arange(batch * heads, dtype=torch.int32, device=values.device) * levels.length
        first += offsets.view(batch, 1, heads, 1)
        indices = (first[..., None, :] + levels.corners).flatten(-2).flatten(0, 2)  # (bags, 4 * L * P)
        attention = weights.flatten(-2)
        shares = attention.new_empty(*attention.shape[:-1], 4, attention.shape[-1])
        lower = attention * y
        upper = attention - lower
        torch.mul(upper, x, out=shares[..., 1, :])
        torch.sub(upper, shares[..., 1, :], out=shares[..., 0, :])
        torch.mul(lower, x, out=shares[..., 3, :])
        torch.sub(lower, shares[..., 3, :], out=shares[..., 2, :])
        shares = shares.flatten(-2).flatten(0, 2)
        table = table.view(-1, channels)
        sums = F.embedding_bag(indices, table, per_sample_weights=shares, mode="sum")
        ctx.save_for_backward(table, indices, shares, x, y, attention)
        ctx.levels = levels
        return sums.view(batch, -1, heads * channels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        """Gradients of values, locations and weights from that of the sums."""
        table, indices, shares, x, y, attention = ctx.saved_tensors
        levels: BorderedLevels = ctx.levels
        batch, queries, heads, samples = attention.shape
        gradient = gradient.reshape(-1, table.shape[-1])
        bags = torch.arange(len(indices), device=table.device)
        spread = torch.stack([indices.long(), bags[:, None].expand(indices.shape)]).flatten(1)
        transposed = torch.sparse_coo_tensor(
            spread, shares.flatten(), (len(table), len(indices)), check_invariants=False
        )
        to_table = torch.sparse.mm(transposed, gradient).view(batch, heads, levels.length, -1)
        to_values = to_table.index_select(2, levels.rows)
        to_shares = _products(gradient, table, indices)
        # The sample of a point is corner + x * across + y * (down + x * twist); these are its derivatives.
        corner, right, below, opposite = to_shares.view(batch, queries, heads, 4, samples).unbind(-2)
        across, down = right - corner, below - corner
        twist = opposite - below - across
        by_x = torch.addcmul(across, twist, y)
        by_y = torch.addcmul(down, twist, x)
        to_attention = torch.addcmul(corner, across, x).addcmul_(by_y, y)
        to_locations = torch.stack(
            [by_x.mul_(attention).mul_(levels.widths), by_y.mul_(attention).mul_(levels.heights)], -1
        )
        shape = (batch, queries, heads, -1, levels.points)
        return to_values, None, to_locations.view(*shape, 2), to_attention.view(shape)


def _products(gradient: Tensor, table: Tensor, indices: Tensor) -> Tensor:
    """Dot products (bags, n) of each bag's gradient (bags, d) with the rows of the table that its indices name.

    As the entries of a matrix product that a sparse matrix has: three times as fast as torch's own gradient of an
    embedding bag's weights.
    """
    ends = torch.arange(0, indices.numel() + 1, indices.shape[1], dtype=indices.dtype, device=table.device)
    entries = table.new_zeros(indices.numel())
    wanted = torch.sparse_csr_tensor(
        ends, indices.flatten(), entries, (len(indices), len(table)), check_invariants=False
    )
    return torch.sparse.sampled_addmm(wanted, gradient, table.t(), beta=0.0).values().view(indices.shape)


def _split(positions: Tensor, extents: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (..., L * P), 0..1 of ``extents`` pixels, as the fraction beyond and the number of the pixel before.

    Positions outside by more than a pixel are brought to where all their corners lie in the frame.
    """
    pixels = (positions * extents).sub_(0.5)
    pixels = torch.minimum(pixels, extents + 0.5, out=pixels).clamp_(min=-1.5)
    before = pixels.floor()
    return pixels.sub_(before), before
