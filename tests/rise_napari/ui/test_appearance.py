"""The appearance of the window: no scrolling on a small screen, icons with enough contrast in both themes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import QApplication, QPushButton, QScrollArea

from rise_engine.project.records import FrameState
from rise_napari.ui.icons import COLOURS, shipped_icon

SMALL = 1280, 800


def luminance(red: float, green: float, blue: float) -> float:
    """The relative luminance of WCAG 2, of parts from 0 to 255."""
    parts = [part / 255 for part in (red, green, blue)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


@pytest.mark.parametrize(("theme", "place"), [("dark", 0), ("light", 1)])
def test_icons_contrast_with_buttons_and_lists(theme: str, place: int) -> None:
    grounds = [luminance(*getattr(get_theme(theme), name).as_rgb_tuple()[:3]) for name in ("primary", "foreground")]
    for written, drawn in COLOURS.items():
        if written == "#ffffff":
            continue  # the tick on a disc: it stands out from the disc
        colour = drawn[place].lstrip("#")
        mark = luminance(*(int(colour[at : at + 2], 16) for at in (0, 2, 4)))
        assert all(contrast(mark, ground) >= 3 for ground in grounds), (written, theme)


def test_icons_are_sharp_on_a_high_resolution_screen(qapp: Any) -> None:
    icon = shipped_icon("accept", dark=True)
    assert QSize(16, 16) in icon.availableSizes()
    assert QSize(32, 32) in icon.availableSizes()
    assert shipped_icon("no-such", dark=True).isNull(), "a word stands beside each"


def test_icons_follow_the_theme(opened: Any) -> None:
    viewer = opened.viewer_for_tests

    def looks() -> tuple[Any, Any]:
        QApplication.processEvents()
        opened.project.list.ensurePolished()
        mark = opened.project.model.data(opened.project.model.index(0), 1)
        return opened.train.start.icon().pixmap(32, 32).toImage(), mark.pixmap(32, 32).toImage()

    viewer.window.show()
    viewer.theme = "dark"
    dark = looks()
    viewer.theme = "light"
    light = looks()
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    viewer.theme = "dark"
    assert looks() == dark


def test_no_tab_scrolls_on_a_small_screen(opened: Any, disc: Any, stroke: Any) -> None:
    for introduction in opened.introductions.frames.values():
        introduction.hide()
    stroke(opened, disc(20, 20))
    opened.workspace.mark(FrameState.LABELLED)
    preview = opened.bank.preview
    preview._pixmaps = [QPixmap(1280, 960)] * 3
    preview.words.setText("before | after: kept: 13 objects;  moved: 14;  added: 15, 16;  removed: 13;  hidden: 3")
    window = opened.viewer_for_tests.window
    window.show()
    window.resize(*SMALL)
    for step in opened.all_tabs:
        opened.tabs.setCurrentWidget(step)
        for _ in range(5):
            QApplication.processEvents()
        assert opened.height() < SMALL[1]
        bar = step.findChild(QScrollArea).verticalScrollBar()
        assert bar.maximum() == 0, step.name
        cut = [one for one in step.findChildren(QPushButton) if one.isVisible() and one.width() < _words(one)]
        assert not cut, [one.text() for one in cut]


def _words(button: QPushButton) -> int:
    return int(button.fontMetrics().boundingRect(button.text()).width())


def test_a_high_window_shows_larger_previews(opened: Any) -> None:
    bank = opened.bank
    opened.viewer_for_tests.window.show()
    opened.tabs.setCurrentWidget(bank)
    bank.resize(420, 1000)
    assert bank.preview.columns == 2
    bank.resize(420, 640)
    assert bank.preview.columns == 3


def test_the_slider_below_the_canvas_is_labelled_frame(opened: Any) -> None:
    assert opened.viewer_for_tests.dims.axis_labels[0] == "frame"


def test_empty_lines_of_text_are_hidden(opened: Any, tmp_path: Path) -> None:
    export = opened.export
    lines = (export.coco_where, export.onnx_where, export.report_where)
    assert all(line.isHidden() for line in lines)
    export.export_report(tmp_path / "report.md")
    assert [line.isHidden() for line in lines] == [True, True, False]
