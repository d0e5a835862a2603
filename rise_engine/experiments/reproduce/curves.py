"""Chart and CSV of hold-out scores over training steps, from the logs of the runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from rise_engine.atomic import atomic_path, write_text
from rise_engine.experiments.reproduce.chart import Chart, Colour, tile_images
from rise_engine.experiments.reproduce.grid import Grid
from rise_engine.experiments.reproduce.job import Job
from rise_engine.experiments.reproduce.run_log import logged_events
from rise_engine.project.run_folder import RunFolder
from rise_engine.project.wording import number_of
from rise_engine.training.events import HoldoutScore

COLOURS: tuple[Colour, ...] = (
    (90, 90, 90),
    (214, 60, 60),
    (50, 110, 200),
    (40, 150, 90),
    (230, 140, 30),
    (140, 80, 180),
    (0, 160, 170),
    (190, 90, 130),
    (120, 110, 40),
)
MARGIN = 1.0
"""Percent above and below the lines."""

Curve = Sequence[tuple[int, float]]
"""(step, mask AP in percent), in the order of steps."""


def curve_of(folder: Path) -> Curve:
    """The hold-out scores in the log of a run. Raises RiseError when the log is missing."""
    return [(score.step, score.ap) for score in logged_events(folder, HoldoutScore)]


def panels_of(grid: Grid, jobs: Sequence[Job]) -> dict[str, dict[str, list[Curve]]]:
    """One panel per number of labelled frames, with the curves of finished jobs by method."""
    panels: dict[str, dict[str, list[Curve]]] = {}
    for job in jobs:
        result = grid.result(job)
        if result is not None and RunFolder(result.folder).metrics.is_file():
            title = number_of(job.labelled, "labelled frame")
            panels.setdefault(title, {}).setdefault(job.cell.method, []).append(curve_of(result.folder))
    return panels


def write_curves(path: Path, panels: Mapping[str, Mapping[str, Sequence[Curve]]]) -> list[Path]:
    """Draws ``path`` (PNG) and writes the same numbers to a CSV file with the same stem; nothing without a score.

    Curves of one name are shown as their mean with a band of the standard deviation, at their common steps.
    """
    lines = {title: {name: _averaged(curves) for name, curves in panel.items()} for title, panel in panels.items()}
    points = [point for panel in lines.values() for line in panel.values() for point in line]
    if not points:
        return []
    steps = (0.0, float(max(step for step, _, _ in points)))
    scores = (min(ap - spread for _, ap, spread in points), max(ap + spread for _, ap, spread in points))
    shown = (max(0.0, scores[0] - MARGIN), min(100.0, scores[1] + MARGIN))
    names = list(dict.fromkeys(name for panel in lines.values() for name in panel))
    charts = []
    for title, panel in lines.items():
        chart = Chart(title, x=steps, y=shown, x_label="step", y_label="mask AP")
        for name, line in panel.items():
            colour = COLOURS[names.index(name) % len(COLOURS)]
            low, high = ([(step, ap + side * spread) for step, ap, spread in line] for side in (-1, 1))
            chart.band(low, high, colour)
            chart.line([(step, ap) for step, ap, _ in line], colour, name=name)
        charts.append(chart.image())
    with atomic_path(path) as part:
        tile_images(charts, columns=2).save(part, format="PNG")
    table = path.with_suffix(".csv")
    write_text(table, _csv(lines))
    return [path, table]


def _averaged(curves: Sequence[Curve]) -> list[tuple[int, float, float]]:
    """(step, mean, standard deviation) at the steps that all curves have."""
    by_step = [dict(curve) for curve in curves]
    common = sorted(set.intersection(*map(set, by_step)))
    averaged = []
    for step in common:
        values = [scores[step] for scores in by_step]
        averaged.append((step, mean(values), stdev(values) if len(values) > 1 else 0.0))
    return averaged


def _csv(lines: Mapping[str, Mapping[str, Sequence[tuple[int, float, float]]]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["panel", "name", "step", "AP mean", "AP spread"])
    for title, panel in lines.items():
        for name, line in panel.items():
            writer.writerows([title, name, step, round(ap, 4), round(spread, 4)] for step, ap, spread in line)
    return text.getvalue()
