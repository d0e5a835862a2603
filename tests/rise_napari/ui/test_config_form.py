"""The form of a section: a widget for each field by its type and bounds, and marks on what differs from the preset."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox
from pydantic import Field
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from rise_engine.config import PRESETS, RECIPES, LossConfig, RiseConfig, Section
from rise_napari.ui.config_form import FieldInput, SectionForm


class Example(Section):
    """One field of each type."""

    flag: bool = True
    kind: Literal["first", "second"] = "second"
    count: int = Field(64, ge=32, le=128, multiple_of=32)
    """How many there are."""
    share: float = Field(0.995, gt=0, lt=1)
    rate: float = Field(3e-4, gt=0)
    limit: float | None = Field(None, ge=0, le=1)
    sides: tuple[int, ...] = (240, 256)
    name: str = "resnet50"


class Extended(Example):
    """The same with one more field."""

    added: int = Field(3, ge=0)
    """A new setting."""


@pytest.fixture
def form(qapp: Any) -> SectionForm:
    return SectionForm(Example(), prefix="example.")


def test_each_type_has_its_widget_and_shows_the_default(form: SectionForm) -> None:
    kinds = {name: type(one.widget) for name, one in form.inputs.items()}
    assert kinds == {
        "flag": CheckBox,
        "kind": ComboBox,
        "count": SpinBox,
        "share": FloatSpinBox,
        "rate": LineEdit,
        "limit": LineEdit,
        "sides": LineEdit,
        "name": LineEdit,
    }
    assert Example.model_validate(form.values()) == Example()
    assert form.inputs["rate"].widget.value == "0.0003"


def test_a_new_field_appears_with_its_help(qapp: Any) -> None:
    form = SectionForm(Extended())
    assert list(form.inputs) == [*Example.model_fields, "added"]
    assert form.inputs["added"].label.text() == "Added"
    assert "A new setting." in form.inputs["added"].widget.native.toolTip()
    assert form.values()["added"] == 3


def test_bounds_are_enforced(form: SectionForm) -> None:
    count = form.inputs["count"].widget.native
    count.setValue(1000)
    assert count.value() == 128
    count.setValue(0)
    assert count.value() == 32
    count.stepUp()
    assert count.value() == 64
    share = form.inputs["share"].widget.native
    share.setValue(1)
    assert share.value() == pytest.approx(0.999), "1 itself is not allowed"
    share.setValue(0)
    assert share.value() == pytest.approx(0.001)
    assert "At least 32, at most 128, a multiple of 32" in count.toolTip()


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("rate", "1e-5", 1e-5),
        ("limit", "", None),
        ("limit", "none", None),
        ("limit", "0.25", 0.25),
        ("sides", "64, 96", (64, 96)),
        ("sides", "[64]", (64,)),
        ("name", "resnet18", "resnet18"),
    ],
)
def test_text_becomes_a_value(form: SectionForm, field: str, text: str, value: Any) -> None:
    edits: list[tuple[str, Any]] = []
    form.edited.connect(lambda name, new: edits.append((name, new)))
    form.inputs[field].widget.value = "0.5" if text == "" else "7"
    form.inputs[field].widget.value = text
    assert edits[-1][0] == field
    assert getattr(Example.model_validate(form.values()), field) == value


def test_changed_values_are_marked_and_unchanged_ones_are_not(form: SectionForm) -> None:
    form.show_values(Example(count=96), Example())
    assert form.changed_count == 1
    assert form.inputs["count"].label.text() == "<b>• Count</b>"
    assert "Preset: 64" in form.inputs["count"].label.toolTip()
    assert form.inputs["share"].label.text() == "Share"
    form.show_values(Example(), Example())
    assert form.changed_count == 0


def test_a_search_shows_the_rows_with_the_text(form: SectionForm) -> None:
    assert form.search("how many") == 1
    assert not form.inputs["count"].label.isHidden()
    assert form.inputs["share"].label.isHidden()
    assert form.search("example.") == len(form.inputs)


def test_the_wheel_changes_only_a_number_with_the_focus(form: SectionForm) -> None:
    count = form.inputs["count"].widget.native
    here = QPointF(5, 5)
    wheel = QWheelEvent(
        here,
        QPointF(count.mapToGlobal(here.toPoint())),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(count, wheel)
    assert count.value() == 64


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_of_every_preset_is_shown_as_it_is(qapp: Any, preset: Any, recipe: Any) -> None:
    config = RiseConfig.preset(preset, recipe)
    for name in type(config).model_fields:
        section = getattr(config, name)
        if not isinstance(section, Section):
            continue
        for field, description in type(section).model_fields.items():
            shown = FieldInput(field, description, getattr(section, field), words={})
            assert shown.shows(getattr(section, field)), f"{name}.{field}"


def test_the_window_knows_the_help_of_the_settings() -> None:
    assert LossConfig.model_fields["association"].description == "lambda_3 of Eq. 9."
