"""RISE: instance segmentation from a few annotated frames. No Qt, no napari.

The names below are loaded at their first use, so that importing the package is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rise_engine.config import RiseConfig
    from rise_engine.errors import RiseError
    from rise_engine.evaluation.coco import evaluate
    from rise_engine.prediction.load import load_model
    from rise_engine.prediction.predict import predict
    from rise_engine.project.project import Project
    from rise_engine.training.trainer import Trainer

__all__ = ["Project", "RiseConfig", "RiseError", "Trainer", "evaluate", "load_model", "predict"]

_HOMES = {
    "Project": "rise_engine.project.project",
    "RiseConfig": "rise_engine.config",
    "RiseError": "rise_engine.errors",
    "Trainer": "rise_engine.training.trainer",
    "evaluate": "rise_engine.evaluation.coco",
    "load_model": "rise_engine.prediction.load",
    "predict": "rise_engine.prediction.predict",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
