"""Load a trained network from a run folder or from a weights file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from rise_engine.config import LoaderConfig, ModelConfig, RiseConfig
from rise_engine.errors import RiseError
from rise_engine.model.device import choose_device
from rise_engine.model.segmenter import Segmenter
from rise_engine.prediction.postprocess import NMS_IOU
from rise_engine.project.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A trained network in evaluation mode, with the settings that prediction needs."""

    model: Segmenter
    config: RiseConfig
    class_names: tuple[str, ...]
    device: torch.device
    nms_iou: float = NMS_IOU
    """Non-maximum suppression: of two boxes of one class with a larger IoU, the one with the lower score is removed."""


def load_model(source: Path | str, *, device: str = "auto") -> LoadedModel:
    """The network of a run folder (its best weights if it has them) or of a weights file that RISE wrote.

    Raises RiseError when there is nothing to load or RISE did not write it.
    """
    source = Path(source)
    target = choose_device(device)
    if source.is_dir():
        config, class_names = read_run_config(source)
        weights = RunFolder(source).prediction_weights
        if weights is None:
            raise RiseError(f"Run {source} has no weights yet: continue its training with `rise train --resume`.")
    elif source.is_file():
        config, class_names = _read_weights_metadata(source)
        weights = source
    else:
        raise RiseError(f"There is no model at {source}: give a run folder or a .safetensors file.")
    return LoadedModel(_network(config.model, weights).to(target), config, class_names, target)


def read_run_config(folder: Path) -> tuple[RiseConfig, tuple[str, ...]]:
    """The settings of a run and the names of its classes. Raises RiseError when they cannot be read."""
    path = RunFolder(folder).config
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return RiseConfig.model_validate(record["config"]), tuple(record["class_names"])
    except FileNotFoundError as error:
        raise RiseError(f"{folder} is no run: it has no config.json; `rise runs PROJECT` lists the runs.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RiseError(f"The settings in {path} cannot be read: train again, or choose another run.") from error


def _network(config: ModelConfig, weights: Path) -> nn.Module:
    from rise_engine.model import build_segmenter
    from rise_engine.model.weights.load import load_pretrained

    model = build_segmenter(config)
    report = load_pretrained(model, weights)
    if report.missing or report.mismatched:
        raise RiseError(f"{weights} does not fit its own settings: the file is damaged, choose another run.")
    return model.eval()


def _read_weights_metadata(path: Path) -> tuple[RiseConfig, tuple[str, ...]]:
    try:
        with safe_open(path, framework="pt") as weights:
            metadata = weights.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise RiseError(f"{path} is no safetensors file: give a run folder or weights that RISE wrote.") from error
    if "config" not in metadata:
        raise RiseError(
            f"{path} does not say which network it belongs to: only weights that RISE wrote can predict. Weights from "
            "elsewhere can start a training with `rise train --weights FILE`."
        )
    try:
        model = ModelConfig.model_validate_json(metadata["config"])
        loader = LoaderConfig.model_validate_json(metadata.get("loader", "{}"))
        class_names = tuple(json.loads(metadata.get("class_names", '["object"]')))
        return RiseConfig(model=model, loader=loader, class_agnostic=class_names == ("object",)), class_names
    except (ValueError, TypeError, RecursionError) as error:
        raise RiseError(
            f"The settings inside {path} cannot be read: the file is damaged or from a newer RISE."
        ) from error
