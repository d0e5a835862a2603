"""The Train tab: clicks on Start, Pause, Stop and Resume are handled here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qtpy.QtWidgets import QHBoxLayout

from rise_engine.config import RiseConfig
from rise_engine.project.interrupted import interrupted_run, run_settings
from rise_engine.project.records import ANNOTATED_STATES
from rise_engine.training.events import Event, Notice
from rise_napari.engine.background import stream_in_background
from rise_napari.tabs.model_in_use import ModelInUse
from rise_napari.tabs.tab import NO_PROJECT, Tab, button
from rise_napari.tabs.train.live_predictions import LivePredictions
from rise_napari.tabs.train.next_actions import NextActions
from rise_napari.tabs.train.report import TrainingReport
from rise_napari.tabs.train.settings import TrainingSettings
from rise_napari.training.remedies import Remedy
from rise_napari.training.session import HOLDING, Job, RunState
from rise_napari.workspace import Workspace

AGAIN_MINUTES, AGAIN_STEPS = 5.0, 300
"""A model that is already trained needs less time than a new one."""
STATE_ADVICE = {
    RunState.STARTING: "The training is starting. You can continue to annotate meanwhile.",
    RunState.TRAINING: "Training. Show any frame to see its predictions live. You can continue to annotate meanwhile.",
    RunState.PAUSING: "Pausing. The current step is finished first.",
    RunState.PAUSED: "Paused. Press Resume to continue the training.",
    RunState.STOPPING: "Stopping. The current step is finished and the model is saved.",
    RunState.FINISHED: "Finished. Go to the Review tab to accept or edit the predictions.",
    RunState.FAILED: "The training failed. The reason is shown below. A button appears if there is a fix.",
}


class TrainTab(Tab):
    """The settings before a training, its progress meanwhile, and the next actions afterwards."""

    name = "Train"

    def __init__(self, workspace: Workspace, *, hide_live_below: Callable[[float], None]) -> None:
        """``hide_live_below`` hides the live predictions below a score on the canvas."""
        super().__init__(workspace)
        self._build_settings()
        self._build_buttons()
        self._build_progress(hide_live_below)
        self.body.addStretch(1)
        self._connect_signals()
        self.refresh()

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_settings(self) -> None:
        self.settings = TrainingSettings(self.workspace)
        self.body.addWidget(self.settings)

    def _build_buttons(self) -> None:
        self.start = button(
            "Start", self.start_training, "Start a training with the frames listed above.", tall=True, icon="train"
        )
        self.pause = button(
            "Pause", self._pause_or_resume, "Pause the training after the current step.", tall=True, icon="pause"
        )
        self.stop = button(
            "Stop",
            self.workspace.training.stop,
            "Stop after the current step and save the model.",
            tall=True,
            icon="stop",
        )
        row = QHBoxLayout()
        for widget in (self.start, self.pause, self.stop):
            row.addWidget(widget)
        self.body.addLayout(row)

    def _build_progress(self, hide_live_below: Callable[[float], None]) -> None:
        self.live = LivePredictions(self.workspace, hide_below=hide_live_below)
        self.report = TrainingReport(self.workspace.training)
        self.next_actions = NextActions(
            self.workspace,
            apply_remedy=self._try_remedy,
            resume=self.resume_training,
            use_new=self._use_new,
        )
        self.model = ModelInUse(self.workspace)
        for widget in (self.live, self.report, self.next_actions, self.model):
            self.body.addWidget(widget)

    def _connect_signals(self) -> None:
        workspace = self.workspace
        workspace.project_changed.connect(self.report.reset)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.training.state_changed):
            signal.connect(self.refresh)
        workspace.training.events_received.connect(self._show_events)

    # -- what the tab shows -----------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace, state = self.workspace, self.workspace.training.state
        if workspace.project is None:
            return NO_PROJECT
        if state in STATE_ADVICE and (workspace.training.running or workspace.count(*ANNOTATED_STATES)):
            return STATE_ADVICE[state]
        if not workspace.count(*ANNOTATED_STATES):
            return "There is nothing to learn from yet. Draw the objects of a few frames in the Annotate tab."
        return "Choose a training time and press Start."

    def finished(self) -> bool:
        project = self.workspace.project
        return project is not None and any(run.steps and run.finished is not None for run in project.runs.all())

    def refresh(self) -> None:
        super().refresh()
        idle = not self.workspace.training.running
        # The settings cannot be changed during a training; the progress takes their place.
        self.settings.setVisible(idle)
        self.live.setVisible(not idle)
        self._show_buttons()
        if idle:
            self.settings.frames.refresh()
            self.model.refresh()
        self.next_actions.refresh()
        self.report.refresh()

    def _show_buttons(self) -> None:
        workspace, state = self.workspace, self.workspace.training.state
        idle, labelled = not workspace.training.running, workspace.count(*ANNOTATED_STATES)
        self.start.setEnabled(idle and workspace.writable and labelled > 0)
        self.start.setText("Starting…" if state is RunState.STARTING else "Start")
        self.pause.setEnabled(state in (RunState.TRAINING, *HOLDING))
        self.pause.setText("Resume" if state in HOLDING else "Pause")
        self.stop.setEnabled(state in (RunState.STARTING, RunState.TRAINING, *HOLDING))
        self.stop.setText("Stopping…" if state is RunState.STOPPING else "Stop")

    def _show_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Notice):
                self.workspace.notify(event.message)
        self.live.refresh()
        self.report.add(events)

    # -- actions ----------------------------------------------------------------------------------------------------

    def config(self) -> RiseConfig:
        """The settings as chosen. Raises ``ValueError`` with one sentence if one is invalid."""
        return self.settings.config()

    def start_training(self) -> None:
        """Starts a training with the settings as chosen."""
        self._start(lambda: self._job(self.config(), self.settings.minutes))

    def train_again(self) -> None:
        """Continues to train the model in use with the current labels, for a shorter time."""
        self._start(self._job_again)

    def resume_training(self) -> None:
        """Continues the interrupted run with its own settings and frames."""
        self._start(self._job_resumed)

    def _start(self, make_job: Callable[[], Job | None]) -> None:
        """Saves the strokes and starts a job, or shows the error that its settings raise."""
        if self.workspace.project is None or self.workspace.training.running:
            return
        self.workspace.save_requested.emit()
        with self.workspace.reporting_errors():
            job = make_job()
            if job is not None:
                self._begin(job)

    def _job(self, config: RiseConfig, minutes: float | None) -> Job:
        assert self.workspace.project is not None
        return Job(self.workspace.project.path, config, self.settings.frames.split(), minutes=minutes)

    def _job_again(self) -> Job:
        config, minutes = self.config().with_settings(["weights=last"]), self.settings.minutes
        if minutes is None:
            config.schedule.steps = min(config.schedule.steps, AGAIN_STEPS)
            return self._job(config, None)
        return self._job(config, min(minutes, AGAIN_MINUTES))

    def _job_resumed(self) -> Job | None:
        project = self.workspace.project
        run = interrupted_run(project) if project is not None else None
        if project is None or run is None:
            return None
        config, split = run_settings(project, run)
        config.device = self.settings.device.currentText()
        return Job(project.path, config, split, resume=True)

    def _try_remedy(self, remedy: Remedy) -> None:
        """Starts the failed training again with the settings of the remedy."""
        job = self.workspace.training.job
        if job is None:
            return
        with self.workspace.reporting_errors():
            config = job.config.with_settings(remedy.settings)
            self._begin(replace(job, config=config, resume=remedy.resume or job.resume))

    def _use_new(self) -> None:
        finished = self.workspace.training.finished
        if finished is not None:
            self.model.use(finished.run)

    def _begin(self, job: Job) -> None:
        workspace = self.workspace
        self.report.reset()
        watch = workspace.frame.name if workspace.frame is not None else None
        workspace.training.start(job, watch=watch)
        stream_in_background(
            workspace,
            workspace.training.pump,
            each=workspace.training.follow,
            finished=workspace.training.ended,
            name="RISE is training. It will save the model and stop.",
        )

    def _pause_or_resume(self) -> None:
        training = self.workspace.training
        if training.state in HOLDING:
            training.resume()
        else:
            training.pause()
