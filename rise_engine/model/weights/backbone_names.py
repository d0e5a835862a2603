"""What the tensors of detectron2's ResNet and of the original Swin Transformer are called in timm."""

from __future__ import annotations

import re
from collections.abc import Sequence

Rules = Sequence[tuple[str, str]]

DETECTRON2_RESNET: Rules = (
    (r"^stem\.conv1\.weight$", "conv1.weight"),
    (r"^stem\.conv1\.norm\.", "bn1."),
    (r"^shortcut\.weight$", "downsample.0.weight"),
    (r"^shortcut\.norm\.", "downsample.1."),
    (r"^conv(\d)\.norm\.", r"bn\1."),
)
"""Of the stem, and of a block of ``STAGE``; a block's convolutions are called the same."""

STAGE = re.compile(r"^res(\d)\.(\d+)\.(.+)$")
"""Stages count from 2 in detectron2 and from 1 in timm."""

ORIGINAL_SWIN: Rules = (
    (r"^.*\.(?:relative_position_index|attn_mask)$", ""),
    (r"^norm0\..*$", ""),
)
"""Numbers that follow from the window, and the norm of a stage of stride 4 that is not read: both are dropped."""


def to_backbone_name(name: str) -> str:
    """The name within ``Backbone`` of what the file calls ``name``; empty for what has no place there by design.

    timm does in a stage's beginning what the original Swin Transformer does in the end of the stage before: halve
    the map. The norms of its outputs are no part of timm's network, hence beside it.
    """
    if found := STAGE.match(name):
        stage, block, rest = found.groups()
        return f"net.layer{int(stage) - 1}.{block}.{rename(rest, DETECTRON2_RESNET)}"
    if found := re.match(r"^norm([1-3])\.(.+)$", name):
        return f"out_norms.{int(found[1]) - 1}.{found[2]}"
    if found := re.match(r"^layers\.(\d)\.downsample\.(.+)$", name):
        return f"net.layers_{int(found[1]) + 1}.downsample.{found[2]}"
    renamed = rename(name, (*DETECTRON2_RESNET, *ORIGINAL_SWIN, (r"^layers\.(\d)\.", r"layers_\1.")))
    return renamed and f"net.{renamed}"


def rename(name: str, rules: Rules) -> str:
    """The result of the first rule that matches, or the name as it is."""
    for pattern, replacement in rules:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name
