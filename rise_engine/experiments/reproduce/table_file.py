"""A finished table as CSV and as Markdown, the paper's numbers beside ours where they can be compared."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from rise_engine.atomic import write_text
from rise_engine.experiments.reproduce.cell import Cell
from rise_engine.experiments.reproduce.grid import Grid, Job
from rise_engine.experiments.reproduce.tables import Table

METRICS = ("AP", "AP50", "AP75")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: values of all seeds by metric, and what the paper prints (None where there is nothing to compare)."""

    cell: Cell
    labelled: int
    values: dict[str, list[float]]
    paper: dict[str, float | None]


def lines_of(table: Table, grid: Grid, jobs: Sequence[Job], *, comparable: bool) -> list[Line]:
    """The jobs' results, seeds together; lines without any finished seed are there, empty."""
    lines: dict[tuple[str, int], Line] = {}
    for job in jobs:
        line = lines.get((job.cell.method, job.labelled))
        if line is None:
            printed = job.cell.paper.get(job.config.preset_name, (None, None, None))
            paper = dict(zip(METRICS, printed if comparable else (None, None, None), strict=True))
            values: dict[str, list[float]] = {metric: [] for metric in table.metrics}
            line = lines[job.cell.method, job.labelled] = Line(job.cell, job.labelled, values, paper)
        result = grid.result(job)
        if result is not None:
            for metric in table.metrics:
                line.values[metric].append(result.scores[metric])
    return list(lines.values())


def write_table(
    folder: Path, name: str, table: Table, lines: Sequence[Line], *, jobs: Sequence[Job], data_set: str, command: str
) -> tuple[Path, Path]:
    """Writes ``name.csv`` and ``name.md`` and returns their paths."""
    csv_path, markdown_path = folder / f"{name}.csv", folder / f"{name}.md"
    write_text(csv_path, _csv(table, lines))
    write_text(markdown_path, _markdown(table, lines, jobs=jobs, data_set=data_set, command=command))
    return csv_path, markdown_path


def _spread(values: Sequence[float]) -> float | None:
    """The seeds' standard deviation, None for a single one."""
    return stdev(values) if len(values) > 1 else None


def _csv(table: Table, lines: Sequence[Line]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{metric}{part}" for metric in table.metrics for part in (" mean", " spread", " paper")]
    writer.writerow(["amount", "labelled", "method", "seeds", *columns])
    for line in lines:
        cells: list[object] = []
        for metric in table.metrics:
            values = line.values[metric]
            found = mean(values) if values else None
            cells += ["" if one is None else round(one, 4) for one in (found, _spread(values), line.paper[metric])]
        seeds = len(line.values[table.metrics[0]])
        writer.writerow([line.cell.amount.label, line.labelled, line.cell.method, seeds, *cells])
    return text.getvalue()


def _markdown(table: Table, lines: Sequence[Line], *, jobs: Sequence[Job], data_set: str, command: str) -> str:
    compared = any(value is not None for line in lines for value in line.paper.values())
    titles = ["labelled", "method", "seeds"]
    for metric in table.metrics:
        titles += [metric, f"{metric} (paper)"] if compared else [metric]
    rows = []
    for line in lines:
        row = [
            f"{line.cell.amount.label} ({line.labelled:,})",
            line.cell.method,
            str(len(line.values[table.metrics[0]])),
        ]
        for metric in table.metrics:
            row.append(_ours(line.values[metric]))
            if compared:
                row.append(_number(line.paper[metric], digits=2))
        rows.append(row)
    config = jobs[0].config
    parts = [
        f"# {table.title}",
        _rows(titles, rows),
        f"Mask AP on the hold-out in percent, mean over seeds ± their standard deviation. Preset {config.preset_name}, "
        f"recipe {config.recipe_name}, start {config.weights}, {config.schedule.steps:,} steps a training. Each seed "
        "draws its own labelled frames; smaller sets lie within larger ones.",
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


def _ours(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = _spread(values)
    return f"{mean(values):.1f}" if spread is None else f"{mean(values):.1f} ± {spread:.1f}"


def _number(value: float | None, *, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
