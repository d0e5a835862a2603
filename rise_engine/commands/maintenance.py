"""`rise relink`, `check`, `backup` and `history`: maintain a project."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from rise_engine.commands.arguments import ProjectPath
from rise_engine.commands.printing import print_columns
from rise_engine.project.wording import number_of


def relink(
    project: ProjectPath,
    images: Annotated[Path, typer.Option(metavar="DIR", help="The new folder of the images.")],
) -> None:
    """Change the image folder of a project.

    \b
    Example:
      rise relink totes.rise --images /data/totes
    """
    from rise_engine.errors import RiseError
    from rise_engine.project.project import Project

    if not images.is_dir():
        raise RiseError(f"There is no folder {images}: give the folder that holds the images now.")
    with Project.open(project) as opened:
        opened.relink(images)
        frames = opened.frames.all()
        missing = [frame.name for frame in frames if not (opened.images / frame.name).is_file()]
        typer.echo(f"{number_of(len(frames) - len(missing), 'frame')} of {len(frames):,} found in {opened.images}.")
        if missing:
            typer.echo(
                f"{number_of(len(missing), 'image')} not found, for example {missing[0]}; "
                f"`rise check {project}` lists all of them."
            )


def check(
    project: ProjectPath,
    headers_only: Annotated[
        bool,
        typer.Option("--headers-only", help="Read only the image headers: fast, but misses truncated files."),
    ] = False,
) -> None:
    """Check a project for damage.

    It checks the database, masks, image files and runs. The exit code is 0 without problems, and 1 with one line for
    each problem.

    \b
    Example:
      rise check totes.rise
    """
    from rise_engine.commands.progress import with_progress
    from rise_engine.project.maintenance.check import check_frame, check_store, unused_content
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        found = check_store(opened)
        for problem in found:
            typer.echo(problem)
        frames = opened.frames.all()
        unused: Counter[str] = Counter()
        for frame in with_progress(frames, total=len(frames), doing="checking"):
            unused.update(unused_content(opened, frame))
            for problem in check_frame(opened, frame, decode=not headers_only):
                found.append(problem)
                typer.echo(problem)
        passed_over = opened.passed_over().in_words()
    if unused:
        typer.echo(
            "Used in part: " + ", ".join(f"{number_of(count, 'frame')} ({why})" for why, count in unused.items()) + "."
        )
    if passed_over:
        typer.echo(passed_over)
    if found:
        typer.echo(f"{number_of(len(found), 'problem')} in {number_of(len(frames), 'frame')} and their annotations.")
        raise typer.Exit(1)
    typer.echo(f"No problems in {number_of(len(frames), 'frame')} and their annotations.")


def backup(
    project: ProjectPath,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="NAME.zip for everything but the images, or NAME.sqlite for the database."),
    ],
) -> None:
    """Write a backup of a project into one file.

    A window or a training may use the project meanwhile.

    To restore NAME.zip, unpack it and run `rise relink`. To restore NAME.sqlite, copy it to NAME.rise/project.sqlite
    and run `rise relink`.

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
    typer.echo(f"{file}: {size / 1e6:,.1f} MB. To restore it, {restore}.")


def history(
    project: ProjectPath,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Number of edits to list.")] = 200,
) -> None:
    """List the edits of a project, the latest first.

    \b
    Example:
      rise history totes.rise --limit 20
    """
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        entries = opened.journal.history(limit)
    if not entries:
        typer.echo("There are no edits yet.")
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
