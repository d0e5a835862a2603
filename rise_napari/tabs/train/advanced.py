"""Advanced settings of a training: recipe, weights, seed, and a form with every setting of the engine's config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget
from superqt import QCollapsible

from rise_engine.config import RECIPES, RiseConfig
from rise_engine.config.rise_config import DERIVED
from rise_engine.config.sections import Section
from rise_napari.tabs.tab import allow_narrow, button, collapsible
from rise_napari.tabs.train.setting_text import (
    format_setting,
    join_settings,
    split_settings,
    with_setting,
    without_setting,
)
from rise_napari.ui.colours import MESSAGES
from rise_napari.ui.config_form import SectionForm

PRESET_WEIGHTS = "(from the preset)"
OWN_CONTROLS = {"schedule.steps", "schedule.seed"}
"""Settings that have a control elsewhere in the tab."""
WITHOUT_ROW = OWN_CONTROLS | set(DERIVED)


class AdvancedSettings(QWidget):
    """Controls for the settings that most people leave as they are.

    ``more`` holds the changed settings as text; the form shows the same settings. A change of one changes the other.
    """

    sections_built = Signal()
    """The form exists now; it is built when it is first needed, because it has many widgets."""

    def __init__(self, preset: Callable[[], RiseConfig]) -> None:
        """``preset`` returns the chosen preset with the chosen recipe, without the changes."""
        super().__init__()
        self._preset = preset
        self.sections: dict[str, SectionForm] = {}
        self._titles: dict[str, QCollapsible] = {}
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self._layout.addLayout(self._build_controls())
        self._layout.addWidget(self._build_error())
        self._layout.addLayout(self._build_search_row())

    # -- construction -----------------------------------------------------------------------------------------------

    def _build_controls(self) -> QFormLayout:
        self.recipe = QComboBox()
        self.recipe.addItems(list(RECIPES))
        self.recipe.setCurrentText("recommended")
        self.recipe.setToolTip(
            "recommended: best in our tests; paper: as in the paper's text; idol: with IDOL's loss weights."
        )
        self.recipe.currentIndexChanged.connect(lambda _row: self.refresh())
        self.weights = allow_narrow(QComboBox())
        self.weights.setEditable(True)
        self.weights.addItems([PRESET_WEIGHTS, "starter", "imagenet", "coco", "last", "none"])
        self.weights.setToolTip("The initial weights. You can also type the name of a file.")
        self.per_class = allow_narrow(QComboBox())
        self.per_class.addItem("Any object (class-agnostic)", True)
        self.per_class.addItem("Each category separately", False)
        self.per_class.setToolTip("Whether the model distinguishes the categories.")
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("The seed of all random numbers. The same seed repeats a training.")
        self.more = QLineEdit()
        self.more.setPlaceholderText("loss.unsupervised=0.5, …")
        self.more.setToolTip("The changed settings as text, as --set takes them on the command line.")
        self.more.textChanged.connect(lambda _text: self.refresh())
        form = QFormLayout()
        form.setContentsMargins(4, 4, 4, 0)
        form.addRow("Recipe", self.recipe)
        form.addRow("Start from", self.weights)
        form.addRow("Learn", self.per_class)
        form.addRow("Seed", self.seed)
        form.addRow("Changes", self.more)
        return form

    def _build_error(self) -> QLabel:
        self.error = QLabel()
        self.error.setWordWrap(True)
        self.error.setMargin(6)
        self.error.setStyleSheet(MESSAGES["error"])
        self.error.hide()
        return self.error

    def _build_search_row(self) -> QHBoxLayout:
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search settings")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Show only the settings with this text in their name or description.")
        self.search.textChanged.connect(self._search)
        self.reset = button("Reset to preset", self.more.clear, "Discard all changes to the settings of the preset.")
        row = QHBoxLayout()
        row.setContentsMargins(4, 0, 4, 0)
        row.addWidget(self.search, 1)
        row.addWidget(self.reset)
        return row

    def build_sections(self) -> None:
        """Builds the form, once."""
        if self.sections:
            return
        config = self._preset()
        for name, section in _sections(config).items():
            prefix = f"{name}."
            skip = {key.removeprefix(prefix) for key in WITHOUT_ROW if key.startswith(prefix)}
            form = SectionForm(section, prefix=prefix, skip=skip)
            form.edited.connect(self._editor(name))
            title = collapsible(_title(name), form)
            title.toggleButton().setToolTip((type(section).__doc__ or "").strip().splitlines()[0])
            self.sections[name], self._titles[name] = form, title
            self._layout.addWidget(title)
        self.refresh()
        self.sections_built.emit()

    def _editor(self, section: str) -> Callable[[str, Any], None]:
        return lambda field, value: self.change(f"{section}.{field}", value)

    # -- changes ----------------------------------------------------------------------------------------------------

    def overrides(self) -> list[str]:
        """The changed settings, each ``section.key=value``."""
        return split_settings(self.more.text())

    def change(self, key: str, value: Any) -> None:
        """Sets ``section.key``; a value that equals the preset's is no change any more."""
        section, _, field = key.partition(".")
        usual = getattr(getattr(self._preset(), section), field)
        if self.sections[section].inputs[field].shows(usual):
            settings = without_setting(self.overrides(), key)
        else:
            settings = with_setting(self.overrides(), format_setting(key, value))
        self.more.setText(join_settings(settings))

    def use(self, section: str, settings: list[str]) -> None:
        """Replaces all changes in one section."""
        others = [one for one in self.overrides() if not one.startswith(f"{section}.")]
        self.more.setText(join_settings([*others, *settings]))

    # -- what it shows ----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Reads preset and changes again. While the changes are invalid, the form stays and a sentence says why."""
        self.reset.setEnabled(bool(self.more.text().strip()))
        preset = self._preset()
        try:
            config = preset.with_settings(self.overrides())
        except ValueError as error:
            self.error.setText(str(error))
            self.error.show()
            return
        self.error.hide()
        usual = _sections(preset)
        for name, section in _sections(config).items():
            if name in self.sections:
                self.sections[name].show_values(section, usual[name])
                count = self.sections[name].changed_count
                self._titles[name].setText(f"{_title(name)}   • {count} changed" if count else _title(name))

    def _search(self, text: str) -> None:
        self.build_sections()
        for name, form in self.sections.items():
            found = form.search(text)
            self._titles[name].setVisible(found > 0)
            if text.strip():
                self._titles[name].expand(False)
            else:
                self._titles[name].collapse(False)

    def settings(self) -> list[str]:
        """Everything that is chosen here except the recipe, each ``section.key=value``; the changes come last."""
        settings = [f"schedule.seed={self.seed.value()}"]
        settings.append(f"class_agnostic={str(self.per_class.currentData()).lower()}")
        if self.weights.currentText() != PRESET_WEIGHTS:
            settings.append(f"weights={self.weights.currentText().strip()}")
        return settings


def _sections(config: RiseConfig) -> Mapping[str, Section]:
    """The sections of a config, by name."""
    values = {name: getattr(config, name) for name in type(config).model_fields}
    return {name: value for name, value in values.items() if isinstance(value, Section)}


def _title(section: str) -> str:
    return section.replace("_", "-").capitalize()
