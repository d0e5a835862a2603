"""Keeping a project well: where its images are, whether it is whole, a backup, and who did what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rise_engine.commands.arguments import ProjectPath, print_columns
from rise_engine.project.wording import number_of


def relink(
    project: ProjectPath,
    images: Annotated[Path, typer.Option(metavar="DIR", help="The folder that holds the images now.")],
) -> None:
    """Say where the images of a project are after they were moved.

    \b
    Example:
      rise relink totes.rise --images /data/totes
    """
    from rise_engine.errors import RiseError
    from rise_engine.project.project import Project

    if not images.is_dir():
        raise RiseError(f"there is no folder {images}: give the folder that holds the images now")
    with Project.open(project) as opened:
        opened.relink(images)
        frames = opened.frames.all()
        missing = [frame.name for frame in frames if not (opened.images / frame.name).is_file()]
        typer.echo(f"{number_of(len(frames) - len(missing), 'frame')} of {len(frames):,} found in {opened.images}.")
        if missing:
            typer.echo(
                f"{number_of(len(missing), 'image')} not found, {missing[0]} for one; "
                f"`rise check {project}` lists them."
            )


def check(
    project: ProjectPath,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Do not decode the images: quick, but a cut-off file goes unseen.")
    ] = False,
) -> None:
    """Look for damage: the database, rows that belong to nothing, masks, missing and unreadable images, runs.

    Exit code 0 when all is well; 1 with a line for each thing that is not.

    \b
    Example:
      rise check totes.rise
    """
    from rise_engine.commands.progress import with_progress
    from rise_engine.project.maintenance.check import check_frame, check_store
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        found = check_store(opened)
        for words in found:
            typer.echo(words)
        frames = opened.frames.all()
        for frame in with_progress(frames, total=len(frames), doing="checking"):
            for words in check_frame(opened, frame, decode=not headers_only):
                found.append(words)
                typer.echo(words)
    if found:
        typer.echo(f"{number_of(len(found), 'problem')} in {number_of(len(frames), 'frame')} and their annotations.")
        raise typer.Exit(1)
    typer.echo(f"All is well with {number_of(len(frames), 'frame')} and their annotations.")


def backup(
    project: ProjectPath,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="NAME.zip for all but the images, or NAME.sqlite without the runs.")
    ],
) -> None:
    """Copy a project into one file, also while a window or a training has it open.

    To put it back, unpack NAME.zip and say where the images are with `rise relink`. A NAME.sqlite becomes the file
    project.sqlite in a new folder NAME.rise.

    \b
    Example:
      rise backup totes.rise totes-monday.zip
    """
    from rise_engine.project.maintenance.backup import back_up
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        size = back_up(opened, file)
        restore = (
            f"unpack it and run `rise relink {opened.path.name} --images DIR`"
            if file.suffix.lower() == ".zip"
            else "copy it to NAME.rise/project.sqlite and run `rise relink NAME.rise --images DIR`"
        )
    typer.echo(f"{file}: {size / 1e6:,.1f} MB. To put it back, {restore}.")


def history(
    project: ProjectPath,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The latest N edits.")] = 200,
) -> None:
    """Tell who did what and when, the latest edit first.

    \b
    Example:
      rise history totes.rise --limit 20
    """
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        entries = opened.journal.history(limit)
    if not entries:
        typer.echo("Nothing was done yet.")
        return
    rows = [
        (
            f"{entry.when.astimezone():%Y-%m-%d %H:%M:%S}",
            entry.person or "-",
            entry.frame or "-",
            entry.action + (" (undone)" if entry.undone else ""),
        )
        for entry in entries
    ]
    print_columns(("when", "who", "frame", "what"), rows)
