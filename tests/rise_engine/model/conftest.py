"""A network small enough to be built in every test."""

from __future__ import annotations

import pytest
import torch

from rise_engine.config import ModelConfig
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter


@pytest.fixture
def tiny_config() -> ModelConfig:
    return ModelConfig(
        backbone="resnet18",
        num_classes=3,
        hidden_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_queries=10,
        num_heads=4,
        feedforward_dim=48,
        dropout=0.0,
    )


@pytest.fixture
def tiny_model(tiny_config: ModelConfig) -> DeformableSegmenter:
    """Random weights everywhere: fresh heads would give every query the same score."""
    torch.manual_seed(0)
    model = DeformableSegmenter(tiny_config)
    for name, parameter in model.named_parameters():
        if not name.startswith("backbone.") and parameter.dim() > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()
