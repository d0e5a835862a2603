"""The settings of a training: preset, time, device, the frames it will use, and the advanced settings."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from rise_engine.config import PRESETS, RiseConfig
from rise_napari.tabs.tab import allow_narrow, collapsible
from rise_napari.tabs.train.advanced import AdvancedSettings
from rise_napari.tabs.train.training_frames import TrainingFrames
from rise_napari.workspace import Workspace

PRESET_TEXTS = {
    "laptop": "laptop — small, needs no GPU",
    "r50": "r50 — ResNet-50, one GPU",
    "r101": "r101 — ResNet-101, one GPU",
    "swin-l": "swin-l — Swin-L, one large GPU",
}
BUDGETS = ((5.0, "About 5 minutes"), (10.0, "About 10 minutes"), (15.0, "About 15 minutes"), (60.0, "About an hour"))
DEFAULT_BUDGET = 1
BY_STEPS = "A number of steps…"


class TrainingSettings(QWidget):
    """The form above the Start button."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(self._build_form())
        self.advanced = AdvancedSettings(self.preset_config)
        self.preset.currentIndexChanged.connect(lambda _row: self.advanced.refresh())
        self.frames = TrainingFrames(workspace, seed=self.advanced.seed.value)
        layout.addWidget(self.frames)
        self.advanced_section = collapsible("Advanced", self.advanced)
        self.advanced_section.toggled.connect(lambda _expanded: self.advanced.build_sections())
        layout.addWidget(self.advanced_section)
        self._show_steps()

    def _build_form(self) -> QFormLayout:
        self.preset = allow_narrow(QComboBox())
        for name in PRESETS:
            self.preset.addItem(PRESET_TEXTS.get(name, name), name)
        self.preset.setToolTip("The size of the network. Larger ones are more accurate, but need a GPU and more time.")
        self.budget = QComboBox()
        for minutes, text in BUDGETS:
            self.budget.addItem(text, minutes)
        self.budget.addItem(BY_STEPS, None)
        self.budget.setCurrentIndex(DEFAULT_BUDGET)
        self.budget.setToolTip("The first steps are timed, and the number of steps is set to fit this time.")
        self.budget.currentIndexChanged.connect(lambda _row: self._show_steps())
        self.steps = QSpinBox()
        self.steps.setRange(1, 1_000_000)
        self.steps.setValue(1000)
        self.steps.setToolTip("The number of optimiser steps. One step uses a few frames.")
        self.device = QComboBox()
        self.device.addItems(["auto", "cpu", "cuda", "mps"])
        self.device.setToolTip("The device for the training. auto uses a GPU if there is one.")
        time_row = QHBoxLayout()
        time_row.addWidget(self.budget, 1)
        time_row.addWidget(self.steps, 1)
        form = QFormLayout()
        form.addRow("Preset", self.preset)
        form.addRow("Time", time_row)
        form.addRow("Device", self.device)
        return form

    def _show_steps(self) -> None:
        self.steps.setVisible(self.minutes is None)

    @property
    def minutes(self) -> float | None:
        """The time budget in minutes, or None when the number of steps is set."""
        return self.budget.currentData()  # type: ignore[no-any-return]

    def preset_config(self) -> RiseConfig:
        """The chosen preset with the chosen recipe, without any change."""
        return RiseConfig.preset(self.preset.currentData(), self.advanced.recipe.currentText())  # type: ignore[arg-type]

    def config(self) -> RiseConfig:
        """The settings as chosen. Raises ``ValueError`` with one sentence if one is invalid."""
        settings = [f"device={self.device.currentText()}", *self.advanced.settings()]
        if self.minutes is None:
            settings.append(f"schedule.steps={self.steps.value()}")
        return self.preset_config().with_settings([*settings, *self.advanced.overrides()])
