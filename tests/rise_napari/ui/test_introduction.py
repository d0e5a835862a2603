"""Introductions are shown until they are confirmed, and again on request."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from rise_napari.ui.introduction import Introductions


def test_each_tab_has_an_introduction_until_it_is_confirmed(workbench: Any) -> None:
    shown = workbench.introductions.frames
    assert list(shown) == [step.name for step in workbench.all_tabs]
    assert not any(frame.isHidden() for frame in shown.values())
    read = shown["Annotate"].findChild(QPushButton)
    QTest.keyClick(read, Qt.Key.Key_Space)
    assert [name for name, frame in shown.items() if frame.isHidden()] == ["Annotate"]
    later = Introductions(workbench.all_tabs, workbench.project.remembered)
    assert [name for name, frame in later.frames.items() if frame.isHidden()] == ["Annotate"], "another window knows it"
    workbench.introductions.show_again()
    assert not shown["Annotate"].isHidden()


def test_the_shortcuts_dialog_shows_the_introductions_again(workbench: Any) -> None:
    frame = workbench.introductions.frames["Project"]
    frame.findChild(QPushButton).click()
    assert frame.isHidden()
    dialog = workbench.shortcuts_dialog()
    again = next(one for one in dialog.findChildren(QPushButton) if "introductions" in one.text())
    again.click()
    assert not frame.isHidden()
