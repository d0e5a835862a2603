"""Keep depthwise convolutions in single precision on a CPU, where half precision makes their gradient very slow."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn


def keep_depthwise_precise(network: nn.Module) -> None:
    """Disables autocast on a CPU for convolutions with groups; results without autocast do not change."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.__class__ = _precise(type(module))  # type: ignore[arg-type]  # a class is hashable


@cache
def _precise(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """A subclass of a convolution class, possibly one of timm's, that disables autocast on a CPU."""

    class Precise(kind):  # type: ignore[valid-type, misc]
        def forward(self, features: Tensor) -> Any:
            if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
                return super().forward(features)
            with torch.autocast("cpu", enabled=False):
                return super().forward(features.float())

    return Precise
