"""The live predictions of the frame in view during a training: a score slider and a line of counts."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSlider, QVBoxLayout, QWidget

from rise_engine.project.wording import number_of
from rise_napari.workspace import Workspace

DEFAULT_SCORE = 0.5


class LivePredictions(QWidget):
    """Sets which live predictions the canvas shows; it has no influence on the training."""

    def __init__(self, workspace: Workspace, *, hide_below: Callable[[float], None]) -> None:
        super().__init__()
        self._workspace = workspace
        self._hide_below = hide_below
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.score = QSlider(Qt.Orientation.Horizontal)
        self.score.setRange(30, 99)
        self.score.setValue(round(DEFAULT_SCORE * 100))
        self.score.setToolTip("Live predictions below this score are hidden. This does not change the training.")
        self.score.valueChanged.connect(lambda _value: self._score_changed())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.counts)
        layout.addWidget(self.score)
        workspace.frame_changed.connect(self.refresh)
        self._score_changed()

    def _score_changed(self) -> None:
        self._hide_below(self._min_score)
        self.refresh()

    @property
    def _min_score(self) -> float:
        return self.score.value() / 100

    def refresh(self) -> None:
        """Counts the predictions of the latest preview."""
        preview, frame = self._workspace.training.preview, self._workspace.frame
        if preview is None or frame is None or preview.frame != frame.name:
            self.counts.setText("Waiting for live predictions of the frame in view…")
            return
        shown = sum(one.score >= self._min_score for one in preview.predictions)
        self.counts.setText(
            f"Live predictions at step {preview.step:,}: {shown} of {len(preview.predictions)} have a score of at "
            f"least {self._min_score:.2f}. {number_of(len(preview.pseudo_labels), 'prediction')} would become "
            "pseudo-labels."
        )
