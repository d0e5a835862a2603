"""Train on what is labelled: how long, on what, and start, pause, stop."""

from __future__ import annotations

import re

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)
from superqt import QCollapsible

from rise_engine.config import PRESETS, RECIPES, RiseConfig
from rise_engine.errors import RiseError
from rise_engine.learning.events import Event, HoldoutScore, Losses, Notice
from rise_engine.project.records import FrameState
from rise_engine.project.splits import TrainingSplit, choose_split
from rise_napari.background import stream_beside
from rise_napari.steps.step import Step, button
from rise_napari.training_session import RunState
from rise_napari.workspace import Workspace

PRESET_WORDS = {
    "laptop": "laptop — small, no GPU needed",
    "r50": "r50 — ResNet-50, one GPU",
    "r101": "r101 — ResNet-101, one GPU",
    "swin-l": "swin-l — Swin-L, a large GPU",
}
BUDGETS = ((5.0, "about 5 minutes"), (10.0, "about 10 minutes"), (15.0, "about 15 minutes"), (60.0, "about an hour"))
BY_STEPS = "a number of steps…"
NAMES_LISTED = 12
BETWEEN_SETTINGS = re.compile(r"\s*,\s*(?=[a-z_.]+\s*=)")
"""A comma that a new setting follows; others belong to a value such as ``[240, 256]``."""


