"""Train on what is labelled: how long, on what, and start, pause, stop."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from rise_engine.config import PRESETS, RECIPES, RiseConfig
from rise_engine.project.interrupted import interrupted_run, run_settings
from rise_engine.project.records import ANNOTATED_STATES
from rise_engine.project.run_folder import RunFolder
from rise_engine.project.wording import duration
from rise_engine.training.events import Event, HoldoutScore, Losses, Notice, ToBeat
from rise_napari.engine.background import stream_in_background
from rise_napari.tabs.model_in_use import ModelInUse
from rise_napari.tabs.tab import Tab, button, collapsible
from rise_napari.tabs.train.training_frames import TrainingFrames
from rise_napari.training.remedies import Remedy, remedy
from rise_napari.training.session import HOLDING, Job, RunState
from rise_napari.workspace import Workspace

PRESET_WORDS = {
    "laptop": "laptop — small, no GPU needed",
    "r50": "r50 — ResNet-50, one GPU",
    "r101": "r101 — ResNet-101, one GPU",
    "swin-l": "swin-l — Swin-L, a large GPU",
}
BUDGETS = ((5.0, "about 5 minutes"), (10.0, "about 10 minutes"), (15.0, "about 15 minutes"), (60.0, "about an hour"))
BY_STEPS = "a number of steps…"
AGAIN_MINUTES, AGAIN_STEPS = 5.0, 300
"""A model that has learnt already needs less than one that has not."""
LIVE_SCORE = 0.5
BETWEEN_SETTINGS = re.compile(r"\s*,\s*(?=[a-z_.]+\s*=)")
"""A comma that a new setting follows; others belong to a value such as ``[240, 256]``."""


class TrainTab(Tab):
    """Settings that a person needs, the rest folded away; and the state of the training, honestly."""

    name = "Train"

    def __init__(self, workspace: Workspace, *, hide_live_below: Callable[[float], None]) -> None:
        super().__init__(workspace)
        self._hide_live_below = hide_live_below
        self._score: HoldoutScore | None = None
        self._to_beat: ToBeat | None = None
        self._loss: float | None = None
        self._remedy: Remedy | None = None
        self.preset = QComboBox()
        for name in PRESETS:
            self.preset.addItem(PRESET_WORDS.get(name, name), name)
        self.preset.setToolTip("How large the network is: larger ones see more and need a GPU and more time")
        shorten(self.preset)
        self.budget = QComboBox()
        for minutes, words in BUDGETS:
            self.budget.addItem(words, minutes)
        self.budget.addItem(BY_STEPS, None)
        self.budget.setCurrentIndex(1)
        self.budget.setToolTip("A few steps are timed first, then the schedule is fitted into this time")
        self.budget.currentIndexChanged.connect(lambda _row: self.refresh())
        self.steps = QSpinBox()
        self.steps.setRange(1, 1_000_000)
        self.steps.setValue(1000)
        self.steps.setToolTip("How often the network is corrected; one step sees a few frames")
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.device.setToolTip("auto takes a GPU when there is one")
        form = QFormLayout()
        form.addRow("Preset", self.preset)
        time_row = QHBoxLayout()
        time_row.addWidget(self.budget, 1)
        time_row.addWidget(self.steps, 1)
        form.addRow("Time", time_row)
        form.addRow("Device", self.device)
        self.frames = TrainingFrames(workspace, seed=lambda: self.seed.value())
        self.data = self.frames.counts
        self.advanced = self._build_advanced()
        self.start = button("Start", self.start_training, "Train on the frames listed above", tall=True, icon="train")
        self.pause = button(
            "Pause", self._pause_or_resume, "Hold the training after the step in hand", tall=True, icon="pause"
        )
        self.stop = button(
            "Stop",
            workspace.training.stop,
            "Finish the step, save, and end; nothing is lost",
            tall=True,
            icon="stop",
        )
        self.fix = button("", self._apply_remedy, "Changes what failed, and starts again", tall=True)
        self.go_on = button(
            "Go on with the interrupted run",
            self.resume_training,
            "A training of this project ended before its time: it goes on from its last checkpoint",
            tall=True,
        )
        self.use_anyway = button(
            "Use the new model anyway",
            self._use_new,
            "It was worse on the hold-out than the one in use; a hold-out of a few frames can err",
        )
        self.model = ModelInUse(workspace)
        self.live = self._build_live()
        buttons = QHBoxLayout()
        for widget in (self.start, self.pause, self.stop):
            buttons.addWidget(widget)
        self.report = QLabel()
        self.report.setWordWrap(True)
        self.report.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.settings = QWidget()
        settings = QVBoxLayout(self.settings)
        settings.setContentsMargins(0, 0, 0, 0)
        settings.setSpacing(6)
        settings.addLayout(form)
        settings.addWidget(self.frames)
        settings.addWidget(self.advanced)
        self.body.addWidget(self.settings)
        self.body.addLayout(buttons)
        for widget in (self.go_on, self.live, self.report, self.fix, self.use_anyway, self.model):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        workspace.project_changed.connect(self._forget)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.training.state_changed):
            signal.connect(self.refresh)
        workspace.frame_changed.connect(self._show_live_counts)
        workspace.training.events_received.connect(self._follow)
        self._live_score_moved(self.live_score.value())
        self.refresh()

    def _build_live(self) -> QWidget:
        self.live_score = QSlider(Qt.Orientation.Horizontal)
        self.live_score.setRange(30, 99)
        self.live_score.setValue(round(LIVE_SCORE * 100))
        self.live_score.setToolTip("Live predictions below this score are not drawn; the training does not change")
        self.live_score.valueChanged.connect(self._live_score_moved)
        self.live_counts = QLabel()
        self.live_counts.setWordWrap(True)
        box = QWidget()
        layout = QVBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.live_counts)
        layout.addWidget(self.live_score)
        return box

    def _build_advanced(self) -> QCollapsible:
        self.recipe = QComboBox()
        self.recipe.addItems(list(RECIPES))
        self.recipe.setCurrentText("recommended")
        self.recipe.setToolTip("How to learn: what works best, the paper's text, or the released code's weights")
        self.weights = QComboBox()
        self.weights.setEditable(True)
        self.weights.addItems(["(preset's own)", "starter", "imagenet", "coco", "last", "none"])
        self.weights.setToolTip("What the network starts from; a file name works too")
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.per_class = QComboBox()
        self.per_class.addItem("objects (class-agnostic)", True)
        self.per_class.addItem("each category by itself", False)
        self.rate = QDoubleSpinBox()
        self.rate.setDecimals(6)
        self.rate.setRange(0, 1)
        self.rate.setSpecialValueText("(recipe's own)")
        self.rate.setToolTip("Learning rate")
        self.more = QLineEdit()
        self.more.setPlaceholderText("loss.unsupervised=0.5, …")
        self.more.setToolTip("Any other setting; the same as --set on the command line")
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(4, 4, 4, 4)
        form.addRow("Recipe", self.recipe)
        form.addRow("Start from", self.weights)
        form.addRow("Learn", self.per_class)
        form.addRow("Learning rate", self.rate)
        form.addRow("Seed", self.seed)
        form.addRow("Settings", self.more)
        return collapsible("Advanced", content)

    # -- what the tab says ------------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace, state = self.workspace, self.workspace.training.state
        if workspace.project is None:
            return "Open a folder of images in the Project tab first."
        if state in (RunState.STARTING, RunState.TRAINING):
            return "Training: look at any frame to see its predictions live; you can go on annotating meanwhile."
        if state is RunState.PAUSING:
            return "Pausing: the step in hand is finished first."
        if state is RunState.PAUSED:
            return "Paused: the training holds still until you press Resume."
        if state is RunState.STOPPING:
            return "Stopping: the step in hand is finished and everything is saved."
        if not workspace.count(*ANNOTATED_STATES):
            return "There is nothing to learn from yet: draw the objects of a few frames in the Annotate tab."
        if state is RunState.FINISHED:
            return "Finished: go to the Review tab to accept or mend the predictions."
        if state is RunState.FAILED:
            return "The training failed: read below why; where there is a button under it, it does what helps."
        return "Choose how long to train and press Start."

    def finished(self) -> bool:
        project = self.workspace.project
        return project is not None and any(run.steps and run.finished is not None for run in project.runs.all())

    def refresh(self) -> None:
        super().refresh()
        workspace, training = self.workspace, self.workspace.training
        idle = not training.running
        self.steps.setVisible(self.budget.currentData() is None)
        labelled = workspace.count(*ANNOTATED_STATES)
        # What cannot be changed now makes room for what happens.
        self.settings.setVisible(idle)
        self.start.setEnabled(idle and workspace.writable and labelled > 0)
        self.pause.setEnabled(training.state in (RunState.TRAINING, *HOLDING))
        self.pause.setText("Resume" if training.state in HOLDING else "Pause")
        self.stop.setEnabled(training.state in (RunState.STARTING, RunState.TRAINING, *HOLDING))
        self.stop.setText("Stopping…" if training.state is RunState.STOPPING else "Stop")
        self.start.setText("Starting…" if training.state is RunState.STARTING else "Start")
        if idle:
            self.frames.refresh()
            self.model.refresh()
        self.live.setVisible(not idle)
        self._show_ways_on()
        self._show_report()

    def _show_ways_on(self) -> None:
        """The buttons for what may follow the end of a training."""
        workspace, training = self.workspace, self.workspace.training
        usable = workspace.writable and not training.running
        self._remedy = None
        if usable and training.failure is not None and training.job is not None:
            started = training.started
            saved = started is not None and RunFolder(Path(started.folder)).checkpoint.is_file()
            self._remedy = remedy(training.failure, training.job.config, checkpoint=saved)
        self.fix.setVisible(self._remedy is not None)
        self.fix.setText(self._remedy.words if self._remedy is not None else "")
        interrupted = interrupted_run(workspace.project) if usable and workspace.project is not None else None
        self.go_on.setVisible(interrupted is not None and self._remedy is None)
        if interrupted is not None:
            self.go_on.setText(f"Go on with run {interrupted.number}, which was interrupted")
        finished = training.finished
        current = workspace.project.runs.current() if usable and workspace.project is not None else None
        rejected = finished is not None and not finished.current
        self.use_anyway.setVisible(rejected and current is not None and current.number != finished.run)

    def _show_report(self) -> None:
        training = self.workspace.training
        lines = []
        if training.started is not None:
            started = training.started
            said = f"{started.message[:1].upper()}{started.message[1:]}"
            lines.append(f"Run {started.run} on {started.device}. {said}".strip())
        if training.progress is not None:
            progress = training.progress
            pace = f"{progress.seconds_per_step:.2f} s a step"
            loss = f", loss {self._loss:.3g}" if self._loss is not None else ""
            lines.append(f"Step {progress.step:,} of {progress.steps:,}, {pace}{loss}.")
            if training.state is RunState.TRAINING:
                gone = duration(time.monotonic() - training.began)
                lines.append(f"{gone} gone, about {duration(progress.seconds_left)} left.")
        if self._score is not None:
            beat = f"; to beat: {self._to_beat.ap:.1f} of run {self._to_beat.run}" if self._to_beat is not None else ""
            lines.append(f"Hold-out: mask AP {self._score.ap:.1f}, AP50 {self._score.ap50:.1f}{beat}.")
        if training.failure is not None:
            lines.append(f"<b>Failed:</b> {training.failure.message} {training.failure.hint}")
        if training.finished is not None:
            how = "Stopped" if training.finished.stopped else "Finished"
            lines.append(f"{how}: the model is in {training.finished.folder}. {training.finished.verdict}".strip())
        self.report.setText("<br>".join(lines))
        self.report.setVisible(bool(lines))

    def _live_score_moved(self, value: int) -> None:
        self._hide_live_below(value / 100)
        self._show_live_counts()

    def _show_live_counts(self) -> None:
        preview, frame = self.workspace.training.preview, self.workspace.frame
        cut = self.live_score.value() / 100
        if preview is None or frame is None or preview.frame != frame.name:
            self.live_counts.setText(f"Live predictions of the frame in view, score at least {cut:.2f}: on their way…")
            return
        shown = sum(one.score >= cut for one in preview.predictions)
        taken = len(preview.pseudo_labels)
        self.live_counts.setText(
            f"Live, step {preview.step:,}: {shown} of {len(preview.predictions)} predictions have a score of at least "
            f"{cut:.2f}; {taken} would be {'a pseudo-label' if taken == 1 else 'pseudo-labels'}."
        )

    # -- what the buttons do ----------------------------------------------------------------------------------------

    def config(self) -> RiseConfig:
        """The settings as chosen. Raises ``ValueError`` with one sentence when one does not fit."""
        config = RiseConfig.preset(self.preset.currentData(), self.recipe.currentText())
        settings = [f"device={self.device.currentText()}", f"schedule.seed={self.seed.value()}"]
        settings.append(f"class_agnostic={str(self.per_class.currentData()).lower()}")
        if self.weights.currentIndex() != 0 or self.weights.currentText() != self.weights.itemText(0):
            settings.append(f"weights={self.weights.currentText().strip()}")
        if self.budget.currentData() is None:
            settings.append(f"schedule.steps={self.steps.value()}")
        if self.rate.value() > 0:
            settings.append(f"optimiser.learning_rate={self.rate.value()}")
        settings += [setting for setting in BETWEEN_SETTINGS.split(self.more.text().strip(" ,")) if setting]
        return config.with_settings(settings)

    def start_training(self) -> None:
        """Starts a training with the settings as chosen."""
        project = self.workspace.project
        if project is None or self.workspace.training.running:
            return
        self.workspace.save_requested.emit()
        with self.workspace.reporting_errors():
            self._begin(Job(project.path, self.config(), self.frames.split(), minutes=self.budget.currentData()))

    def train_again(self) -> None:
        """Goes on learning from the model in use with the labels there are now, for a shorter time."""
        project = self.workspace.project
        if project is None or self.workspace.training.running:
            return
        self.workspace.save_requested.emit()
        with self.workspace.reporting_errors():
            config = self.config().with_settings(["weights=last"])
            minutes = self.budget.currentData()
            if minutes is None:
                config.schedule.steps = min(config.schedule.steps, AGAIN_STEPS)
            else:
                minutes = min(minutes, AGAIN_MINUTES)
            self._begin(Job(project.path, config, self.frames.split(), minutes=minutes))

    def resume_training(self) -> None:
        """Goes on with the run that was interrupted, with its own settings and frames."""
        project = self.workspace.project
        run = interrupted_run(project) if project is not None else None
        if project is None or run is None or self.workspace.training.running:
            return
        self.workspace.save_requested.emit()
        with self.workspace.reporting_errors():
            config, split = run_settings(project, run)
            config.device = self.device.currentText()
            self._begin(Job(project.path, config, split, resume=True))

    def _apply_remedy(self) -> None:
        """Starts the failed training again with what helps."""
        job, cure = self.workspace.training.job, self._remedy
        if job is None or cure is None:
            return
        with self.workspace.reporting_errors():
            config = job.config.with_settings(cure.settings)
            self._begin(replace(job, config=config, resume=cure.resume or job.resume))

    def _use_new(self) -> None:
        finished = self.workspace.training.finished
        if finished is not None:
            self.model.use(finished.run)

    def _begin(self, job: Job) -> None:
        workspace = self.workspace
        self._forget()
        watch = workspace.frame.name if workspace.frame is not None else None
        workspace.training.start(job, watch=watch)
        stream_in_background(
            workspace,
            workspace.training.pump,
            each=workspace.training.follow,
            finished=workspace.training.ended,
            name="RISE is training; it will save and stop",
        )

    def _forget(self) -> None:
        self._score = self._loss = self._to_beat = None

    def _pause_or_resume(self) -> None:
        training = self.workspace.training
        if training.state in HOLDING:
            training.resume()
        else:
            training.pause()

    def _follow(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case HoldoutScore():
                    self._score = event
                case ToBeat():
                    self._to_beat = event
                case Losses():
                    self._loss = event.total
                case Notice():
                    self.workspace.notify(event.message)
                case _:
                    pass
        self._show_live_counts()
        self._show_report()


def shorten(box: QComboBox) -> None:
    """Lets a combo box be narrower than its longest entry, so that the dock can be too."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
