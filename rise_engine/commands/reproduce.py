"""`rise reproduce`: train for the tables and figures of the paper again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rise_engine.commands.arguments import Device, ProjectPath
from rise_engine.errors import RiseError
from rise_engine.project.wording import duration

if TYPE_CHECKING:
    from rise_engine.config import RiseConfig
    from rise_engine.experiments.reproduce.cell import Cell
    from rise_engine.experiments.reproduce.grid import Grid
    from rise_engine.experiments.reproduce.job import Job
    from rise_engine.experiments.reproduce.tables import Table
    from rise_engine.project.project import Project

TABLES_AND_FIGURES = (*(f"table{number}" for number in range(1, 7)), *(f"figure{number}" for number in (3, 4, 7, 8)))
NAMES = (*TABLES_AND_FIGURES, "curves")
NAMED_WEIGHTS = ("starter", "imagenet", "coco", "none")
"""Weights that have a name; all others are files."""


def reproduce(
    what: Annotated[
        str, typer.Argument(metavar="NAME", help="table1 to table6, figure3, figure4, figure7, figure8, or curves.")
    ],
    project: ProjectPath,
    preset: Annotated[
        str | None, typer.Option(help="laptop, r50, r101 or swin-l; by default r50 with CUDA, else laptop.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="recommended, paper or idol.")] = "recommended",
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Number of steps of each training.")] = None,
    subsets: Annotated[
        int, typer.Option(metavar="K", min=1, help="Random splits of the labelled frames for each row.")
    ] = 1,
    seeds: Annotated[int, typer.Option(metavar="K", min=1, help="Trainings per random split.")] = 1,
    labelled: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Numbers of labelled frames, in place of the paper's shares.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="Train only these rows now: a number or fraction of frames, subset=N, or (part of) a method's name.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the trainings and how long they take, without training.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(metavar="W", help="Initial weights: FILE, starter, imagenet, coco, last, run:N or none."),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="NAME=N", help="For curves: a label and a run; equal labels are averaged."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Output folder.")] = Path("reproduce"),
    device: Device = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="section.key=value", help="Change any setting of all trainings."),
    ] = None,
) -> None:
    """Reproduce a table or figure of the paper by training on your frames.

    The trainings use your own frames and are evaluated on the hold-out. They run on a copy of
    the project in --out. Ctrl-C stops and keeps everything: the same command continues, and finished trainings in --out
    are not repeated. curves plots the hold-out scores of the project's runs.

    \b
    Examples:
      rise reproduce table1 totes.rise --labelled 4,8,19 --subsets 3 --steps 1000 --plan
      rise reproduce table1 totes.rise --labelled 4,8,19 --subsets 3 --steps 1000 --only 4 --only RISE
      rise reproduce curves totes.rise --run supervised=3 --run RISE=4
    \f
    Long because of its options; the work is in the functions below.
    """
    from rise_engine.experiments.reproduce.grid import Grid
    from rise_engine.project.project import Project

    if what not in NAMES:
        raise RiseError(f"There is no {what} to reproduce: choose one of {', '.join(NAMES)}.")
    if (what == "curves") != bool(runs):
        raise RiseError("--run NAME=N selects the runs that `rise reproduce curves` plots: give both or neither.")
    counts = _counts(labelled)
    config = _config(preset, recipe, device, settings or [], steps)
    command = shlex.join(["rise", *sys.argv[1:]])
    with Project.open(project) as opened:
        if what == "curves":
            _curves(opened, runs or [], out)
            return
        config.weights = _as_file(opened, config.weights if weights is None else weights)
        cells = _cells(what, config, counts)
        source = str(opened.setting("source") or opened.setting("dataset") or "")
        grid = Grid(opened, out)
    with grid.project:
        jobs = grid.jobs(cells, config, subsets=subsets, seeds=seeds)
        chosen = _chosen(grid, cells, jobs, only or [])
        _print_plan(grid, chosen)
        if not plan:
            interrupted = _train(grid, chosen)
            if what.startswith("table"):
                _table(what, grid, jobs, counts, source, command)
            elif not interrupted:
                _figure(what, grid, jobs)


def _config(preset: str | None, recipe: str, device: str, settings: list[str], steps: int | None) -> RiseConfig:
    from rise_engine.commands.train import new_config

    config = new_config(preset, recipe, device, settings)
    if config.schedule.seed:
        raise RiseError(
            f"schedule.seed={config.schedule.seed} cannot be set here, because each training has a seed of its own: "
            "leave it out, and give --subsets or --seeds for more trainings."
        )
    if steps is not None:
        config.schedule.steps = steps
    return config


def _cells(name: str, config: RiseConfig, counts: list[int]) -> tuple[Cell, ...]:
    from rise_engine.experiments.reproduce.figures import FIGURES, amount_of

    if name.startswith("table"):
        return _table_of(name, counts).cells
    return FIGURES[name].cells(amount_of(counts), config.schedule.steps)


def _table_of(name: str, counts: list[int]) -> Table:
    from rise_engine.experiments.reproduce.tables import TABLES, with_counts

    return with_counts(TABLES[name], counts) if counts else TABLES[name]


def _chosen(grid: Grid, cells: tuple[Cell, ...], jobs: list[Job], words: list[str]) -> list[Job]:
    from rise_engine.experiments.reproduce.job import select_jobs

    return select_jobs(jobs, words, {cell.amount.label: cell.amount.frames(grid.available) for cell in cells})


def _print_plan(grid: Grid, jobs: list[Job]) -> None:
    for job in jobs:
        result = grid.result(job)
        if result is not None:
            state = f"finished, mask AP {result.scores['AP']:.1f}"
        else:
            begun = "started, " if grid.begun(job) is not None else ""
            state = f"{begun}about {duration(grid.seconds([job]))}"
        typer.echo(f"  {job}: {state}")
    left = [job for job in jobs if grid.result(job) is None]
    time = f", about {duration(grid.seconds(left))} in all" if left else ""
    typer.echo(
        f"{len(jobs)} trainings, {len(jobs) - len(left)} of them finished{time}; evaluated on {len(grid.measured)} "
        "hold-out frames."
    )


def _train(grid: Grid, jobs: list[Job]) -> bool:
    """Run the unfinished trainings; True when the user interrupted them."""
    from rise_engine.commands.train import follow
    from rise_engine.experiments.reproduce.grid import InterruptedGridError

    try:
        grid.run(jobs, follow=lambda trainer, note: follow(trainer, note=note), say=typer.echo)
    except InterruptedGridError:
        done = sum(grid.result(job) is not None for job in jobs)
        typer.echo(f"Stopped with {done} of {len(jobs)} trainings finished; the same command continues.")
        return True
    return False


def _table(name: str, grid: Grid, jobs: list[Job], counts: list[int], source: str, command: str) -> None:
    from rise_engine.experiments.reproduce.curves import panels_of, write_curves
    from rise_engine.experiments.reproduce.table_file import lines_of, write_table

    if all(grid.result(job) is None for job in jobs):
        typer.echo(f"No training of this table is finished, so {grid.folder / name}.md is not written.")
        return
    table = _table_of(name, counts)
    lines = lines_of(table, grid, jobs, comparable=source == table.data_set)
    part = "test" if grid.measured != grid.holdout else "hold-out"
    held_out = f"the {len(grid.measured)} {part} frames"
    paths = write_table(grid.folder, name, table, lines, jobs=jobs, data_set=source, held_out=held_out, command=command)
    typer.echo(paths[1].read_text(encoding="utf-8"))
    typer.echo(f"Also as {paths[0]}.")
    picture = grid.folder / f"{name}-curves.png"
    written = write_curves(picture, panels_of(grid, jobs))
    for path in written:
        typer.echo(f"Wrote {path}.")
    if not written:
        # Curves of an earlier table would not belong to this one.
        picture.unlink(missing_ok=True)
        picture.with_suffix(".csv").unlink(missing_ok=True)


def _figure(name: str, grid: Grid, jobs: list[Job]) -> None:
    from rise_engine.experiments.reproduce.figures import FIGURES

    for path in FIGURES[name].draw(grid, jobs, grid.folder):
        typer.echo(f"Wrote {path}.")


def _curves(project: Project, named: list[str], out: Path) -> None:
    from rise_engine.experiments.reproduce.curves import Curve, curve_of, write_curves

    curves: dict[str, list[Curve]] = {}
    for text in named:
        name, _, number = text.rpartition("=")
        if not name or not number.isdecimal():
            raise RiseError(f"--run {text!r} names no run: write it like supervised=3.")
        curves.setdefault(name, []).append(curve_of(project.runs.get(int(number)).folder))
    paths = write_curves(out / "curves.png", {"mask AP on the hold-out": curves})
    if not paths:
        raise RiseError("None of these runs has hold-out scores, so there is nothing to plot; train with a hold-out.")
    for path in paths:
        typer.echo(f"Wrote {path}.")


def _counts(text: str | None) -> list[int]:
    try:
        counts = [int(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        counts = [0]
    if any(count < 1 for count in counts) or (text is not None and not counts):
        raise RiseError(f"--labelled {text!r} is not a list of numbers: write it like 4,8,19.")
    return counts


def _as_file(project: Project, weights: str) -> str:
    """The weights by name or as an existing file; a run's weights as a file, as the copied project has no runs."""
    if weights in NAMED_WEIGHTS:
        return weights
    if weights == "last" or weights.startswith("run:"):
        try:
            number = None if weights == "last" else int(weights.removeprefix("run:"))
        except ValueError:
            raise RiseError(f"Weights {weights!r} name no run: write run:N, such as run:3 for run 3.") from None
        weights = str(project.runs.get(number).files.weights)
    if not Path(weights).expanduser().is_file():
        raise RiseError(
            f"Weights {weights!r} are not a file: choose one of {', '.join(NAMED_WEIGHTS)}, last, run:N, or a path."
        )
    return weights
