from __future__ import annotations

import copy

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from rise_engine.model.backbone.depthwise import keep_depthwise_precise


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8), Conv2dSame(8, 8, 3, stride=2, groups=8)
    )


def test_depthwise_convolutions_are_precise_under_autocast_and_others_are_not() -> None:
    plain = network()
    precise = network()
    keep_depthwise_precise(precise)
    # A teacher is a copy, and has to be like its original.
    precise = copy.deepcopy(precise)
    assert list(precise.state_dict()) == list(plain.state_dict())
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(precise(images), plain(images))
    with torch.autocast("cpu", torch.bfloat16):
        dense = precise[0](images)
        assert dense.dtype == torch.bfloat16
        for layer, again in ((precise[1], plain[1]), (precise[2], plain[2])):
            result = layer(dense)
            assert result.dtype == torch.float32
            with torch.autocast("cpu", enabled=False):
                assert torch.equal(result, again(dense.float()))
            assert again(dense).dtype == torch.bfloat16
