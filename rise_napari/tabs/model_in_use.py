"""The choice of the run that predicts."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from rise_engine.project.maintenance.report import holdout_ap
from rise_engine.project.records import RunRecord
from rise_napari.tabs.tab import allow_narrow
from rise_napari.workspace import Workspace


class ModelInUse(QWidget):
    """A combo box with the finished runs; the selected one predicts."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.runs = QComboBox()
        self.runs.setToolTip(
            "This model predicts. A training can start from it, and it is the one to export. After a training the new "
            "model is used, unless its hold-out AP is lower."
        )
        self.runs.activated.connect(self._chosen)
        allow_narrow(self.runs)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Model in use"))
        layout.addWidget(self.runs, 1)

    def refresh(self) -> None:
        """Reads the project again."""
        project = self._workspace.project
        runs = [run for run in project.runs.all() if run.finished is not None] if project is not None else []
        current = project.runs.current() if project is not None and runs else None
        self.runs.clear()
        for run in reversed(runs):
            self.runs.addItem(describe_run(run), run.number)
        if current is not None:
            self.runs.setCurrentIndex(self.runs.findData(current.number))
        self.setVisible(len(runs) > 0)
        self.runs.setEnabled(self._workspace.writable and not self._workspace.training.running)

    def use(self, number: int) -> None:
        """Uses a run for predictions from now on."""
        workspace = self._workspace
        if workspace.project is None or not workspace.writable:
            return
        with workspace.reporting_errors():
            workspace.project.runs.choose(number)
            workspace.notify(
                f"Run {number} is in use now. Press Predict all in the Review tab to update the predictions."
            )
            workspace.predictions_changed.emit(None)
            workspace.refresh_frames()

    def _chosen(self, _row: int) -> None:
        self.use(self.runs.currentData())


def describe_run(run: RunRecord) -> str:
    """A run in one line: number, preset, steps, and the best hold-out AP if it was measured."""
    if run.steps == 0:
        return f"{run.number}: starter weights"
    best = holdout_ap(run)
    measured = "" if best is None else f", hold-out AP {best:.1f}"
    return f"{run.number}: {run.preset}, {run.steps:,} steps{measured}"
