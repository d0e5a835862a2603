"""`rise queue`, `bank` and `preview`: inspect the review queue, the instance bank and pseudo-sequences."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from rise_engine.commands.arguments import ProjectPath, Seed
from rise_engine.commands.printing import print_columns
from rise_engine.errors import RiseError
from rise_engine.project.wording import number_of


def queue(
    project: ProjectPath,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Number of frames to list.")] = 20,
    order: Annotated[
        str,
        typer.Option(
            metavar="ORDER",
            help="useful: all criteria combined; uncertain: scores near 0.5 on average; disagreeing: sensitive to "
            "lighting; edge: many scores from 0.4 to 0.6; unlike: differs from the labelled frames; or name.",
        ),
    ] = "useful",
) -> None:
    """List the frames to fix next, with the reason for each.

    \b
    Example:
      rise queue totes.rise --top 5
    """
    from rise_engine.active_learning.ranking import rank_frames
    from rise_engine.project.project import Project

    with Project.open(project, read_only=True) as opened:
        entries = rank_frames(opened, top=top, order=order)  # type: ignore[arg-type]  # checked inside
    if not entries:
        typer.echo("No frame is waiting for review.")
        return
    rows = [
        (place, entry.frame.name, f"{entry.score:.3f}", entry.reason) for place, entry in enumerate(entries, start=1)
    ]
    print_columns(("", "frame", "score", "why"), rows)


def bank(
    project: ProjectPath,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the PNG files.")],
) -> None:
    """Write the cut-outs of the instance bank as PNG files.

    The background of a cut-out is transparent.

    \b
    Example:
      rise bank totes.rise --out cut-outs
    """
    import numpy as np
    from PIL import Image

    from rise_engine.atomic import atomic_path
    from rise_engine.project.project import Project
    from rise_engine.pseudo_sequences.from_project import full_size_bank

    if out.exists() and not out.is_dir():
        raise RiseError(f"{out} is a file: give a folder for the cut-outs with --out.")
    with Project.open(project, read_only=True) as opened:
        cut_outs = full_size_bank(opened)
    for cut_out in cut_outs:
        alpha = np.where(cut_out.mask, 255, 0).astype(np.uint8)
        name = PurePosixPath(cut_out.frame).with_suffix("").as_posix().replace("/", "_")
        with atomic_path(out / f"{name}_{cut_out.instance:03d}.png") as part:
            Image.fromarray(np.dstack([cut_out.image, alpha])).save(part)
    typer.echo(f"{number_of(len(cut_outs), 'cut-out')} in {out}.")


def preview(
    project: ProjectPath,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The image file to write.")],
    frame: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Frame of the before view; by default the first labelled one."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write an image of a pseudo-sequence.

    It shows the before, after and strong views, with the outlines of the known objects.

    \b
    Example:
      rise preview totes.rise --frame tote_003.jpg --seed 7 --out sequence.png
    """
    from PIL import Image

    from rise_engine.atomic import atomic_path, require_no_folder
    from rise_engine.config import RiseConfig
    from rise_engine.project.image_file import SUFFIXES
    from rise_engine.project.project import Project
    from rise_engine.pseudo_sequences.from_project import make_frame_sequence, require_bank_frames
    from rise_engine.pseudo_sequences.preview import render_sequence

    require_no_folder(out)
    if out.suffix.lower() not in SUFFIXES:
        raise RiseError(f"{out} has no known image format: end its name in .png or .jpg.")
    with Project.open(project, read_only=True) as opened:
        labelled = require_bank_frames(opened)
        chosen = labelled[0] if frame is None else opened.frames.get(frame)
        sequence = make_frame_sequence(opened, chosen, RiseConfig.preset("laptop"), seed=seed)
    with atomic_path(out) as part:
        Image.fromarray(render_sequence(sequence)).save(part)
    typer.echo(f"{out} shows the views before | after | strong of {chosen.name}.")
