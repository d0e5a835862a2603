"""Build the network that a ``ModelConfig`` describes, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rise_engine.config import ModelConfig
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter

if TYPE_CHECKING:
    from rise_engine.model.mask2former import Mask2FormerSegmenter


def build_segmenter(
    config: ModelConfig, *, pretrained_backbone: Path | bool | None = None
) -> DeformableSegmenter | Mask2FormerSegmenter:
    """The network that ``config`` describes, with random weights; reads no file and opens no network.

    ``pretrained_backbone`` is a safetensors file with timm's key names for the backbone alone, or True for the
    weights that timm itself finds, in its cache or online. Raises ``RiseError`` when the backbone is unknown, its
    weights cannot be loaded or do not fit, or the kind of network needs a package that is not installed.
    """
    if config.kind == "mask2former":
        from rise_engine.model.mask2former import Mask2FormerSegmenter

        return Mask2FormerSegmenter(config, pretrained_backbone=pretrained_backbone)
    return DeformableSegmenter(config, pretrained_backbone=pretrained_backbone)
