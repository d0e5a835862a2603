"""The folder of a run, ``runs/0001-laptop``: the names of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run's files; a file exists once the training has written it."""

    path: Path

    @property
    def config(self) -> Path:
        """The settings, the class names and the frames that the run was started with, as JSON."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """The log of the training, one event a line."""
        return self.path / "metrics.jsonl"

    @property
    def weights(self) -> Path:
        """The weights after the last step; the hold-out never chooses them."""
        return self.path / "weights.safetensors"

    @property
    def best_weights(self) -> Path:
        """The weights with the best score on the validation frames; absent without validation frames."""
        return self.path / "best.safetensors"

    @property
    def checkpoint(self) -> Path:
        """The state of the training (learner, optimiser, random states), for an exact resume."""
        return self.path / "training_state" / "state.safetensors"

    @property
    def tensorboard(self) -> Path:
        """The folder of the log for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def prediction_weights(self) -> Path | None:
        """The weights that predict: the best ones, else the last ones; None before the first are written."""
        return next((path for path in (self.best_weights, self.weights) if path.is_file()), None)
