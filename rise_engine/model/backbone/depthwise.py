"""Depthwise convolutions stay in single precision on a CPU, where half precision slows their gradient down severalfold;
everything around them gains from it."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


def keep_depthwise_precise(network: nn.Module) -> None:
    """Takes the convolutions with groups out of autocast on a CPU; weights, names and results without it stay."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.__class__ = _precise(type(module))  # type: ignore[arg-type]  # a class is hashable


@cache
def _precise(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """The kind of convolution, which may be one of timm's own, outside of autocast."""

    class Precise(kind):  # type: ignore[valid-type, misc]
        def forward(self, features: Tensor) -> Any:
            if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
                return super().forward(features)
            with torch.autocast("cpu", enabled=False):
                return super().forward(features.float())

    return Precise
