"""Convolutions padded as TensorFlow does it, with the padding spelt out for sides that are no numbers yet."""

from __future__ import annotations

from timm.layers.conv2d_same import Conv2dSame
from torch import nn


def spell_out_same_padding(network: nn.Module) -> None:
    """Gives timm's "same" convolutions in ``network`` padding that does not ask for the size of their input.

    They pad by what is missing at the right and bottom, ``(ceil(n / stride) - 1) * stride + kernel - n`` for a side of
    n, and that is ``kernel - stride`` whenever the stride divides n. On a canvas whose sides are multiples of the
    network's coarsest stride it always does, so that an export with free sides has nothing to calculate there.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv2dSame):
                setattr(parent, name, _padded(child))


def _padded(same: Conv2dSame) -> nn.Sequential:
    sides: list[int] = []
    for kernel, stride, dilation in zip(same.kernel_size[::-1], same.stride[::-1], same.dilation[::-1], strict=True):
        missing = max((kernel - 1) * dilation + 1 - stride, 0)
        sides += [missing // 2, missing - missing // 2]
    plain = nn.Conv2d(
        same.in_channels,
        same.out_channels,
        same.kernel_size,
        same.stride,
        dilation=same.dilation,
        groups=same.groups,
        bias=same.bias is not None,
    )
    plain.weight, plain.bias = same.weight, same.bias
    return nn.Sequential(nn.ZeroPad2d(tuple(sides)), plain)  # type: ignore[arg-type]
