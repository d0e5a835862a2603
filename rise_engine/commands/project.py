"""`rise import`, `rise status` and `rise runs`: add annotations to a project, and list what is in it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rise_engine.commands.arguments import ProjectPath, ScaleAnnotations
from rise_engine.commands.printing import print_columns, print_import, print_status
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.project.project import Project
    from rise_engine.project.records import RunRecord


class OnConflict(StrEnum):
    """What to do with a frame of the file that has annotations already."""

    KEEP = "keep"
    REPLACE = "replace"
    BOTH = "both"


def import_annotations(
    project: ProjectPath,
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="COCO annotations.")],
    on_conflict: Annotated[
        OnConflict | None,
        typer.Option(help="For frames with annotations: keep them, replace them by the file's, or keep both."),
    ] = None,
    scale_annotations: ScaleAnnotations = False,
) -> None:
    """Import the annotations of a COCO file.

    \b
    Example:
      rise import totes.rise more.json --on-conflict replace
    """
    from rise_engine.commands.progress import with_progress
    from rise_engine.formats.coco import import_coco
    from rise_engine.project.project import Project

    with Project.open(project) as opened:
        report = import_coco(
            opened,
            file,
            on_conflict=None if on_conflict is None else on_conflict.value,
            scale_annotations=scale_annotations,
            watch=with_progress,
        )
        print_import(file, report)
        print_status(opened)


def status(project: ProjectPath) -> None:
    """Count the frames, annotations and runs of a project.

    \b
    Example:
      rise status totes.rise
    """
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        print_status(opened)


def runs(
    project: ProjectPath,
    delete: Annotated[
        int | None, typer.Option(metavar="N", help="Delete this run with its weights, curves and predictions.")
    ] = None,
    use: Annotated[int | None, typer.Option(metavar="N", help="Predict with this run from now on.")] = None,
) -> None:
    """List the runs of a project, or delete or choose one.

    A run is one training. A star marks the run in use.

    \b
    Example:
      rise runs totes.rise
    """
    from rise_engine.project.project import Project

    with Project.open(project, read_only=delete is None and use is None) as opened:
        if delete is not None:
            opened.runs.delete(delete)
            typer.echo(f"Run {delete} is deleted.")
        if use is not None:
            opened.runs.choose(use)
        current = opened.runs.current()
        rows = [_run_row(run, in_use=current is not None and run.number == current.number) for run in opened.runs.all()]
        if not rows:
            typer.echo(f"There are no runs yet. Train the first one with `rise train {project}`.")
            return
        print_columns(("run", "preset", "recipe", "steps", "weights", "started", "finished", "best hold-out AP"), rows)


def add_new_images(project: Project) -> None:
    """Add images that were put into the folder since the last scan, as the window does when it opens a project."""
    report = project.scan()
    if report.added:
        typer.echo(f"{number_of(report.added, 'new image')} in {project.images}.")
    if report.passed_over.not_utf8:
        typer.echo(f"Left out: {report.passed_over.not_utf8_in_words()}.")


def _run_row(run: RunRecord, *, in_use: bool) -> tuple[object, ...]:
    from rise_engine.project.maintenance.report import holdout_ap

    best = holdout_ap(run)
    return (
        f"{run.number}{'*' if in_use else ''}",
        run.preset,
        run.recipe,
        run.steps,
        run.base,
        f"{run.started:%Y-%m-%d %H:%M}",
        "not finished" if run.finished is None else f"{run.finished:%Y-%m-%d %H:%M}",
        "-" if best is None else f"{best:.1f}",
    )
