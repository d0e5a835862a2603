"""Static padding for TensorFlow-style "same" convolutions, for exports with dynamic image size."""

from __future__ import annotations

from timm.layers.conv2d_same import Conv2dSame
from torch import nn


def make_same_padding_static(network: nn.Module) -> None:
    """Replaces timm's "same" convolutions in ``network`` by convolutions with constant padding.

    For a side n, they pad by ``(ceil(n / stride) - 1) * stride + kernel - n``, which is ``kernel - stride`` when the
    stride divides n. This is always true when the sides of the image are multiples of the network's coarsest stride,
    so an export with dynamic size needs no computation here.
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
