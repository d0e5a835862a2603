"""The paper's tables and figures, trained again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rise_engine.commands.arguments import Device, ProjectPath
from rise_engine.errors import RiseError

if TYPE_CHECKING:
    from rise_engine.config import RiseConfig
    from rise_engine.experiments.reproduce.grid import Grid, Job
    from rise_engine.project.project import Project

NAMES = ("table1", "table2", "table3", "table4", "table5", "table6", "figure3", "figure4", "figure7", "figure8")


def reproduce(
    what: Annotated[str, typer.Argument(metavar="NAME", help="table1 to table6, figure3, figure4, figure7, figure8.")],
    project: ProjectPath,
    preset: Annotated[str | None, typer.Option(help="laptop, r50, r101 or swin-l; r50 with CUDA, else laptop.")] = None,
    recipe: Annotated[str, typer.Option(help="recommended, paper or idol.")] = "recommended",
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Length of each training.")] = None,
    seeds: Annotated[int, typer.Option(metavar="K", min=1, help="Trainings, and labelled subsets, a line.")] = 1,
    labelled: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Numbers of labelled frames in place of the paper's shares.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="W", help="FILE, starter, imagenet, coco, last, run:N or none.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything lands.")] = Path("reproduce"),
    device: Device = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="section.key=value", help="Change any setting of all trainings."),
    ] = None,
) -> None:
    """Train a table or figure of the paper again, on your own frames; the hold-out measures.

    Trainings happen on a copy of the project in --out. Ctrl-C stops and keeps everything: the same command goes on.

    \b
    Example:
      rise reproduce table1 totes.rise --labelled 4,8,19 --seeds 3 --steps 1000
    """
    from rise_engine.commands.train import new_config
    from rise_engine.experiments.reproduce.grid import Grid
    from rise_engine.project.project import Project

    if what not in NAMES:
        raise RiseError(f"there is no {what} to reproduce: choose one of {', '.join(NAMES)}")
    counts = _counts(labelled)
    config = new_config(preset, recipe, device, settings or [])
    if steps is not None:
        config.schedule.steps = steps
    command = shlex.join(["rise", *sys.argv[1:]])
    with Project.open(project) as opened:
        if weights is not None:
            config.weights = _lasting(opened, weights)
        source = str(opened.setting("source") or "")
        grid = Grid(opened, out)
    with grid.project:
        if what.startswith("table"):
            _table(what, grid, config, counts, seeds, source, command)
        else:
            _figure(what, grid, config, counts, seeds)


def _table(name: str, grid: Grid, config: RiseConfig, counts: list[int], seeds: int, source: str, command: str) -> None:
    from rise_engine.experiments.reproduce.grid import InterruptedGridError
    from rise_engine.experiments.reproduce.table_file import lines_of, write_table
    from rise_engine.experiments.reproduce.tables import TABLES, with_counts

    table = with_counts(TABLES[name], counts) if counts else TABLES[name]
    jobs = grid.jobs(table.cells, config, seeds)
    try:
        _train(grid, jobs)
    except InterruptedGridError:
        _say_interrupted(grid, jobs)
    finally:
        lines = lines_of(table, grid, jobs, comparable=source == table.data_set)
        paths = write_table(grid.folder, name, table, lines, jobs=jobs, data_set=source, command=command)
    typer.echo(paths[1].read_text(encoding="utf-8"))
    typer.echo(f"Also as {paths[0]}.")


def _figure(name: str, grid: Grid, config: RiseConfig, counts: list[int], seeds: int) -> None:
    from rise_engine.experiments.reproduce.figures import FIGURES, amount_of
    from rise_engine.experiments.reproduce.grid import InterruptedGridError

    figure = FIGURES[name]
    jobs = grid.jobs(figure.cells(amount_of(counts), config.schedule.steps), config, seeds)
    try:
        _train(grid, jobs)
    except InterruptedGridError:
        _say_interrupted(grid, jobs)
        return
    for path in figure.draw(grid, jobs, grid.folder):
        typer.echo(f"Wrote {path}.")


def _train(grid: Grid, jobs: list[Job]) -> None:
    from rise_engine.commands.train import follow

    done = sum(grid.result(job) is not None for job in jobs)
    typer.echo(f"{len(jobs)} trainings, {done} of them finished, on {len(grid.holdout)} hold-out frames.")
    grid.run(jobs, follow=lambda trainer, note: follow(trainer, note=note), say=typer.echo)


def _say_interrupted(grid: Grid, jobs: list[Job]) -> None:
    done = sum(grid.result(job) is not None for job in jobs)
    typer.echo(f"Stopped with {done} of {len(jobs)} trainings finished; the same command goes on from here.")


def _counts(text: str | None) -> list[int]:
    try:
        counts = [int(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        counts = [0]
    if any(count < 1 for count in counts) or (text is not None and not counts):
        raise RiseError(f"--labelled {text!r} is no list of numbers: write it as 4,8,19")
    return counts


def _lasting(project: Project, weights: str) -> str:
    """The name of the weights; a run's as a file, since the copy of the project has no runs."""
    if weights != "last" and not weights.startswith("run:"):
        return weights
    try:
        number = None if weights == "last" else int(weights.removeprefix("run:"))
    except ValueError:
        raise RiseError(f"weights {weights!r}: write run:N with the number of a run, such as run:3") from None
    return str(project.run(number).folder / "weights.safetensors")
