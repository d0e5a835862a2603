"""From settings to a network."""

from __future__ import annotations

from pathlib import Path

from rise_engine.config import ModelConfig
from rise_engine.model.deformable_segmenter import DeformableSegmenter


def build_segmenter(config: ModelConfig, *, pretrained_backbone: Path | None = None) -> DeformableSegmenter:
    """The network that ``config`` describes, with random weights; reads no file and opens no network.

    ``pretrained_backbone`` is a safetensors file with timm's key names for the backbone alone. Raises ``RiseError``
    when the backbone is unknown or the file does not fit.
    """
    return DeformableSegmenter(config, pretrained_backbone=pretrained_backbone)
