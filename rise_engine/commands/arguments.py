"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rise_engine.project.project import Project

ProjectPath = Annotated[Path, typer.Argument(metavar="PROJECT", help="The project folder, NAME.rise.")]
RunNumber = Annotated[
    int | None, typer.Option("--run", metavar="R", help="Number of the run; by default the run in use.")
]
FrameList = Annotated[
    Path | None,
    typer.Option("--frames", metavar="FILE", help="Only these frames: a text file with one file name per line."),
]
ScaleAnnotations = Annotated[
    bool,
    typer.Option(
        "--scale-annotations",
        help="Scale annotations that were made on an image of another size with the same aspect ratio.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Looks = Annotated[
    int,
    typer.Option(
        metavar="1|2",
        help="Number of passes over each image. 2 adds a larger, mirrored pass (test-time augmentation) and takes 2.6 "
        "times as long.",
    ),
]
Seed = Annotated[int, typer.Option(metavar="S", min=0, max=2**32 - 1, help="Seed of all random choices.")]


def listed_frames(project: Project, path: Path) -> list[int]:
    """The ids of the frames that a list file names; RiseError for a name that the project does not have."""
    from rise_engine.project.splits import read_name_list

    return [project.frames.get(name).id for name in read_name_list(path)]
