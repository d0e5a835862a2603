"""`rise demo` and `rise doctor`: commands that need no project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rise_engine.project.wording import number_of


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = Path("demo"),
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Number of training steps.")] = None,
    gui: Annotated[bool, typer.Option("--gui", help="Open the project in napari at the end.")] = False,
) -> None:
    """Run a demonstration on synthetic totes.

    It labels some totes, trains, predicts, evaluates and exports, in a few minutes.

    \b
    Example:
      rise demo --out demo --gui
    """
    from rise_engine.commands.train import follow
    from rise_engine.experiments.demo import open_window, run_demo

    project = run_demo(out, steps=steps, say=typer.echo, follow=follow, reuse=gui)
    if gui:
        open_window(project)


def doctor() -> None:
    """Check whether this machine has what RISE needs.

    \b
    Example:
      rise doctor
    """
    from rise_engine.commands.doctor import examine

    warnings = 0
    for finding in examine():
        typer.echo(str(finding))
        warnings += not finding.ok
    typer.echo("No problems found." if not warnings else f"{number_of(warnings, 'warning')}.")
