"""A form generated from a section of the settings: one magicgui widget per pydantic field, by its type and bounds.

A field that is added to a section appears without further code, with the string below it as the tooltip.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, get_args, get_origin

import annotated_types
from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox
from magicgui.widgets.bases import ValueWidget
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QGridLayout, QLabel, QWidget

LARGEST_INTEGER = 2**31 - 1
DECIMALS, MOST_DECIMALS = 3, 6
"""Of numbers in spin boxes: at least, and at most for values that need more."""
FLOAT_STEP = 0.05
NONE = "none"
ACRONYMS = {"bf16", "ema", "giou", "iou", "l1", "nms"}


def label_of(name: str) -> str:
    """The label of a field: ``mask_to_box`` is "Mask to box"."""
    text = " ".join(word.upper() if word in ACRONYMS else word for word in name.split("_"))
    return text[:1].upper() + text[1:]


class FieldInput:
    """One field of a section: a label and a widget. A changed value has a bold label with a dot."""

    def __init__(self, name: str, field: FieldInfo, value: Any, *, words: Mapping[str, str]) -> None:
        """``value`` is shown at first. ``words`` are the texts of a choice's values, where they differ from them."""
        self.name = name
        self.text = label_of(name)
        self.help = " ".join((field.description or "").replace("``", "").split())
        self._type, self._optional = _without_none(field.annotation)
        self._bounds = Bounds(field)
        self.changed = False
        self.label = QLabel(self.text)
        self.widget = self._make(words)
        _ignore_wheel(self.widget.native)
        self.set_value(value)

    def _make(self, words: Mapping[str, str]) -> ValueWidget:
        bounds = self._bounds
        if get_origin(self._type) is Literal:
            choice = ComboBox(choices=[(words.get(one, str(one)), one) for one in get_args(self._type)])
            # The longest choice must not set the width of the dock.
            choice.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            return choice
        if self._type is bool:
            return CheckBox()
        if self._type is int and not self._optional:
            lowest = -LARGEST_INTEGER if bounds.lowest is None else int(bounds.lowest) + bounds.above
            highest = LARGEST_INTEGER if bounds.highest is None else int(bounds.highest) - bounds.below
            return SpinBox(value=lowest, min=lowest, max=min(highest, LARGEST_INTEGER), step=int(bounds.step or 1))
        if self._type is float and not self._optional and bounds.lowest is not None and bounds.highest is not None:
            # The bounds that exclude their end are set with the number of decimals.
            return FloatSpinBox(value=bounds.lowest, min=bounds.lowest, max=bounds.highest, step=FLOAT_STEP)
        line = LineEdit()
        if self._optional:
            line.native.setPlaceholderText(NONE)
        return line

    def set_value(self, value: Any) -> None:
        """Shows a value without reporting a change."""
        if isinstance(self.widget, LineEdit) and self.value() == _plain(value):
            return  # It is shown already, perhaps in the spelling in which the person is typing it.
        with self.widget.changed.blocked():
            if isinstance(self.widget, LineEdit):
                self.widget.value = _text_of(value)
                self.widget.native.setCursorPosition(0)
            else:
                if isinstance(self.widget, FloatSpinBox):
                    self._set_decimals(value)
                self.widget.value = value

    def _set_decimals(self, value: float) -> None:
        decimals = next(
            (places for places in range(DECIMALS, MOST_DECIMALS) if math.isclose(round(value, places), value)),
            MOST_DECIMALS,
        )
        bounds, smallest = self._bounds, 10.0**-decimals
        self.widget.native.setDecimals(decimals)
        self.widget.native.setRange(
            (bounds.lowest or 0.0) + bounds.above * smallest, (bounds.highest or 0.0) - bounds.below * smallest
        )

    def shows(self, value: Any) -> bool:
        """Whether the widget shows ``value``, to the precision of a spin box."""
        shown = self.value()
        if isinstance(self.widget, FloatSpinBox):
            return bool(shown == round(value, self.widget.native.decimals()))
        return bool(shown == _plain(value))

    def value(self) -> Any:
        """The value as JSON knows it, not validated; text that is no number of a number field stays text."""
        if not isinstance(self.widget, LineEdit):
            return self.widget.value
        text = str(self.widget.value).strip()
        if self._optional and text.lower() in ("", NONE):
            return None
        if get_origin(self._type) is tuple:
            return [_parsed(part) for part in text.strip("[]()").split(",") if part.strip()]
        return text if self._type is str else _parsed(text)

    def mark(self, preset: Any, *, changed: bool, setting: str) -> None:
        """Marks the field as changed or not. With a ``setting``, the tooltip names it and the preset's value."""
        self.changed = changed
        self.label.setText(f"<b>• {self.text}</b>" if changed else self.text)
        lines = (
            [self.help, self._bounds.text(), f"Preset: {_text_of(preset) or NONE}", setting] if setting else [self.help]
        )
        tip = "\n".join(line for line in lines if line)
        # Rich text wraps; plain text would be one long line.
        rich = "<br>".join(line.replace("<", "&lt;") for line in tip.split("\n"))
        self.label.setToolTip(f"<qt>{rich}</qt>")
        self.widget.native.setToolTip(f"<qt>{rich}</qt>")

    def set_visible(self, visible: bool) -> None:
        """Shows or hides the row."""
        self.label.setVisible(visible)
        self.widget.native.setVisible(visible)


