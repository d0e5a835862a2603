"""Draw Figure 4 (ideal thresholds during training) and Figure 7 (scores after the cascade), from run logs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from rise_engine.atomic import atomic_path, write_text
from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.chart import Chart, Colour, tile_images
from rise_engine.experiments.reproduce.grid import Grid
from rise_engine.experiments.reproduce.job import Job
from rise_engine.experiments.reproduce.run_log import logged_events
from rise_engine.training.events import PseudoLabelScore, Thresholds

BLACK: Colour = (20, 20, 20)
RED: Colour = (214, 60, 60)
BLUE: Colour = (50, 110, 200)
STAGES = 12
"""Parts of the schedule in Figure 7, as many as the stairs of the thresholds."""


def draw_figure_4(grid: Grid, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Ideal class and mask thresholds of the first seed, with their spread; the numbers of all seeds as CSV."""
    rows, drawn = [], None
    for job in jobs:
        scores = logged_events(_folder(grid, job), PseudoLabelScore)
        drawn = scores if drawn is None else drawn
        rows += [{"seed": job.seed, **_numbers(score)} for score in scores]
    assert drawn is not None
    steps = (0.0, float(jobs[0].config.schedule.steps))
    label = Chart("(a) class threshold", x=steps, y=(0, 1), x_label="step", y_label="score")
    _ideal(
        label,
        [
            (score.step, score.ideal_threshold, score.ideal_threshold_spread or 0.0)
            for score in drawn
            if score.ideal_threshold is not None
        ],
    )
    label.line(
        [(score.step, score.best_threshold) for score in drawn if score.best_threshold is not None],
        BLUE,
        name="highest F1",
        dashed=True,
    )
    label.line([(score.step, score.gamma_cls) for score in drawn], RED, name="gamma_cls")
    mask = Chart("(b) mask threshold", x=steps, y=(0, 1), x_label="step", y_label="probability")
    _ideal(
        mask,
        [
            (score.step, score.ideal_mask_threshold, score.ideal_mask_threshold_spread or 0.0)
            for score in drawn
            if score.ideal_mask_threshold is not None
        ],
    )
    mask.line([(score.step, score.gamma_mask) for score in drawn], RED, name="gamma_mask")
    return _save(folder, "figure4", tile_images([label.image(), mask.image()], columns=2), rows)


def draw_figure_7(grid: Grid, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Histograms of pseudo-label scores: one panel per base quantile, one colour per part of the schedule."""
    panels, rows = [], []
    first = [job for job in jobs if job.seed == jobs[0].seed]
    counts = [_density(grid, job) for job in first]
    most = max((value for lines in counts for line in lines for value in line), default=1.0)
    for job, lines in zip(first, counts, strict=True):
        chart = Chart(job.cell.method, x=(0, 1), y=(0, most), x_label="score", y_label="pseudo-labels a step")
        for stretch, line in enumerate(lines):
            share = stretch / max(1, STAGES - 1)
            colour = (round(40 + 200 * share), round(60 + 60 * (1 - share)), round(220 * (1 - share) + 40))
            name = {0: "first steps", STAGES - 1: "last steps"}.get(stretch, "")
            bins = len(line)
            chart.line([((place + 0.5) / bins, value) for place, value in enumerate(line)], colour, name=name)
            rows += [
                {"panel": job.cell.method, "stretch": stretch, "score": (place + 0.5) / bins, "a step": value}
                for place, value in enumerate(line)
            ]
        panels.append(chart.image())
    return _save(folder, "figure7", tile_images(panels, columns=2), rows)


def _density(grid: Grid, job: Job) -> list[list[float]]:
    """Per part of the schedule, the mean histogram of kept scores."""
    steps = job.config.schedule.steps
    parts: list[list[tuple[int, ...]]] = [[] for _ in range(STAGES)]
    for event in logged_events(_folder(grid, job), Thresholds):
        if event.kept_histogram:
            parts[min(STAGES * (event.step - 1) // steps, STAGES - 1)].append(event.kept_histogram)
    return [[sum(bins) / len(part) for bins in zip(*part, strict=True)] for part in parts]


def _ideal(chart: Chart, points: Sequence[tuple[float, float, float]]) -> None:
    """A black line with a grey band, from (step, mean, spread)."""
    chart.band(
        [(step, middle - spread) for step, middle, spread in points],
        [(step, middle + spread) for step, middle, spread in points],
        BLACK,
    )
    chart.line([(step, middle) for step, middle, _ in points], BLACK, name="ideal, ± spread")


def _numbers(score: PseudoLabelScore) -> dict[str, object]:
    return {name: value for name, value in score.as_record().items() if name != "event"}


def _folder(grid: Grid, job: Job) -> Path:
    result = grid.result(job)
    if result is None:
        raise RiseError(f"{job} has not been trained yet: run the same command again")
    return result.folder


def _save(folder: Path, name: str, picture: Image.Image, rows: Sequence[dict[str, object]]) -> list[Path]:
    with atomic_path(folder / f"{name}.png") as path:
        picture.save(path, format="PNG")
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["step"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / f"{name}.csv", text.getvalue())
    return [folder / f"{name}.png", folder / f"{name}.csv"]
