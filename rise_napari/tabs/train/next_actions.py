"""The buttons after a training: try a remedy, resume an interrupted run, use a model that was not chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QVBoxLayout, QWidget

from rise_engine.project.interrupted import interrupted_run
from rise_engine.project.run_folder import RunFolder
from rise_napari.tabs.tab import button
from rise_napari.training.remedies import Remedy, remedy
from rise_napari.workspace import Workspace


class NextActions(QWidget):
    """Shows only the buttons that apply to how the last training ended."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        apply_remedy: Callable[[Remedy], object],
        resume: Callable[[], object],
        use_new: Callable[[], object],
    ) -> None:
        super().__init__()
        self._workspace = workspace
        self._apply_remedy = apply_remedy
        self._remedy: Remedy | None = None
        self.remedy = button(
            "", self._clicked, "Start the training again with the change that the button names.", tall=True
        )
        self.resume = button("", resume, "Continue the training from its last checkpoint.", tall=True)
        self.use_new = button(
            "Use the new model anyway",
            use_new,
            "The new model had a lower hold-out AP than the model in use. With few hold-out frames the AP is "
            "uncertain.",
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.resume, self.remedy, self.use_new):
            layout.addWidget(widget)

    def _clicked(self) -> None:
        if self._remedy is not None:
            self._apply_remedy(self._remedy)

    def refresh(self) -> None:
        """Reads the state of the training and of the project again."""
        workspace, training = self._workspace, self._workspace.training
        usable = workspace.project is not None and workspace.writable and not training.running
        self._remedy = self._find_remedy() if usable else None
        self.remedy.setVisible(self._remedy is not None)
        self.remedy.setText(self._remedy.words if self._remedy is not None else "")
        interrupted = interrupted_run(workspace.project) if usable and workspace.project is not None else None
        self.resume.setVisible(interrupted is not None and self._remedy is None)
        self.resume.setText(f"Resume the interrupted run {interrupted.number}" if interrupted is not None else "")
        self.use_new.setVisible(usable and self._rejected())
        self.setVisible(any(not one.isHidden() for one in (self.remedy, self.resume, self.use_new)))

    def _find_remedy(self) -> Remedy | None:
        training = self._workspace.training
        if training.failure is None or training.job is None:
            return None
        started = training.started
        saved = started is not None and RunFolder(Path(started.folder)).checkpoint.is_file()
        return remedy(training.failure, training.job.config, checkpoint=saved)

    def _rejected(self) -> bool:
        """Whether the last training ended with a model that is not in use because another one is better."""
        finished, project = self._workspace.training.finished, self._workspace.project
        if finished is None or finished.current or project is None:
            return False
        current = project.runs.current()
        return current is not None and current.number != finished.run
