"""Every setting of a run: typed, checked, and the single source of defaults."""

from __future__ import annotations

from rise_engine.config.presets import PRESETS, RECIPES, PresetName, RecipeName
from rise_engine.config.rise_config import RiseConfig
from rise_engine.config.sections import (
    AugmentConfig,
    LoaderConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    PseudoLabelConfig,
    ScheduleConfig,
    Section,
    SequenceConfig,
    StrongOperation,
)

__all__ = [
    "PRESETS",
    "RECIPES",
    "AugmentConfig",
    "LoaderConfig",
    "LossConfig",
    "ModelConfig",
    "OptimiserConfig",
    "PresetName",
    "PseudoLabelConfig",
    "RecipeName",
    "RiseConfig",
    "ScheduleConfig",
    "Section",
    "SequenceConfig",
    "StrongOperation",
]
