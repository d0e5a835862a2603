"""Figures 3, 4, 7 and 8 of the paper: the cells that each needs, and the function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.cell import Amount, Cell, counted
from rise_engine.experiments.reproduce.grid import Grid
from rise_engine.experiments.reproduce.job import Job
from rise_engine.experiments.reproduce.mask_figures import draw_figure_3, draw_figure_8
from rise_engine.experiments.reproduce.tables import ONE_PERCENT
from rise_engine.experiments.reproduce.threshold_figures import draw_figure_4, draw_figure_7

POINTS = 24
"""Number of hold-out evaluations for Figure 4."""
BASE_QUANTILES = (0.5, 0.9, 0.995, 0.999)
"""Base quantiles of Figure 7. The text names only 0.995; the others are below and above it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """``cells`` makes the cells from the amount of labels and the number of steps; ``draw`` writes the files."""

    cells: Callable[[Amount, int], tuple[Cell, ...]]
    draw: Callable[[Grid, Sequence[Job], Path], list[Path]]


def amount_of(counts: Sequence[int]) -> Amount:
    """The requested count; the paper's 1 % without one. Raises RiseError for several."""
    if len(counts) > 1:
        raise RiseError(
            f"A figure shows trainings with one number of labelled frames, but --labelled has {len(counts)}: give one."
        )
    return counted(counts[0]) if counts else ONE_PERCENT


def _rise(amount: Amount, steps: int) -> tuple[Cell, ...]:
    return (Cell("RISE", amount),)


def _with_frequent_holdout(amount: Amount, steps: int) -> tuple[Cell, ...]:
    return (Cell("RISE", amount, (f"schedule.holdout_every={max(1, steps // POINTS)}",)),)


def _quantiles(amount: Amount, steps: int) -> tuple[Cell, ...]:
    return tuple(Cell(f"a_0 = {value}", amount, (f"pseudo_labels.quantile_start={value}",)) for value in BASE_QUANTILES)


FIGURES: dict[str, Figure] = {
    "figure3": Figure(_rise, draw_figure_3),
    "figure4": Figure(_with_frequent_holdout, draw_figure_4),
    "figure7": Figure(_quantiles, draw_figure_7),
    "figure8": Figure(_rise, draw_figure_8),
}