class TrainStep(Step):
    """Settings that a person needs, the rest folded away; and the state of the training, honestly."""

    name = "Train"

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._score: HoldoutScore | None = None
        self._loss: float | None = None
        self.preset = QComboBox()
        for name in PRESETS:
            self.preset.addItem(PRESET_WORDS.get(name, name), name)
        self.preset.setToolTip("How large the network is")
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
        self.steps.setToolTip("Optimiser steps")
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.device.setToolTip("auto takes a GPU when there is one")
        form = QFormLayout()
        form.addRow("Preset", self.preset)
        form.addRow("Time", self.budget)
        form.addRow("Steps", self.steps)
        form.addRow("Device", self.device)
        self._steps_label = form.labelForField(self.steps)
        self.data = QLabel()
        self.data.setWordWrap(True)
        self.advanced = self._build_advanced()
        self.start = button("Start", self.start_training, "Train on the frames listed above", tall=True)
        self.pause = button("Pause", self._pause_or_resume, "Hold the training after the step in hand", tall=True)
        self.stop = button(
            "Stop", workspace.training.stop, "Finish the step, save, and end; nothing is lost", tall=True
        )
        buttons = QHBoxLayout()
        for widget in (self.start, self.pause, self.stop):
            buttons.addWidget(widget)
        self.report = QLabel()
        self.report.setWordWrap(True)
        self.report.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.body.addLayout(form)
        self.body.addWidget(self.data)
        self.body.addWidget(self.advanced)
        self.body.addLayout(buttons)
        self.body.addWidget(self.report)
        self.body.addStretch(1)
        for signal in (workspace.project_changed, workspace.frames_changed, workspace.training.state_changed):
            signal.connect(self.refresh)
        workspace.training.happened.connect(self._follow)
        self.refresh()

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
        self.more.setPlaceholderText("section.key=value, …  for example loss.unsupervised=0.5")
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
        folding = QCollapsible("Advanced")
        folding.setDuration(0)
        folding.addWidget(content)
        folding.collapse(False)
        return folding

    # -- what the tab says ------------------------------------------------------------------------------------------

    def advice(self) -> str:
        workspace, state = self.workspace, self.workspace.training.state
        if workspace.project is None:
            return "Open a folder of images in the Project tab first."
        if state in (RunState.STARTING, RunState.TRAINING):
            return "Training: look at any frame to see its predictions live; you can go on annotating meanwhile."
        if state is RunState.PAUSED:
            return "Paused: the training holds still until you press Resume."
        if state is RunState.STOPPING:
            return "Stopping: the step in hand is finished and everything is saved."
        if not workspace.count(FrameState.LABELLED, FrameState.REVIEWED):
            return "There is nothing to learn from yet: draw the objects of a few frames in the Annotate tab."
        if state is RunState.FINISHED:
            return "Finished: go to the Review tab to accept or mend the predictions."
        if state is RunState.FAILED:
            return "The training failed: read below what to do, then start it again."
        return "Choose how long to train and press Start."

    def finished(self) -> bool:
        return self.workspace.project is not None and bool(self.workspace.project.runs())

    def refresh(self) -> None:
        super().refresh()
        workspace, training = self.workspace, self.workspace.training
        idle = not training.running
        by_steps = self.budget.currentData() is None
        self.steps.setVisible(by_steps)
        if self._steps_label is not None:
            self._steps_label.setVisible(by_steps)
        labelled = workspace.count(FrameState.LABELLED, FrameState.REVIEWED)
        for widget in (self.preset, self.budget, self.steps, self.device, self.advanced):
            widget.setEnabled(idle)
        self.start.setEnabled(idle and workspace.writable and labelled > 0)
        self.pause.setEnabled(training.state in (RunState.TRAINING, RunState.PAUSED))
        self.pause.setText("Resume" if training.state is RunState.PAUSED else "Pause")
        self.stop.setEnabled(training.state in (RunState.STARTING, RunState.TRAINING, RunState.PAUSED))
        self.stop.setText("Stopping…" if training.state is RunState.STOPPING else "Stop")
        self.start.setText("Starting…" if training.state is RunState.STARTING else "Start")
        if idle:
            self._show_data()
        self._show_report()

    def _show_data(self) -> None:
        project = self.workspace.project
        if project is None:
            self.data.setText("")
            return
        try:
            split = choose_split(project, seed=self.seed.value())
        except RiseError as error:
            self.data.setText(str(error))
            return
        names = {frame.id: frame.name for frame in self.workspace.frames}
        self.data.setText(
            f"<b>{len(split.labelled):,} labelled, {len(split.holdout):,} hold-out, "
            f"{len(split.unlabelled):,} unlabelled</b>"
        )
        self.data.setToolTip(
            f"Labelled: {_listed(split.labelled, names)}\nHold-out (never trained on): {_listed(split.holdout, names)}"
        )

    def _show_report(self) -> None:
        training = self.workspace.training
        lines = []
        if training.started is not None:
            started = training.started
            lines.append(f"Run {started.run} on {started.device}. {started.message}".strip())
        if training.progress is not None:
            progress = training.progress
            pace = f"{progress.seconds_per_step:.2f} s a step"
            loss = f", loss {self._loss:.3g}" if self._loss is not None else ""
            lines.append(f"Step {progress.step:,} of {progress.steps:,}, {pace}{loss}.")
        if self._score is not None:
            lines.append(f"Hold-out: mask AP {self._score.ap:.1f}, AP50 {self._score.ap50:.1f}.")
        if training.failure is not None:
            lines.append(f"<b>Failed:</b> {training.failure.message} {training.failure.hint}")
        if training.finished is not None:
            how = "Stopped" if training.finished.stopped else "Finished"
            lines.append(f"{how}: the model is in {training.finished.folder}.")
        self.report.setText("<br>".join(lines))

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

    def start_training(self, *, weights: str | None = None) -> None:
        """Starts a training with the settings as chosen; ``weights`` overrides what it starts from."""
        workspace = self.workspace
        project = workspace.project
        if project is None or workspace.training.running:
            return
        workspace.before_leaving.emit()
        self._score = self._loss = None
        with workspace.telling():
            config = self.config()
            if weights is not None:
                config = config.with_settings([f"weights={weights}"])
            split: TrainingSplit = choose_split(project, seed=config.schedule.seed)
            watch = workspace.frame.name if workspace.frame is not None else None
            workspace.training.start(project.path, config, split, minutes=self.budget.currentData(), watch=watch)
            stream_beside(
                workspace, workspace.training.pump, each=workspace.training.follow, finished=workspace.training.ended
            )

    def _pause_or_resume(self) -> None:
        training = self.workspace.training
        if training.state is RunState.PAUSED:
            training.resume()
        else:
            training.pause()

    def _follow(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case HoldoutScore():
                    self._score = event
                case Losses():
                    self._loss = event.total
                case Notice():
                    self.workspace.tell(event.message)
                case _:
                    pass
        self._show_report()


def _listed(ids: list[int], names: dict[int, str]) -> str:
    shown = [names.get(number, "?") for number in ids[:NAMES_LISTED]]
    rest = len(ids) - len(shown)
    return (", ".join(shown) or "none") + (f" and {rest:,} more" if rest else "")
