"""Sampling of deformable attention by the CUDA kernels of the optional package deformops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from rise_engine.errors import RiseError


def sample_deformops(values: Tensor, sizes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """``sample`` of ``deformable_attention``: (B, Q, heads * d) of values (B, heads, N, d).

    No sample is kept for the gradient, which saves most of the memory. Raises ``RiseError`` without the package.
    """
    try:
        from deformops.registry import msda
    except ImportError as error:
        raise RiseError(
            f"model.attention=deformops needs the package deformops ({error}): "
            "pip install deformops (Python 3.12 or 3.13), or use --set model.attention=torch."
        ) from error
    starts = [0, *accumulate(height * width for height, width in sizes)][:-1]
    shapes = torch.tensor(sizes, device=values.device)
    sums: Tensor = msda(values.transpose(1, 2), shapes, torch.tensor(starts, device=values.device), locations, weights)
    return sums
