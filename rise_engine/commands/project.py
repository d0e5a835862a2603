"""Making a project, adding annotations to it, and looking at what is in it."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rise_engine.commands.arguments import ProjectPath, print_columns
from rise_engine.errors import RiseError
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.formats.coco import ImportReport
    from rise_engine.project.project import Project
    from rise_engine.project.records import RunRecord


class OnConflict(StrEnum):
    """What to do when a frame of the file has annotations already."""

    KEEP = "keep"
    REPLACE = "replace"
    BOTH = "both"


def new(
    project: ProjectPath,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The image folder; the images stay where they are.")
    ] = None,
    armbench: Annotated[
        Path | None, typer.Option(metavar="DIR", help="ARMBench segmentation, unpacked, in place of --images.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of ARMBench; mix-object-tote, where that is there.")
    ] = None,
    ocid: Annotated[Path | None, typer.Option(metavar="DIR", help="OCID, unpacked, in place of --images.")] = None,
    coco: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="COCO annotations to import; may be given several times.")
    ] = None,
    holdout_list: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Frames that never train: one file name a line.")
    ] = None,
    drop_category: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A category to leave out; may be given several times. ARMBench: Tote."),
    ] = None,
    empty_is_labelled: Annotated[
        bool, typer.Option("--empty-is-labelled", help="Images in the file without annotations are done, and empty.")
    ] = False,
    seed: Annotated[
        int,
        typer.Option(metavar="S", min=0, max=2**32 - 1, help="Draws the labelled fractions of ARMBench and OCID."),
    ] = 0,
) -> None:
    """Make a project of an image folder, or of one of the two benchmarks.

    The benchmarks' test frames (ARMBench: val and test; OCID: one place in five) are held out, and PROJECT/splits gets
    lists of them and of the labelled fractions, for --labelled-list and --frames.

    \b
    Example:
      rise new totes.rise --images totes --coco totes.json --drop-category Tote
    """
    from rise_engine.commands.datasets import add_armbench, add_ocid
    from rise_engine.commands.progress import with_progress
    from rise_engine.formats.armbench import DROPPED, find_armbench
    from rise_engine.formats.coco import import_coco
    from rise_engine.formats.ocid import PICTURES, find_ocid
    from rise_engine.project.project import FILE_NAME, Project
    from rise_engine.project.records import Split
    from rise_engine.project.splits import read_name_list

    if sum(given is not None for given in (images, armbench, ocid)) != 1:
        raise RiseError("give the images with one of --images, --armbench and --ocid")
    if subset is not None and armbench is None:
        raise RiseError("--subset names a part of ARMBench, so it goes with --armbench")
    if drop_category and coco is None and armbench is None:
        raise RiseError("--drop-category leaves out a category of a COCO file, so it goes with --coco or --armbench")
    if empty_is_labelled and coco is None:
        raise RiseError("--empty-is-labelled is about the images of a COCO file, so it goes with --coco")
    benchmark = None if armbench is None else find_armbench(armbench, subset)
    sequences = None if ocid is None else find_ocid(ocid)
    folder = images or sequences or (benchmark.images if benchmark else Path())
    existed, before = project.is_dir(), _inside(project)
    try:
        with Project.create(project, folder) as made:
            if ocid is not None:
                made.set_setting("frames_inside", PICTURES)
            made.scan()
            if not made.frames.all():
                raise RiseError(f"there are no images in {folder}: give the folder that holds the frames")
            # Looked up before the annotations, so that a wrong name shows at once.
            held_out = [made.frames.get(name).id for name in read_name_list(holdout_list)] if holdout_list else []
            reports = []
            if benchmark is not None:
                reports = add_armbench(made, benchmark, drop_categories=tuple(drop_category or DROPPED), seed=seed)
            if ocid is not None:
                add_ocid(made, seed=seed)
            for path in coco or []:
                report = import_coco(
                    made,
                    path,
                    drop_categories=tuple(drop_category or ()),
                    empty_is_labelled=empty_is_labelled,
                    watch=with_progress,
                )
                print_import(path, report)
                reports.append(report)
            require_dropped(made, drop_category or [], reports)
            if held_out:
                made.frames.set_split(held_out, Split.HOLDOUT)
            print_status(made)
    except BaseException:
        # Nothing half made stays behind; a project that was there before is not ours to remove.
        if project / FILE_NAME not in before:
            for entry in _inside(project) - before:
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            if not existed and project.is_dir():
                project.rmdir()
        raise
    typer.echo(f"Next: draw the objects of a few frames in napari, or `rise train {project}`.")


def take_new_images(project: Project) -> None:
    """Adds the images that were put into the folder since, as the window does when it opens a project."""
    added = project.scan().added
    if added:
        typer.echo(f"{number_of(added, 'new image')} in {project.images}.")


def import_annotations(
    project: ProjectPath,
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="COCO annotations.")],
    on_conflict: Annotated[
        OnConflict | None, typer.Option(help="For frames that have annotations: keep those, replace them, or both.")
    ] = None,
) -> None:
    """Add the annotations of a COCO file.

    \b
    Example:
      rise import totes.rise more.json --on-conflict replace
    """
    from rise_engine.commands.progress import with_progress
    from rise_engine.formats.coco import import_coco
    from rise_engine.project.project import Project

    with Project.open(project) as opened:
        report = import_coco(
            opened, file, on_conflict=None if on_conflict is None else on_conflict.value, watch=with_progress
        )
        print_import(file, report)
        print_status(opened)


def status(project: ProjectPath) -> None:
    """Count the frames by state, the categories and the runs.

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
        int | None, typer.Option(metavar="N", help="Delete this run's weights, curves and predictions.")
    ] = None,
    use: Annotated[int | None, typer.Option(metavar="N", help="From now on predict with this run.")] = None,
) -> None:
    """List the trainings of a project; a star marks the one that predicts.

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
        rows = [
            (
                f"{run.number}{'*' if current is not None and run.number == current.number else ''}",
                run.preset,
                run.recipe,
                run.steps,
                run.base,
                f"{run.started:%Y-%m-%d %H:%M}",
                "not finished" if run.finished is None else f"{run.finished:%Y-%m-%d %H:%M}",
                _holdout_ap(run),
            )
            for run in opened.runs.all()
        ]
        if not rows:
            typer.echo(f"There are no runs yet: `rise train {project}` makes one.")
            return
        print_columns(("run", "preset", "recipe", "steps", "weights", "started", "finished", "best hold-out AP"), rows)


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
        # Painted masks leave CVAT as crowds, and a training that sees none of them is hard to understand.
        typer.echo(f"{number_of(crowds, 'annotation')} marked as crowds: kept, but never trained on.")
    typer.echo(f"{number_of(len(project.runs.all()), 'run')}")


def print_import(path: Path, report: ImportReport) -> None:
    """What came out of a file, and what did not, in a sentence or two."""
    others = (
        (report.known, "already there"),
        (report.kept_out, "kept out"),
        (report.dropped, "of left-out categories"),
        (report.skipped, "unusable"),
    )
    rest = ", ".join(f"{count:,} {why}" for count, why in others if count)
    typer.echo(
        f"{path}: {number_of(report.instances, 'instance')} imported in {number_of(report.images, 'frame')}"
        f"{'; ' if rest else ''}{rest}."
    )
    if report.missing_files:
        typer.echo(f"{number_of(report.missing_files, 'image')} of the file are not in the folder and were left out.")


def _inside(folder: Path) -> set[Path]:
    return set(folder.iterdir()) if folder.is_dir() else set()


def require_dropped(project: Project, names: list[str], reports: list[ImportReport]) -> None:
    """Raise RiseError when a category to leave out is in none of the files: it may be spelt in another way."""
    dropped = {name.casefold() for report in reports for name in report.dropped_categories}
    for name in names:
        if name.casefold() not in dropped:
            there = ", ".join(category.name for category in project.annotations.categories())
            raise RiseError(f"--drop-category {name}: no file has such a category; those that would stay are {there}")


def _holdout_ap(run: RunRecord) -> str:
    """Of the weights that predict, which are the best on the hold-out where a run has one."""
    from rise_engine.project.maintenance.report import best_holdout_ap

    best = best_holdout_ap(run)
    return "-" if best is None else f"{best:.1f}"
