"""How far a long work is, in a log."""

from __future__ import annotations

import pytest

from rise_engine.commands import progress
from rise_engine.commands.progress import with_progress
from rise_engine.project.wording import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"), (0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (3_600, "60 min"), (5_399, "1 h 30 min"),
        (9_000, "2 h 30 min"),
    ],
)  # fmt: skip
def test_a_stretch_of_time_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A frame takes 10 s here, and lines are 30 s apart: after the third frame and the sixth."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    for _ in with_progress(range(7), total=7, doing="predicting"):
        now[0] += 10
    assert capsys.readouterr().err.splitlines() == ["predicting: 3 of 7, 40 s left", "predicting: 6 of 7, 10 s left"]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(with_progress(range(7), total=7, doing="predicting")) == list(range(7))
    assert capsys.readouterr() == ("", "")
