"""What several commands print: tables, the state of a project, the result of an import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.formats.coco import ImportReport
    from rise_engine.project.project import Project


def print_columns(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows under titles, padded to columns and never cut, so that other programs can read them too."""
    lines = [titles, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_status(project: Project) -> None:
    """Frames by state, hold-out, categories with the number of their annotations, runs."""
    from rise_engine.project.records import Split

    counts = project.frames.counts()
    typer.echo(f"{project.path}: {number_of(sum(counts.values()), 'frame')} in {project.images}")
    print_columns(("state", "frames"), [(state.value, count) for state, count in counts.items()])
    typer.echo(f"hold-out: {number_of(len(project.frames.all(split=Split.HOLDOUT)), 'frame')}")
    used = project.annotations.counts()
    categories = project.annotations.categories()
    typer.echo(f"{number_of(len(categories), 'category')}, {number_of(sum(used.values()), 'annotation')}")
    if categories:
        rows = [(category.id, category.name, used.get(category.id, 0)) for category in categories]
        print_columns(("id", "category", "annotations"), rows)
    crowds = project.annotations.crowd_count()
    if crowds:
        # CVAT exports painted masks as crowds, and a training that ignores all of them is hard to understand.
        typer.echo(f"{number_of(crowds, 'annotation')} marked as crowds: kept, but never used for training.")
    typer.echo(f"{number_of(len(project.runs.all()), 'run')}")
    passed_over = project.passed_over().in_words()
    if passed_over:
        typer.echo(passed_over)


def print_import(path: Path, report: ImportReport) -> None:
    """What was imported from a file, and what was not."""
    others = (
        (report.known, "already there"),
        (report.kept_out, "kept out"),
        (report.dropped, "of dropped categories"),
        (report.skipped, "unusable"),
    )
    rest = ", ".join(f"{count:,} {why}" for count, why in others if count)
    typer.echo(
        f"{path}: {number_of(report.instances, 'instance')} imported in {number_of(report.images, 'frame')}"
        f"{'; ' if rest else ''}{rest}."
    )
    for sentence in report.notices():
        typer.echo(sentence)
