"""Write a table as CSV and Markdown, with the paper's numbers when they can be compared."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from rise_engine.atomic import write_text
from rise_engine.experiments.reproduce.cell import Cell
from rise_engine.experiments.reproduce.grid import Grid
from rise_engine.experiments.reproduce.job import Job
from rise_engine.experiments.reproduce.tables import Table

METRICS = ("AP", "AP50", "AP75")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the scores of its trainings by labelled subset, and the scores in the paper.

    Values of ``paper`` are None when there is nothing to compare.
    """

    cell: Cell
    labelled: int
    scores: dict[int, list[dict[str, float]]]
    paper: dict[str, float | None]

    @property
    def trainings(self) -> int:
        """Number of finished trainings."""
        return sum(map(len, self.scores.values()))

    def mean(self, metric: str) -> float | None:
        """Mean over the subsets of the mean over seeds; None before the first training is finished."""
        means = self._by_subset(metric)
        return mean(means) if means else None

    def spread(self, metric: str) -> float | None:
        """Standard deviation over the subsets, or over the seeds of a single subset; None for a single training."""
        means = self._by_subset(metric)
        if len(means) == 1:
            means = [score[metric] for scores in self.scores.values() for score in scores]
        return stdev(means) if len(means) > 1 else None

    def _by_subset(self, metric: str) -> list[float]:
        return [mean(score[metric] for score in scores) for scores in self.scores.values()]


def lines_of(table: Table, grid: Grid, jobs: Sequence[Job], *, comparable: bool) -> list[Line]:
    """The lines of a table with the results of all subsets and seeds; a line without a finished training is empty."""
    lines: dict[tuple[str, int], Line] = {}
    for job in jobs:
        line = lines.get((job.cell.method, job.labelled))
        if line is None:
            printed = job.cell.paper.get(job.config.preset_name, (None, None, None))
            paper = dict(zip(METRICS, printed if comparable else (None, None, None), strict=True))
            line = lines[job.cell.method, job.labelled] = Line(job.cell, job.labelled, {}, paper)
        result = grid.result(job)
        if result is not None:
            line.scores.setdefault(job.subset, []).append(result.scores)
    return list(lines.values())


def write_table(
    folder: Path,
    name: str,
    table: Table,
    lines: Sequence[Line],
    *,
    jobs: Sequence[Job],
    data_set: str,
    held_out: str,
    command: str,
) -> tuple[Path, Path]:
    """Writes ``name.csv`` and ``name.md`` and returns their paths; ``held_out`` names the frames of the evaluation."""
    csv_path, markdown_path = folder / f"{name}.csv", folder / f"{name}.md"
    write_text(csv_path, _csv(table, lines))
    text = _markdown(table, lines, jobs=jobs, data_set=data_set, held_out=held_out, command=command)
    write_text(markdown_path, text)
    return csv_path, markdown_path


def _csv(table: Table, lines: Sequence[Line]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{metric}{part}" for metric in table.metrics for part in (" mean", " spread", " paper")]
    writer.writerow(["amount", "labelled", "method", "subsets", "trainings", *columns])
    for line in lines:
        cells: list[object] = []
        for metric in table.metrics:
            found = (line.mean(metric), line.spread(metric), line.paper[metric])
            cells += ["" if one is None else round(one, 4) for one in found]
        writer.writerow(
            [line.cell.amount.label, line.labelled, line.cell.method, len(line.scores), line.trainings, *cells]
        )
    return text.getvalue()


def _markdown(
    table: Table, lines: Sequence[Line], *, jobs: Sequence[Job], data_set: str, held_out: str, command: str
) -> str:
    compared = any(value is not None for line in lines for value in line.paper.values())
    titles = ["labelled", "method", "trainings"]
    for metric in table.metrics:
        titles += [metric, f"{metric} (paper)"] if compared else [metric]
    rows = []
    for line in lines:
        row = [
            f"{line.cell.amount.label} ({line.labelled:,})",
            line.cell.method,
            str(line.trainings),
        ]
        for metric in table.metrics:
            row.append(_ours(line, metric))
            if compared:
                row.append(_number(line.paper[metric], digits=2))
        rows.append(row)
    config = jobs[0].config
    parts = [
        f"# {table.title}",
        _rows(titles, rows),
        f"Mask AP on {held_out} in percent, mean over labelled subsets ± their standard deviation (over seeds for a "
        f"single subset). Preset {config.preset_name}, recipe {config.recipe_name}, start {config.weights}, "
        f"{config.schedule.steps:,} steps per training. Each subset is a new random split with its own seed; "
        "within a subset, larger sets include the smaller ones.",
        *table.notes,
    ]
    quoted = [line for line in table.quoted if line.preset == config.preset_name]
    if compared:
        parts.append(
            "The paper's training may have seen the masks of frames that it calls unlabelled (docs/paper_vs_code.md); "
            "ours has not."
        )
        if quoted:
            titles = ["labelled", "method", *table.metrics]
            scores = [dict(zip(METRICS, line.scores, strict=True)) for line in quoted]
            rows = [
                [line.amount, line.method, *(_number(score[metric], digits=2) for metric in table.metrics)]
                for line, score in zip(quoted, scores, strict=True)
            ]
            parts += ["## Quoted from the paper, not built here", _rows(titles, rows)]
    elif data_set == table.data_set:
        parts.append(f"The paper has no numbers for the preset {config.preset_name} in this table.")
    else:
        parts.append(
            "The paper's numbers are left out: they belong to another data set, so the two cannot be compared."
        )
    parts.append(f"Made with\n\n```\n{command}\n```")
    return "\n\n".join(parts) + "\n"


def _ours(line: Line, metric: str) -> str:
    found, spread = line.mean(metric), line.spread(metric)
    if found is None:
        return "-"
    return f"{found:.1f}" if spread is None else f"{found:.1f} ± {spread:.1f}"


def _number(value: float | None, *, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
