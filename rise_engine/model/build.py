"""From settings to a network."""

from __future__ import annotations

from pathlib import Path

from rise_engine.config import ModelConfig
from rise_engine.model.deformable_segmenter import DeformableSegmenter


def build_segmenter(config: ModelConfig, *, pretrained_backbone: Path | bool | None = None) -> DeformableSegmenter:
    """The network that ``config`` describes, with random weights; reads no file and opens no network.

    ``pretrained_backbone`` is a safetensors file with timm's key names for the backbone alone, or True for the
    weights that timm itself finds, in its cache or online. Raises ``RiseError`` when the backbone is unknown or its
    weights cannot be had or do not fit.
    """
    return DeformableSegmenter(config, pretrained_backbone=pretrained_backbone)
