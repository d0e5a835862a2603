"""The Bank tab: cut-outs page by page, and the pseudo-sequence with its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from rise_engine.config import RiseConfig
from rise_engine.project.records import Instance
from rise_engine.project.segmentation import from_mask
from rise_napari.tabs.bank import grid as bank_grid
from rise_napari.tabs.bank.thumbnails import PIXELS, read_thumbnails

SIZE = (60, 80)


class FakeEngine:
    """Answers a request for a sequence with three plain images, and records the requests."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def run(self, job: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        import base64
        import io

        self.asked.append({"job": job, **arguments})
        file = io.BytesIO()
        Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(file, "PNG")
        png = base64.b64encode(file.getvalue()).decode("ascii")
        yield {"result": {"pngs": [png] * 3, "words": ["added: 1"]}}

    def close(self) -> None:
        return


@pytest.fixture
def window(opened: Any, disc: Any, qtbot: Any) -> Any:
    """The Bank tab in view, with five cut-outs of two categories on two frames, three a page."""
    workspace, project = opened.workspace, opened.workspace.project
    workspace.engine = FakeEngine()
    cup, box = (project.annotations.add_category(name).id for name in ("cup", "box"))
    for frame, kinds in ((workspace.frames[0], (cup, box, cup)), (workspace.frames[2], (box, box))):
        masks = [disc(12 + 15 * place, 15 + 20 * place, 6) for place in range(len(kinds))]
        new = [Instance(None, frame.id, kind, from_mask(mask)) for kind, mask in zip(kinds, masks, strict=True)]
        project.annotations.add(frame.id, new)
    workspace.reload()
    opened.viewer_for_tests.window.show()
    return opened


@pytest.fixture
def bank(window: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> Any:
    monkeypatch.setattr(bank_grid, "PAGE", 3)
    window.tabs.setCurrentWidget(window.bank)
    grid = window.bank.cut_outs
    qtbot.waitUntil(lambda: grid.list.count() == 3, timeout=20_000)
    return grid


def listed(grid: Any) -> list[int]:
    return [grid.list.item(row).data(Qt.ItemDataRole.UserRole).instance for row in range(grid.list.count())]


def click(grid: Any, row: int, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    place = grid.list.visualItemRect(grid.list.item(row)).center()
    QTest.mouseClick(grid.list.viewport(), Qt.MouseButton.LeftButton, modifier, place)


def test_pages_show_every_cut_out_once(window: Any, bank: Any, qtbot: Any) -> None:
    first = listed(bank)
    assert bank.count.text() == "5 cut-outs"
    assert bank.place.text() == "1 / 2"
    assert not bank.back.isEnabled()
    QTest.mouseClick(bank.forth, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bank.list.count() == 2, timeout=20_000)
    workspace = window.workspace
    everything = [one.id for frame in workspace.frames for one in workspace.project.annotations.of_frame(frame.id)]
    assert sorted(first + listed(bank)) == sorted(everything)
    assert not bank.forth.isEnabled()
    bank.show_only.setCurrentText("cup")
    qtbot.waitUntil(lambda: bank.list.count() == 2 and bank.place.text() == "1 / 1", timeout=20_000)
    qtbot.waitUntil(lambda: {bank.list.item(row).text() for row in range(2)} == {"cup"}, timeout=20_000)


def test_a_click_shows_the_frame_and_selects_the_instance(window: Any, bank: Any, qtbot: Any) -> None:
    QTest.mouseClick(bank.forth, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bank.list.count() == 2, timeout=20_000)
    chosen = listed(bank)[1]
    click(bank, 1)
    assert window.workspace.frame.name == "frame_2.png"
    assert window.workspace.selected == chosen


def test_space_excludes_the_selected_in_one_edit_that_undo_reverts(window: Any, bank: Any, qtbot: Any) -> None:
    workspace = window.workspace
    chosen = listed(bank)[:2]
    click(bank, 0)
    click(bank, 1, Qt.KeyboardModifier.ControlModifier)
    before = len(workspace.project.journal.history())
    QTest.keyClick(bank.list, Qt.Key.Key_Space)
    assert workspace.project.annotations.bank_excluded() == set(chosen)
    assert len(workspace.project.journal.history()) == before + 1
    qtbot.waitUntil(lambda: bank.count.text() == "5 cut-outs, 2 excluded", timeout=20_000)
    qtbot.waitUntil(lambda: bank.exclude.text() == "Include", timeout=20_000)
    assert [entry.instance for entry in bank.chosen()] == chosen, "they stay selected"
    workspace.undo()
    assert workspace.project.annotations.bank_excluded() == set()
    qtbot.waitUntil(lambda: bank.count.text() == "5 cut-outs", timeout=20_000)


def test_a_stroke_adds_its_cut_out(window: Any, bank: Any, disc: Any, stroke: Any, qtbot: Any) -> None:
    stroke(window, disc(50, 15, 6))
    qtbot.waitUntil(lambda: bank.count.text() == "6 cut-outs", timeout=20_000)


def test_excluded_cut_outs_are_crossed_out(window: Any, folder: Path) -> None:
    from dataclasses import replace

    project = window.workspace.project
    entry = project.annotations.bank_entries()[0]
    shown, crossed = read_thumbnails(project.path, [entry, replace(entry, excluded=True)])
    assert shown.image.shape == (PIXELS, PIXELS, 3)
    assert shown.image[PIXELS // 2, PIXELS // 2].tolist() != crossed.image[PIXELS // 2, PIXELS // 2].tolist()
    away = replace(entry, instance=999)
    assert read_thumbnails(project.path, [away]) == [], "deleted instances are skipped"


def test_the_sequence_is_generated_for_the_frame_the_seed_and_the_settings(window: Any, bank: Any, qtbot: Any) -> None:
    preview, engine = window.bank.preview, window.workspace.engine
    qtbot.waitUntil(lambda: preview.words.text() == "before | after: added: 1", timeout=20_000)
    assert engine.asked[-1]["settings"] == []
    assert engine.asked[-1]["frame"] == window.workspace.frame.id
    for position in (5, 6, 8):
        preview.settings.sliders["max_pasted"].setValue(position)
    preview.settings.sliders["beta_alpha"].setValue(20)
    qtbot.waitUntil(lambda: len(engine.asked) >= 2 and bool(engine.asked[-1]["settings"]), timeout=20_000)
    wanted = ["sequence.max_pasted=8", "sequence.beta_alpha=2.0", "sequence.beta_beta=2.0"]
    assert engine.asked[-1]["settings"] == wanted
    assert len(engine.asked) == 2, "a moving slider generates one sequence"
    RiseConfig.preset("laptop").with_settings(wanted)
    QTest.mouseClick(preview.regenerate, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.asked[-1]["seed"] == 1, timeout=20_000)
    window.workspace.step(1)
    qtbot.waitUntil(lambda: engine.asked[-1]["frame"] == window.workspace.frame.id, timeout=20_000)
    QTest.mouseClick(preview.settings.reset, Qt.MouseButton.LeftButton)
    assert preview.settings.overrides() == []


def test_the_sequence_settings_reach_the_train_tab(window: Any, bank: Any) -> None:
    preview, more = window.bank.preview, window.train.settings.advanced.more
    more.setText("loader.short_sides=[64, 96], sequence.max_pasted=1")
    preview.settings.sliders["max_pasted"].setValue(0)
    QTest.mouseClick(preview.settings.use, Qt.MouseButton.LeftButton)
    assert more.text() == "loader.short_sides=[64, 96], sequence.max_pasted=0, sequence.min_pasted=0"
