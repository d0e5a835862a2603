"""The buttons "Predict all" and "Predict this frame": the model in use predicts in the engine's process."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from rise_engine.project.records import FrameState
from rise_engine.resources import starter_path
from rise_napari.engine.background import stream_in_background
from rise_napari.tabs.review.prediction_pane import STORED_SCORE
from rise_napari.tabs.tab import button
from rise_napari.workspace import Workspace


class PredictBar(QWidget):
    """Two buttons, and a progress bar while a prediction runs."""

    running_changed = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.running = False
        self.all_frames = button(
            "Predict all",
            self.predict_all,
            "Predict every unlabelled frame with the model in use. Each frame is also predicted with changed lighting, "
            "to measure how much the predictions change.",
        )
        self.this_frame = button("Predict this frame", self.predict_frame, "Predict only the frame in view.")
        self.progress = QProgressBar()
        self.progress.hide()
        row = QHBoxLayout()
        row.addWidget(self.all_frames)
        row.addWidget(self.this_frame)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.progress)

    def has_model(self) -> bool:
        """Whether a model can predict: a finished run, or the starter weights."""
        project = self._workspace.project
        return project is not None and (starter_path() is not None or project.runs.current() is not None)

    @property
    def able(self) -> bool:
        """Whether a prediction could start now."""
        workspace = self._workspace
        return workspace.writable and workspace.frame is not None and self.has_model() and not self.running

    def refresh(self) -> None:
        """Enables the buttons when a prediction could start."""
        for widget in (self.all_frames, self.this_frame):
            widget.setEnabled(self.able)

    def predict_all(self) -> None:
        """Predicts all unlabelled frames in the background."""
        self._predict([frame.id for frame in self._workspace.frames if frame.state is FrameState.UNLABELLED])

    def predict_frame(self) -> None:
        """Predicts the frame in view."""
        if self._workspace.frame is not None:
            self._predict([self._workspace.frame.id])

    def _predict(self, frame_ids: list[int]) -> None:
        project = self._workspace.project
        if project is None or self.running:
            return
        if not frame_ids:
            self._workspace.notify("There is no unlabelled frame to predict.")
            return
        path = str(project.path)
        self.progress.setRange(0, len(frame_ids))
        self.progress.setValue(0)
        self.progress.setFormat("Predicting %v of %m")
        self.progress.show()
        self._set_running(True)
        stream_in_background(
            self._workspace,
            lambda: self._workspace.engine.run("predict", project=path, frames=frame_ids, min_score=STORED_SCORE),
            each=self._show_answer,
            finished=self._finished,
        )

    def _show_answer(self, answer: dict[str, Any]) -> None:
        if "progress" in answer:
            self.progress.setValue(answer["progress"])
        for sentence in answer.get("result", {}).get("unreadable", []):
            self._workspace.notify(sentence, "warning")

    def _finished(self) -> None:
        self.progress.hide()
        self._set_running(False)
        self._workspace.predictions_changed.emit(None)

    def _set_running(self, running: bool) -> None:
        self.running = running
        self.running_changed.emit()
