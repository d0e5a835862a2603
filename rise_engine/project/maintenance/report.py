"""A report of a project in numbers, as a Markdown page."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

from rise_engine.atomic import write_text
from rise_engine.project.database.schema import INSTANCES
from rise_engine.project.project import Project
from rise_engine.project.records import RunRecord, Split


def holdout_ap(run: RunRecord) -> float | None:
    """The mask AP in percent of the weights that predict, from the run's log; None when it was not measured.

    These are the best weights where validation frames chose them, else the last measured ones. An incomplete last line
    is ignored.
    """
    path = run.files.metrics
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as lines:
        scores = [json.loads(line) for line in lines if '"HoldoutScore"' in line and line.endswith("\n")]
    chosen = [score for score in scores if score.get("best")] or scores
    return float(chosen[-1]["ap"]) if chosen else None


def write_report(project: Project, path: Path, *, now: datetime) -> None:
    """Write the frames by state, the instances by category and by source, and the runs, as Markdown."""
    frames = project.frames.all()
    names = {category.id: category.name for category in project.annotations.categories()}
    rows = project.store.read(f"SELECT category, source, count(*) AS count FROM {INSTANCES} GROUP BY category, source")
    by_category: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    for row in rows:
        by_category[names.get(row["category"], "?")] += row["count"]
        by_source[row["source"]] += row["count"]
    unseen = sum(map(len, project.predictions.latest_scores().values()))
    current = project.runs.current()
    holdout = sum(frame.split is Split.HOLDOUT for frame in frames)
    lines = [
        f"# {project.path.name}",
        "",
        f"{now:%Y-%m-%d %H:%M}. Images: `{project.images}`",
        "",
        *_table(
            "frames", {state.value: count for state, count in project.frames.counts().items()} | {"hold-out": holdout}
        ),
        *_table("instances by category", dict(by_category)),
        *_table("instances by source", dict(by_source) | {"predicted, not reviewed": unseen}),
        "| run | preset | recipe | steps | started from | hold-out AP | |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in project.runs.all():
        best = holdout_ap(run)
        ends = "not finished" if run.finished is None else "in use" if current and run.number == current.number else ""
        measured = "" if best is None else f"{best:.1f}"
        lines.append(f"| {run.number} | {run.preset} | {run.recipe} | {run.steps} | {run.base} | {measured} | {ends} |")
    write_text(path, "\n".join(lines) + "\n")


def _table(title: str, counts: dict[str, int]) -> list[str]:
    body = [f"| {name} | {count:,} |" for name, count in counts.items()] or ["| none | 0 |"]
    return [f"| {title} | |", "|---|---|", *body, ""]
