"""Settings of a network and frames small enough to be trained for a few steps within a test."""

from __future__ import annotations

from rise_engine.config import RiseConfig

FRESH = ("weights=none", "device=cpu")
"""Random weights, on the CPU."""

TINY = (
    "model.hidden_dim=32",
    "model.encoder_layers=1",
    "model.decoder_layers=1",
    "model.num_queries=12",
    "model.num_heads=4",
    "model.feedforward_dim=32",
    "loader.short_sides=[64]",
    "loader.crop=96",
    "loader.predict_short_side=64",
    "loader.predict_long_side=96",
)

KEEP_UNTRAINED = ("pseudo_labels.threshold_start=0.001", "pseudo_labels.threshold_peak=0.002")
"""Class thresholds that also the predictions of an untrained network pass."""


def tiny_config(*settings: str) -> RiseConfig:
    """The ``laptop`` preset at the size of ``TINY`` with random weights, and further settings."""
    return RiseConfig.preset("laptop").with_settings([*FRESH, *TINY, *settings])
