from __future__ import annotations

import pytest

from rise_engine.method.thresholds import quantile_level, staircase


def test_staircase_of_the_paper() -> None:
    heights = [
        staircase(step, 12_000, 0.5, 0.85, 12) for step in (0, 999, 1000, 5999, 6000, 10_999, 11_000, 12_000, 20_000)
    ]
    rise = 0.35 / 11
    expected = [0.5, 0.5, 0.5 + rise, 0.5 + 5 * rise, 0.5 + 6 * rise, 0.5 + 10 * rise, 0.85, 0.85, 0.85]
    assert heights == pytest.approx(expected)


def test_staircase_has_as_many_heights_as_stairs() -> None:
    assert len({staircase(step, 100, 0.4, 0.6, 7) for step in range(101)}) == 7
    assert staircase(50, 100, 0.5, 0.5, 12) == 0.5


def test_quantile_level_falls_linearly_to_zero() -> None:
    levels = [quantile_level(step, 1000, 0.995) for step in (0, 500, 1000, 1200)]
    assert levels == pytest.approx([0.995, 0.4975, 0.0, 0.0])
