"""The report of a training below the Start button: run, step, loss, remaining time, hold-out score, result."""

from __future__ import annotations

import time
from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from rise_engine.project.wording import duration
from rise_engine.training.events import Event, HoldoutScore, Losses, ToBeat
from rise_napari.training.session import RunState, TrainingSession


class TrainingReport(QLabel):
    """A few lines of text that follow the events of the training."""

    def __init__(self, training: TrainingSession) -> None:
        super().__init__()
        self._training = training
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.reset()

    def reset(self) -> None:
        """Forgets the scores and the loss of the previous training."""
        self._score: HoldoutScore | None = None
        self._to_beat: ToBeat | None = None
        self._loss: float | None = None

    def add(self, events: Sequence[Event]) -> None:
        """Takes the scores and the loss from a batch of events."""
        for event in events:
            match event:
                case HoldoutScore():
                    self._score = event
                case ToBeat():
                    self._to_beat = event
                case Losses():
                    self._loss = event.total
                case _:
                    pass
        self.refresh()

    def refresh(self) -> None:
        """Writes the lines again."""
        lines = [*self._start_lines(), *self._progress_lines(), *self._score_lines(), *self._end_lines()]
        self.setText("<br>".join(lines))
        self.setVisible(bool(lines))

    def _start_lines(self) -> list[str]:
        started = self._training.started
        if started is None:
            return []
        message = f"{started.message[:1].upper()}{started.message[1:]}"
        return [f"Run {started.run} on {started.device}. {message}".strip()]

    def _progress_lines(self) -> list[str]:
        training, progress = self._training, self._training.progress
        if progress is None:
            return []
        loss = f", loss {self._loss:.3g}" if self._loss is not None else ""
        lines = [f"Step {progress.step:,} of {progress.steps:,}, {progress.seconds_per_step:.2f} s per step{loss}."]
        if training.state is RunState.TRAINING:
            elapsed = duration(time.monotonic() - training.began)
            lines.append(f"{elapsed} elapsed, about {duration(progress.seconds_left)} left.")
        return lines

    def _score_lines(self) -> list[str]:
        if self._score is None:
            return []
        best = self._to_beat
        current = f"; model in use: {best.ap:.1f} (run {best.run})" if best is not None else ""
        return [f"Hold-out: mask AP {self._score.ap:.1f}, AP50 {self._score.ap50:.1f}{current}."]

    def _end_lines(self) -> list[str]:
        failure, finished = self._training.failure, self._training.finished
        lines = []
        if failure is not None:
            lines.append(f"<b>Failed:</b> {failure.message} {failure.hint}")
        if finished is not None:
            how = "Stopped" if finished.stopped else "Finished"
            lines.append(f"{how}. The model is in {finished.folder}. {finished.verdict}".strip())
        return lines
