"""`rise export coco` and `rise export onnx`: export annotations or a model."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rise_engine.commands.arguments import ProjectPath, RunNumber
from rise_engine.errors import RiseError
from rise_engine.project.wording import number_of

app = typer.Typer(help="Export annotations or a model.", no_args_is_help=True, rich_markup_mode=None)


class ExportSource(StrEnum):
    """Which instances are exported."""

    DRAWN = "drawn"
    REVIEWED = "reviewed"
    ALL = "all"


class ExportMasks(StrEnum):
    """How masks are written."""

    AS_IMPORTED = "as-imported"
    RLE = "rle"
    POLYGONS = "polygons"


@app.command("coco")
def export_coco_file(
    project: ProjectPath,
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="The file to write.")],
    source: Annotated[
        ExportSource,
        typer.Option(
            help="drawn: drawn and imported instances; reviewed: accepted predictions too; all: also unreviewed "
            "predictions, with scores."
        ),
    ] = ExportSource.REVIEWED,
    masks: Annotated[
        ExportMasks, typer.Option(help="Masks as they were imported, or all as RLE or as polygons.")
    ] = ExportMasks.AS_IMPORTED,
) -> None:
    """Export the annotations as a COCO file.

    \b
    Example:
      rise export coco totes.rise annotations.json --source all --masks rle
    """
    from rise_engine.formats.coco import export_coco
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        report = export_coco(opened, file, source=source.value, masks=masks.value)
    typer.echo(f"{number_of(report.instances, 'instance')} on {number_of(report.frames, 'frame')}: {report.path}")


@app.command("onnx")
def export_onnx_file(
    project: ProjectPath,
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="The file to write.")],
    run: RunNumber = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of the input; by default the size of prediction. dynamic: any multiples of 32.",
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Backbone and encoder in half precision: half the file size, faster on GPUs.")
    ] = False,
) -> None:
    """Export the network of a run as ONNX. The result is compared with torch on frames of the project.

    \b
    Example:
      rise export onnx totes.rise totes.onnx --size 256x320
    """
    dynamic = size is not None and size.strip().lower() == "dynamic"
    parsed = None if size is None or dynamic else parse_size(size)
    from rise_engine.atomic import require_no_folder
    from rise_engine.project.project import Project

    require_no_folder(file)
    with Project.open(project, read_only=True) as opened:
        folder = opened.runs.get(run)
        from rise_engine.prediction.onnx_export import export_run_to_onnx

        report = export_run_to_onnx(opened, file, run=folder.number, size=parsed, half=half, dynamic=dynamic)
    typer.echo(report.summary)


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from ``HxW``; RiseError for another text, or for sides that are no multiples of 32."""
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip().lower())
    if match is None:
        raise RiseError(f"--size {text!r} is not a size: write height x width, such as 256x320, or dynamic.")
    height, width = int(match[1]), int(match[2])
    if not height or not width or height % 32 or width % 32:
        raise RiseError(f"--size {text} does not fit: height and width must be multiples of 32, such as 256x320.")
    return height, width
