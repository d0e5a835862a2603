"""The header above the tabs: project, counts of frames, training state, progress, and the last message."""

from __future__ import annotations

import time

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from rise_engine.project.records import FrameState
from rise_engine.project.wording import duration
from rise_napari.training.session import RunState
from rise_napari.ui.colours import MESSAGES, run_state_style
from rise_napari.workspace import Workspace

STALE_SECONDS = 3.0
"""A warning or an error stays for at least this long. After that, the next successful action clears it."""


class Header(QWidget):
    """Project, frames by state, round, device, run state, progress with the remaining time, and the last message."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._shown_since, self._level = 0.0, "info"
        self._create_controls()
        self._arrange()
        self._connect()
        self.refresh()

    def _create_controls(self) -> None:
        self.title = QLabel()
        self.title.setStyleSheet("font-weight: bold; font-size: 14px")
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.counts.setToolTip(
            "Labelled frames of all frames; reviewed frames; hold-out frames, which are used for evaluation only; "
            "round (annotate, train, review); device of the training (auto: a GPU if there is one)"
        )
        self.state = QLabel()
        self.state.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setMargin(3)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.shortcuts = QPushButton("Shortcuts")
        self.shortcuts.setToolTip("Show the keyboard shortcuts (W) and the introductions of the tabs")
        self.shortcuts.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def _arrange(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(8, 6, 8, 2)
        layout.setVerticalSpacing(4)
        layout.addWidget(self.title, 0, 0)
        layout.addWidget(self.state, 0, 1)
        layout.addWidget(self.shortcuts, 0, 2)
        layout.addWidget(self.counts, 1, 0, 1, 3)
        layout.addWidget(self.progress, 2, 0, 1, 3)
        layout.addWidget(self.message, 3, 0, 1, 3)
        layout.setColumnStretch(0, 1)

    def _connect(self) -> None:
        workspace = self._workspace
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.frame_changed):
            signal.connect(self.refresh)
        workspace.training.state_changed.connect(self.refresh)
        workspace.training.events_received.connect(self.refresh)
        for signal in (
            workspace.project_changed,
            workspace.frame_changed,
            workspace.instances_changed,
            workspace.strokes_saved,
            workspace.predictions_changed,
        ):
            signal.connect(self.clear_stale)
        workspace.training.state_changed.connect(self._training_changed)
        workspace.message.connect(self.show_message)

    def refresh(self) -> None:
        """Shows the current state of the workspace."""
        workspace, training = self._workspace, self._workspace.training
        project = workspace.project
        self.title.setText(project.path.name if project is not None else "No project open")
        self.counts.setText(self._counts() if project is not None else "")
        self.counts.setVisible(project is not None)
        state = training.state
        self.state.setText(str(state))
        self.state.setVisible(project is not None)
        self.state.setStyleSheet(run_state_style(state))
        self._show_progress()

    def _counts(self) -> str:
        workspace = self._workspace
        assert workspace.project is not None
        labelled, total = workspace.count(FrameState.LABELLED), len(workspace.frames)
        counts = [f"labelled {labelled:,}/{total:,}", f"reviewed {workspace.count(FrameState.REVIEWED):,}"]
        counts.append(f"hold-out {workspace.holdout_count:,}")
        trainings = sum(run.steps > 0 for run in workspace.project.runs.all())
        counts.append(f"round {max(1, trainings)}")
        started = workspace.training.started
        counts.append(started.device if started is not None else "auto")
        if workspace.project.read_only:
            counts.append("read-only")
        return " · ".join(counts)

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
        self._shown_since, self._level = time.monotonic(), level
        self.message.setStyleSheet(MESSAGES.get(level, "") if sentence else "")
        self.message.setText(sentence)
        self.message.setToolTip(sentence)

    def clear_stale(self, _changed: object = None) -> None:
        """Clears an older warning or error, after a later action succeeded."""
        if time.monotonic() - self._shown_since >= STALE_SECONDS:
            self._clear_warning()

    def _clear_warning(self) -> None:
        if self._level != "info":
            self.show_message("info", "")

    def _training_changed(self) -> None:
        state = self._workspace.training.state
        if state is RunState.STARTING:
            self._clear_warning()
        elif state in (RunState.TRAINING, RunState.FINISHED):
            self.clear_stale()