class Bounds:
    """The limits of a number field; ``above`` and ``below`` mean that the limit itself is not allowed."""

    def __init__(self, field: FieldInfo) -> None:
        self.lowest: float | None = None
        self.highest: float | None = None
        self.step: float | None = None
        self.above = self.below = False
        for limit in field.metadata:
            match limit:
                case annotated_types.Ge(ge=value):
                    self.lowest = value  # type: ignore[assignment]
                case annotated_types.Gt(gt=value):
                    self.lowest, self.above = value, True  # type: ignore[assignment]
                case annotated_types.Le(le=value):
                    self.highest = value  # type: ignore[assignment]
                case annotated_types.Lt(lt=value):
                    self.highest, self.below = value, True  # type: ignore[assignment]
                case annotated_types.MultipleOf(multiple_of=value):
                    self.step = value  # type: ignore[assignment]

    def text(self) -> str:
        """The limits for a person, empty without any."""
        parts = []
        if self.lowest is not None:
            parts.append(f"{'above' if self.above else 'at least'} {self.lowest:g}")
        if self.highest is not None:
            parts.append(f"{'below' if self.below else 'at most'} {self.highest:g}")
        if self.step is not None:
            parts.append(f"a multiple of {self.step:g}")
        return ", ".join(parts).capitalize()


class SectionForm(QWidget):
    """The fields of one section, one row each."""

    edited = Signal(str, object)
    """The name of a field that a person changed, and its value as JSON knows it."""

    def __init__(
        self,
        section: BaseModel,
        *,
        prefix: str = "",
        skip: Collection[str] = (),
        words: Mapping[str, str] | None = None,
    ) -> None:
        """``section`` has the first values. With a ``prefix`` the tooltip names the setting and the preset's value.

        Fields in ``skip`` get no row. ``words`` are the texts of the values of choices.
        """
        super().__init__()
        self._prefix = prefix
        self.inputs: dict[str, FieldInput] = {}
        # A grid, because a hidden row of a form layout leaves its spacing behind.
        layout = QGridLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setVerticalSpacing(4)
        layout.setColumnStretch(1, 1)
        for name, field in type(section).model_fields.items():
            if name in skip:
                continue
            made = FieldInput(name, field, getattr(section, name), words=words or {})
            made.widget.changed.connect(self._reporter(made))
            self.inputs[name] = made
            layout.addWidget(made.label, len(self.inputs), 0)
            layout.addWidget(made.widget.native, len(self.inputs), 1)
        self.show_values(section, section)

    def _reporter(self, one: FieldInput) -> Callable[[Any], None]:
        return lambda _value: self.edited.emit(one.name, one.value())

    def values(self) -> dict[str, Any]:
        """The value of every field, not validated."""
        return {name: one.value() for name, one in self.inputs.items()}

    def show_values(self, section: BaseModel, preset: BaseModel) -> None:
        """Shows the values of ``section``, and marks those that differ from ``preset``."""
        for name, one in self.inputs.items():
            value, usual = getattr(section, name), getattr(preset, name)
            one.set_value(value)
            one.mark(usual, changed=value != usual, setting=f"{self._prefix}{name}" if self._prefix else "")

    @property
    def changed_count(self) -> int:
        """How many fields differ from the preset."""
        return sum(one.changed for one in self.inputs.values())

    def search(self, text: str) -> int:
        """Shows only the rows with ``text`` in name or help; returns how many there are."""
        found = 0
        for name, one in self.inputs.items():
            everything = f"{self._prefix}{name} {one.text} {one.help}".lower()
            visible = text.lower().strip() in everything
            one.set_visible(visible)
            found += visible
        return found


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The type without ``None``, and whether ``None`` was allowed."""
    options = get_args(annotation)
    if type(None) in options:
        return next(one for one in options if one is not type(None)), True
    return annotation, False


def _plain(value: Any) -> Any:
    """A value as JSON knows it: tuples are lists."""
    return list(value) if isinstance(value, tuple) else value


def _text_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text_of, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _parsed(text: str) -> Any:
    """A number where the text is one, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


class _WheelFilter(QObject):
    """Leaves the wheel to the scroll area around a form: scrolling over a number must not change it."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def _ignore_wheel(widget: QWidget) -> None:
    if isinstance(widget, QAbstractSpinBox | QComboBox):
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(_WheelFilter(widget))
