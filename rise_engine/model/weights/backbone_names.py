"""Rename backbone tensors of detectron2's ResNet and of the original Swin Transformer to timm's names."""

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
"""Names in the stem and in a block of ``STAGE``; the names of a block's convolutions are the same."""

STAGE = re.compile(r"^res(\d)\.(\d+)\.(.+)$")
"""Stages count from 2 in detectron2 and from 1 in timm."""

ORIGINAL_SWIN: Rules = (
    (r"^.*\.(?:relative_position_index|attn_mask)$", ""),
    (r"^norm0\..*$", ""),
)
"""Constants computed from the window, and the norm of the unused stage of stride 4: both are dropped."""


def to_backbone_name(name: str) -> str:
    """The name in ``Backbone`` for ``name`` in the file; empty for tensors that ``Backbone`` does not need.

    timm halves the map at the beginning of a stage, the original Swin Transformer at the end of the stage before. The
    norms of the outputs are not in timm's network but in ``Backbone.out_norms``.
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
    """The result of the first matching rule, or the unchanged name."""
    for pattern, replacement in rules:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name
