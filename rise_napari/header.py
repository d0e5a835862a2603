"""The strip above the tabs that always tells where things stand."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from rise_engine.project.records import FrameState, Split
from rise_napari.duration import duration
from rise_napari.training_session import RunState
from rise_napari.workspace import Workspace

COLOURS = {
    RunState.STARTING: "#d9a520",
    RunState.TRAINING: "#2fa866",
    RunState.PAUSED: "#d9a520",
    RunState.STOPPING: "#d9a520",
    RunState.FINISHED: "#3d8fd1",
    RunState.FAILED: "#d64545",
}
MESSAGE_COLOURS = {"info": "", "warning": "color: #d9a520", "error": "color: #e26a6a"}


class Header(QWidget):
    """Project, frames by state, round, device, run state, progress with the time left, and the last message."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.title = QLabel()
        self.title.setStyleSheet("font-weight: bold; font-size: 14px")
        self.counts = QLabel()
        self.state = QLabel()
        self.state.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.keys = QPushButton("Keys")
        self.keys.setToolTip("Show the list of keys")
        self.keys.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        layout = QGridLayout(self)
        layout.setContentsMargins(8, 6, 8, 2)
        layout.setVerticalSpacing(4)
        layout.addWidget(self.title, 0, 0)
        layout.addWidget(self.state, 0, 1)
        layout.addWidget(self.keys, 0, 2)
        layout.addWidget(self.counts, 1, 0, 1, 3)
        layout.addWidget(self.progress, 2, 0, 1, 3)
        layout.addWidget(self.message, 3, 0, 1, 3)
        layout.setColumnStretch(0, 1)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.frame_changed):
            signal.connect(self.refresh)
        workspace.training.state_changed.connect(self.refresh)
        workspace.training.happened.connect(self.refresh)
        workspace.message.connect(self.show_message)
        self.refresh()

    def refresh(self) -> None:
        """Reads the workspace."""
        workspace, training = self._workspace, self._workspace.training
        project = workspace.project
        self.title.setText(project.path.name if project is not None else "No project open")
        self.counts.setText(self._counts() if project is not None else "")
        self.counts.setVisible(project is not None)
        state = training.state
        shown = "" if state is RunState.IDLE else str(state)
        colour = COLOURS.get(state, "#808080")
        self.state.setText(shown)
        self.state.setStyleSheet(f"color: {colour}; font-weight: bold")
        self._show_progress()

    def _counts(self) -> str:
        workspace = self._workspace
        assert workspace.project is not None
        labelled, total = workspace.count(FrameState.LABELLED), len(workspace.frames)
        parts = [f"labelled {labelled:,}/{total:,}", f"reviewed {workspace.count(FrameState.REVIEWED):,}"]
        parts.append(f"hold-out {sum(frame.split is Split.HOLDOUT for frame in workspace.frames):,}")
        trainings = sum(run.steps > 0 for run in workspace.project.runs())
        parts.append(f"round {max(1, trainings)}")
        if workspace.training.started is not None:
            parts.append(workspace.training.started.device)
        if workspace.project.read_only:
            parts.append("read-only")
        return "  ·  ".join(parts)

    def _show_progress(self) -> None:
        training = self._workspace.training
        progress = training.progress
        self.progress.setVisible(training.running)
        if not training.running:
            return
        if progress is None:
            self.progress.setRange(0, 0)
            return
        self.progress.setRange(0, progress.steps)
        self.progress.setValue(progress.step)
        left = f"{duration(progress.seconds_left)} left" if training.state is RunState.TRAINING else str(training.state)
        self.progress.setFormat(f"{progress.step:,} / {progress.steps:,}   {left}")

    def show_message(self, level: str, sentence: str) -> None:
        """Shows a sentence under the progress bar until the next one."""
        self.message.setStyleSheet(MESSAGE_COLOURS.get(level, ""))
        self.message.setText(sentence)
        self.message.setToolTip(sentence)
