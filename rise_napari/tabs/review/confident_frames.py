"""The button that accepts all predictions of the frames that are entirely above the score threshold."""

from __future__ import annotations

from qtpy.QtWidgets import QMessageBox, QPushButton

from rise_engine.project.records import FrameState
from rise_engine.project.wording import number_of
from rise_napari.workspace import Workspace


class ConfidentFramesButton(QPushButton):
    """Counts the confident frames, asks, and accepts them. A frame with one prediction below is not confident."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._min_score = 0.0
        self._predictions: dict[int, list[int]] = {}
        """Ids of the predictions, by the id of their frame."""
        self.clicked.connect(lambda _checked=False: self.ask_and_accept())

    def count(self, min_score: float) -> None:
        """Reads which unlabelled frames have predictions, all of them at or above ``min_score``."""
        self._min_score = min_score
        project = self._workspace.project
        self._predictions = {}
        if project is not None:
            unlabelled = {one.id for one in self._workspace.frames if one.state is FrameState.UNLABELLED}
            found = project.predictions.sure(min_score)
            self._predictions = {frame: ids for frame, ids in found.items() if frame in unlabelled}
        self._show_count()

    def clear(self) -> None:
        """Forgets the frames, without reading the project."""
        self._predictions = {}
        self._show_count()

    def _show_count(self) -> None:
        frames = number_of(len(self._predictions), "frame")
        text = f"Accept {frames} above the threshold: {number_of(self._total, 'prediction')}…"
        self.setText(text if self._predictions else "No frame is entirely above the threshold")
        self.setToolTip(
            f"Accept the frames that have no prediction with a score below {self._min_score:.2f}, the value of the "
            "slider. A dialog asks first, and one undo reverts it."
        )
        self.setEnabled(self._workspace.writable and bool(self._predictions))

    @property
    def _total(self) -> int:
        return sum(map(len, self._predictions.values()))

    def ask_and_accept(self) -> None:
        """Accepts every prediction of the confident frames after the person has confirmed."""
        project, predictions = self._workspace.project, dict(self._predictions)
        if project is None or not predictions:
            return
        amount = f"{number_of(self._total, 'prediction')} in {number_of(len(predictions), 'frame')}"
        question = (
            f"Accept {amount}? All predictions of these frames have a score of at least {self._min_score:.2f}. "
            "The frames will be marked as reviewed. Undo reverts this."
        )
        title = "Accept frames above the threshold"
        if QMessageBox.question(self, title, question) != QMessageBox.StandardButton.Yes:
            return
        self._workspace.save_requested.emit()
        with self._workspace.reporting_errors():
            project.predictions.accept([number for ids in predictions.values() for number in ids])
            self._workspace.reload()
            self._workspace.notify(f"Accepted {amount}.")
