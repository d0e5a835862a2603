"""The sliders under the preview of a pseudo-sequence: how many objects are pasted, where, and how they may overlap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from rise_engine.config import SequenceConfig
from rise_napari.tabs.tab import button


@dataclass(frozen=True, slots=True)
class SliderSetting:
    """A field of ``SequenceConfig`` as a slider with whole positions; its value is position times ``step``."""

    label: str
    field: str
    tip: str
    lowest: int
    highest: int
    step: float

    def value(self, position: int) -> float | int:
        """The value of the field at a position of the slider."""
        return position if self.step == 1 else round(position * self.step, 4)

    def position(self, value: float) -> int:
        """The position of the slider for a value of the field."""
        return round(value / self.step)


SETTINGS = (
    SliderSetting(
        "K", "max_pasted", "The largest number of bank objects that are pasted into the before view.", 0, 10, 1
    ),
    SliderSetting(
        "Beta",
        "beta_alpha",
        "Where objects are pasted: near the edges below 1, anywhere at 1, near the centre above 1.",
        1,
        30,
        0.1,
    ),
    SliderSetting(
        "Overlap",
        "max_overlap",
        "The largest share of an object that a pasted object may hide.",
        1,
        20,
        0.05,
    ),
)


class SequenceSettings(QWidget):
    """One slider for each of ``SETTINGS``, a button that resets them, and one that uses them in training."""

    changed = Signal()

    def __init__(self, *, use_settings: Callable[[list[str]], None]) -> None:
        """``use_settings`` receives the changed settings as ``section.key=value``."""
        super().__init__()
        self.sliders: dict[str, QSlider] = {}
        self._values: dict[str, QLabel] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._build_sliders())
        layout.addLayout(self._build_buttons(use_settings))
        layout.addStretch(1)
        self.set_defaults()

    def _build_sliders(self) -> QFormLayout:
        form = QFormLayout()
        form.setVerticalSpacing(2)
        for setting in SETTINGS:
            slider, value = QSlider(Qt.Orientation.Horizontal), QLabel()
            slider.setRange(setting.lowest, setting.highest)
            slider.setToolTip(setting.tip)
            slider.valueChanged.connect(self._show_values)
            value.setMinimumWidth(28)
            self.sliders[setting.field], self._values[setting.field] = slider, value
            row = QHBoxLayout()
            row.addWidget(slider, 1)
            row.addWidget(value)
            form.addRow(setting.label, row)
        return form

    def _build_buttons(self, use_settings: Callable[[list[str]], None]) -> QHBoxLayout:
        self.reset = button("Reset", self.set_defaults, "Reset to the recommended settings.")
        self.use = button(
            "Use in training",
            lambda: use_settings(self.overrides()),
            "Use these settings in the next training. They are written into the Train tab.",
        )
        row = QHBoxLayout()
        row.addWidget(self.reset)
        row.addWidget(self.use, 1)
        return row

    def overrides(self) -> list[str]:
        """The settings that differ from their defaults, as ``section.key=value``."""
        defaults = SequenceConfig()
        found = []
        for setting in SETTINGS:
            value = setting.value(self.sliders[setting.field].value())
            if value != getattr(defaults, setting.field):
                found.append(f"sequence.{setting.field}={value}")
                if setting.field == "beta_alpha":
                    found.append(f"sequence.beta_beta={value}")
                if setting.field == "max_pasted" and value < defaults.min_pasted:
                    found.append(f"sequence.min_pasted={value}")
        return found

    def set_defaults(self) -> None:
        """Moves every slider to its default."""
        defaults = SequenceConfig()
        for setting in SETTINGS:
            self.sliders[setting.field].setValue(setting.position(getattr(defaults, setting.field)))
        self._show_values()

    def _show_values(self) -> None:
        for setting in SETTINGS:
            value = setting.value(self.sliders[setting.field].value())
            self._values[setting.field].setText(f"{value:g}")
        self.reset.setEnabled(bool(self.overrides()))
        self.changed.emit()
