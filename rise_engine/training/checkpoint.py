"""Functions that write and read the files of a run, to resume it and to predict; each file is replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from rise_engine.atomic import write_bytes, write_text
from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.model.weights.load import save_weights
from rise_engine.project.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class TrainingState:
    """``step`` counts finished steps; ``annotations`` names the cut-outs in the bank as (frame, annotation id)."""

    step: int
    steps: int
    best_ap: float | None = None
    annotations: list[tuple[str, int]] = field(default_factory=list)
    skipped: int = 0
    """Steps so far whose gradients were not finite."""


def save_state(
    folder: Path,
    state: TrainingState,
    *,
    model: nn.Module,
    teacher: nn.Module | None,
    optimiser: torch.optim.Optimizer,
) -> Path:
    """Writes the student, the averaged teacher, the optimiser's moments and the random states: an exact resume."""
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    if (gpu := _gpu_of(model)) is not None:
        tensors["random_gpu"] = torch.cuda.get_rng_state(gpu)
    tensors |= {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if teacher is not None:
        tensors |= {f"teacher.{name}": tensor for name, tensor in teacher.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    metadata = asdict(state)
    path = RunFolder(folder).checkpoint
    path.parent.mkdir(exist_ok=True)
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(contiguous, metadata={"state": json.dumps(metadata)}))
    return path


def save_description(
    path: Path,
    config: RiseConfig,
    class_names: Sequence[str],
    *,
    labelled: Sequence[str],
    unlabelled: int,
    holdout: Sequence[str],
    validation: Sequence[str],
) -> None:
    """Writes the settings, the class names and the frames that a run is started with, as JSON.

    ``labelled``, ``holdout`` and ``validation`` are file names, ``unlabelled`` is a number of frames.
    """
    description = {
        "config": config.model_dump(mode="json"),
        "class_names": list(class_names),
        "labelled": list(labelled),
        "unlabelled": unlabelled,
        "holdout": list(holdout),
        "validation": list(validation),
    }
    write_text(path, json.dumps(description, indent=1))


def save_prediction_weights(path: Path, network: nn.Module, config: RiseConfig, class_names: Sequence[str]) -> None:
    """Writes a network's weights with the settings and class names that prediction needs."""
    metadata = {
        "config": config.model.model_dump_json(),
        "loader": config.loader.model_dump_json(),
        "class_names": json.dumps(list(class_names)),
    }
    save_weights(network, path, metadata=metadata)


def load_state(
    folder: Path,
    *,
    model: nn.Module,
    teacher: nn.Module | None,
    optimiser: torch.optim.Optimizer,
) -> TrainingState:
    """Puts everything back; ``RiseError`` when there is no state or it belongs to another network."""
    path = RunFolder(folder).checkpoint
    if not path.is_file():
        name = path.relative_to(folder).as_posix()
        raise RiseError(f"nothing to resume in {folder}: the run has no {name}; start it without --resume")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no dict
        model.load_state_dict(_part(tensors, "model."))
        if teacher is not None:
            teacher.load_state_dict(_part(tensors, "teacher."))
        saved = optimiser.state_dict()
        saved["state"] = _moments(_part(tensors, "optimiser."))
        optimiser.load_state_dict(saved)
        torch.set_rng_state(tensors["random"])
        # A run may continue on another device than it began on; its random numbers then differ.
        if (gpu := _gpu_of(model)) is not None and "random_gpu" in tensors:
            torch.cuda.set_rng_state(tensors["random_gpu"], gpu)
        annotations = [(str(frame), int(annotation)) for frame, annotation in metadata["annotations"]]
        return TrainingState(
            metadata["step"], metadata["steps"], metadata["best_ap"], annotations, int(metadata.get("skipped", 0))
        )
    except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise RiseError(f"{path} does not fit this run ({error}); start it without --resume") from error


def _gpu_of(model: nn.Module) -> torch.device | None:
    """The CUDA device of a network, which has its own random state; None on other devices."""
    device = next(model.parameters()).device
    return device if device.type == "cuda" else None


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _moments(tensors: dict[str, Tensor]) -> dict[int, dict[str, Any]]:
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = tensor
    return moments
