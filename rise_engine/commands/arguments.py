"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rise_engine.project.project import Project

ProjectPath = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project folder, NAME.rise.")]
RunNumber = Annotated[int | None, typer.Option("--run", metavar="R", help="A run's number; the one in use.")]
FrameList = Annotated[
    Path | None, typer.Option("--frames", metavar="FILE", help="Only these frames: one file name a line.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Looks = Annotated[
    int,
    typer.Option(
        metavar="1|2",
        help="2: look at each frame again, larger and mirrored, and merge what was seen; 2.6 times the work of 1.",
    ),
]
Seed = Annotated[int, typer.Option(metavar="S", min=0, max=2**32 - 1, help="Every random choice follows from it.")]


def listed_frames(project: Project, path: Path) -> list[int]:
    """The ids of the frames that a list file names; RiseError for a name that the project does not have."""
    from rise_engine.project.splits import read_name_list

    return [project.frames.get(name).id for name in read_name_list(path)]


def print_columns(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows under titles, padded to columns and never cut, so that other programs can read them too."""
    lines = [titles, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
