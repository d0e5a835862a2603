"""Fast dropout on a CPU: four 16-bit random values from each 64-bit random number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LEVELS = 2**16
"""Rates are rounded to multiples of 1 / LEVELS, because each random value has 16 bits."""


def dropout(features: Tensor, rate: float, training: bool) -> Tensor:
    """In training, zeroes each element with probability ``rate`` and scales the others by 1 / (1 - rate)."""
    if not training or rate == 0:
        return features
    return torch.where(kept(features, rate), features, 0.0) * (1 / (1 - rate))


def relu_dropout(features: Tensor, rate: float, training: bool) -> Tensor:
    """ReLU, then dropout in training; the gradient is computed from the result alone."""
    if not training or rate == 0:
        return features.relu()
    result: Tensor = _ReluDropout.apply(features, kept(features, rate), 1 / (1 - rate))
    return result


def kept(features: Tensor, rate: float) -> Tensor:
    """Bool in the shape of ``features``, each True with probability 1 - ``rate``, from torch's generator."""
    if features.device.type != "cpu":
        return torch.empty_like(features, dtype=torch.bool).bernoulli_(1 - rate)
    count = features.numel()
    numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    values = numbers.view(torch.int16)[:count].view(features.shape)
    return values >= round(rate * LEVELS) - LEVELS // 2


class _ReluDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, keep: Tensor, scale: float) -> Tensor:
        result = torch.where(keep, features, 0.0).clamp_(min=0).mul_(scale)
        ctx.save_for_backward(result)
        ctx.scale = scale
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (result,) = ctx.saved_tensors
        return torch.where(result > 0, gradient, 0.0).mul_(ctx.scale), None, None
