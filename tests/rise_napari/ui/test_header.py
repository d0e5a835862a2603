"""The header shows the current state and clears old warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rise_engine.training import events
from rise_napari.training.session import RunState
from rise_napari.ui import header
from rise_napari.ui.colours import RUN_STATES


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("state", list(RunState))
def test_every_state_is_readable_in_both_themes(state: RunState) -> None:
    assert 1.05 / (luminance(RUN_STATES[state]) + 0.05) >= 4.5


def test_it_shows_counts_device_and_state(workbench: Any, folder: Path) -> None:
    shown = workbench.header
    assert shown.title.text() == "No project open"
    assert shown.state.isHidden()
    workbench.workspace.open_path(folder)
    words = shown.counts.text()
    assert all(part in words for part in ("labelled 0/7", "reviewed 0", "hold-out 0", "round 1", "auto"))
    assert shown.state.text() == "Ready"


def test_an_error_is_cleared_by_a_later_success(
    workbench: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = workbench.header.message
    monkeypatch.setattr(header, "STALE_SECONDS", 3600.0)
    workbench.workspace.open_path(tmp_path / "nowhere")
    assert "is not a folder" in message.text()
    workbench.workspace.open_path(folder)
    assert "is not a folder" in message.text(), "it is still to be read"
    monkeypatch.setattr(header, "STALE_SECONDS", 0.0)
    workbench.workspace.step(1)
    assert message.text() == ""
    workbench.workspace.notify("The report is in /there.")
    workbench.workspace.step(1)
    assert message.text() == "The report is in /there.", "news is no trouble"


def test_a_failure_is_cleared_by_the_next_start_and_by_another_project(
    opened: Any, trainer: Any, disc: Any, stroke: Any, qtbot: Any, tmp_path: Path
) -> None:
    stroke(opened, disc(20, 20))
    opened.annotate.mark_done()
    training, train = opened.workspace.training, opened.train
    failed = [events.Failed(0, "memory", "The memory is full.", "Choose a smaller crop.")]
    trainer.batches = [failed]
    train.start_training()
    qtbot.waitUntil(lambda: training.state is RunState.FAILED, timeout=10_000)
    assert "memory is full" in opened.header.message.text()
    trainer.batches = []
    train.next_actions.remedy.click()
    assert opened.header.message.text() == ""
    trainer.batches = [failed]
    qtbot.waitUntil(lambda: training.state is RunState.FAILED, timeout=10_000)
    other = tmp_path / "others"
    other.mkdir()
    opened.workspace.open_path(other)
    assert opened.header.state.text() == "Ready"
    assert train.report.isHidden()
    assert train.next_actions.remedy.isHidden()


def test_a_coloured_message_is_high_enough_for_all_its_lines(opened: Any) -> None:
    message = opened.header.message
    plain, width = message.sizeHint().height(), 300
    for words in range(1, 40):
        sentence = " ".join(["word"] * words)
        heights = []
        for level in ("info", "error"):
            opened.workspace.notify(sentence, level)
            heights.append(message.heightForWidth(width))
        assert heights[0] == heights[1], "the tint takes no room from the words"
    assert heights[1] > 2 * plain
