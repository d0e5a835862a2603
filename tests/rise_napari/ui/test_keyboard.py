"""The window is usable with the keyboard only, from a folder to an export."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from napari.viewer import Viewer
from qtpy.QtCore import QSettings, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QPushButton,
    QSlider,
    QTabBar,
    QWidget,
)

from rise_engine.project.records import FrameState, Instance, Source
from rise_engine.project.segmentation import from_mask
from rise_napari.tabs.project import recent_projects
from rise_napari.ui.commands import BUTTONS, COMMANDS, PALETTE, TABS
from rise_napari.ui.identity import PLUGIN, WIDGET
from rise_napari.ui.shortcuts_dialog import LISTED

ALT, PLAIN = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.NoModifier
RINGED = QPushButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView, QSlider, QTabBar


@pytest.fixture
def shown(
    make_napari_viewer_proxy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot: Any
) -> Iterator[Any]:
    """The window on a viewer that is shown, as napari docks it from its menu."""
    kept = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    monkeypatch.setattr(recent_projects, "settings", lambda: kept)
    viewer = make_napari_viewer_proxy(show=True)
    _, bench = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    bench.viewer_for_tests = viewer
    bench.window().activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is not None, timeout=20_000)
    yield bench
    bench.shut_down()


def press(key: Qt.Key, modifier: Qt.KeyboardModifier = PLAIN, text: str = "") -> None:
    """A key for whatever has the keyboard."""
    target = QApplication.focusWidget() or QApplication.activeWindow()
    QTest.keyClick(target, key, modifier)
    QApplication.processEvents()


def tab_to(wanted: QWidget) -> None:
    """Presses Tab until a control has the keyboard, as a person would who cannot point at it."""
    for _ in range(60):
        if wanted.hasFocus():
            return
        press(Qt.Key.Key_Tab)
    raise AssertionError(f"{wanted} is not reached with Tab")


def test_from_a_folder_to_coco_without_the_mouse(
    shown: Any, folder: Path, disc: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    target = folder.parent / "annotations.json"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    workspace = shown.workspace
    press(Qt.Key.Key_1, ALT)
    tab_to(shown.project.open_folder)
    press(Qt.Key.Key_Space)
    assert len(workspace.frames) == 7
    run = workspace.project.runs.start(preset="laptop", recipe="recommended", steps=1, base="none")
    workspace.project.runs.finish(run.number, steps=1)
    category = workspace.project.annotations.add_category("object").id
    found = Instance(
        None, workspace.frame.id, category, from_mask(disc(20, 20)), 0.9, source=Source.PREDICTED, run=run.number
    )
    workspace.project.predictions.store(run.number, {workspace.frame.id: [found]})
    workspace.refresh_frames()
    workspace.predictions_changed.emit(None)
    press(Qt.Key.Key_5, ALT)
    assert shown.tabs.currentWidget() is shown.review
    tab_to(shown.review.accept_all)
    press(Qt.Key.Key_Space)
    assert workspace.count(FrameState.REVIEWED) == 1
    press(Qt.Key.Key_6, ALT)
    tab_to(shown.export.coco)
    press(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: target.is_file() and shown.export.coco.isEnabled(), timeout=30_000)
    assert len(json.loads(target.read_text())["annotations"]) == 1


def test_every_button_of_every_tab_is_reached_with_tab(shown: Any, folder: Path, qtbot: Any) -> None:
    shown.workspace.open_path(folder)
    for place, step in enumerate(shown.all_tabs):
        press(Qt.Key(Qt.Key.Key_1 + place), ALT)
        assert shown.tabs.currentWidget() is step
        if step is shown.review:
            # Its queue is put in order beside the window; a button that it enables on the way would be missed.
            qtbot.waitUntil(lambda: shown.review.queue.count() > 0, timeout=20_000)
        visited: list[QWidget] = []
        for _ in range(80):
            press(Qt.Key.Key_Tab)
            focused = QApplication.focusWidget()
            if focused is None or focused in visited:
                break
            if step.isAncestorOf(focused):
                assert isinstance(focused, RINGED), f"{focused} does not show that it has the keyboard"
            visited.append(focused)
        usable = {one for one in step.findChildren(QPushButton) if one.isVisible() and one.isEnabled()}
        assert not usable - set(visited), [one.text() for one in usable - set(visited)]
        assert next(one for one in visited if step.isAncestorOf(one)).text() == "Got it", "it stands first"


def test_alt_and_a_number_change_the_tab_from_fields_and_lists_too(shown: Any, folder: Path) -> None:
    shown.workspace.open_path(folder)
    press(Qt.Key.Key_4, ALT)
    for field in (
        shown.train.settings.preset,
        shown.train.settings.advanced.seed,
        shown.train.settings.advanced.more,
        shown.train.settings.advanced.weights,
    ):
        shown.train.settings.advanced_section.expand(False)
        shown.tabs.setCurrentWidget(shown.train)
        field.setFocus()
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_2, ALT)
        QApplication.processEvents()
        assert shown.tabs.currentWidget() is shown.annotate, field
    assert (shown.train.settings.advanced.seed.value(), shown.train.settings.advanced.more.text()) == (0, "")


def test_f6_switches_between_image_and_tab(shown: Any, folder: Path) -> None:
    shown.workspace.open_path(folder)
    press(Qt.Key.Key_2, ALT)
    assert shown.isAncestorOf(QApplication.focusWidget())
    press(Qt.Key.Key_J)
    assert shown.workspace.frame is shown.workspace.frames[1], "keys work from the controls too"
    press(Qt.Key.Key_F6)
    focused = QApplication.focusWidget()
    assert focused is None or not shown.isAncestorOf(focused)


def test_the_command_palette_has_every_command(shown: Any, folder: Path) -> None:
    palette = import_module("rise_napari.manifest.palette")
    for name in PALETTE:
        call = getattr(palette, name)
        assert typing.get_type_hints(call)["viewer"] is Viewer, "napari passes the viewer and nothing else"
    listed = {command.name for command in LISTED}
    other_tabs = {f"show_{tab.name.lower()}" for tab in shown.all_tabs[1:]}
    assert listed - {"category_1"} == set(PALETTE) - other_tabs
    viewer = shown.viewer_for_tests
    shown.workspace.open_path(folder)
    palette.show_export(viewer)
    assert shown.tabs.currentWidget() is shown.export
    palette.next_unlabelled(viewer)
    assert shown.workspace.frame is shown.workspace.frames[1]
    palette.start_training(viewer)
    assert shown.tabs.currentWidget() is shown.train
    assert "not possible now" in shown.header.message.text()


def test_the_tabs_have_the_names_of_their_commands(shown: Any) -> None:
    assert [tab.name for tab in shown.all_tabs] == list(TABS)


def test_every_command_runs_without_a_project(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clicked: list[QPushButton] = []
    monkeypatch.setattr(shown, "click", clicked.append)
    for command in COMMANDS:
        command.run(shown)
    assert len(clicked) == len(BUTTONS)
    assert all(isinstance(button, QPushButton) for button in clicked)


def test_the_shortcuts_dialog_lists_every_command(shown: Any) -> None:
    text = shown.shortcuts_dialog().text.text()
    for command in LISTED:
        assert command.explanation in text
        assert command.shown_key in text
