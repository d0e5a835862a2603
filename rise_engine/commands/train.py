"""`rise train`: train on a project, in one process or in several."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from rise_engine.commands.arguments import Device, ProjectPath
from rise_engine.errors import RiseError
from rise_engine.project.wording import number_of

if TYPE_CHECKING:
    from rise_engine.commands.training_display import TrainingDisplay
    from rise_engine.config import RiseConfig
    from rise_engine.project.project import Project
    from rise_engine.project.records import RunRecord
    from rise_engine.project.splits import TrainingSplit
    from rise_engine.training.distributed import Ranks
    from rise_engine.training.events import Finished
    from rise_engine.training.trainer import Trainer


def train(
    project: ProjectPath,
    preset: Annotated[
        str | None, typer.Option(help="laptop, r50, r101 or swin-l; by default r50 with CUDA, else laptop.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="recommended (the default), paper or idol.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Number of training steps.")] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", min=0.01, help="Training time, instead of --steps.")
    ] = None,
    labelled_count: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Use N of the labelled frames, chosen by the seed.")
    ] = None,
    labelled_fraction: Annotated[
        float | None,
        typer.Option(metavar="F", min=0.0, max=1.0, help="Use this fraction of the labelled frames, from 0 to 1."),
    ] = None,
    labelled_list: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Use exactly these labelled frames: one file name per line."),
    ] = None,
    holdout_list: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Hold-out frames, used for evaluation only: one file name per line."),
    ] = None,
    supervised_only: Annotated[
        bool, typer.Option("--supervised-only", help="Supervised baseline: do not use the unlabelled frames.")
    ] = False,
    class_agnostic: Annotated[
        bool | None,
        typer.Option(
            "--class-agnostic/--per-class", help="One class for all objects (default), or the project's categories."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="W", help="Initial weights: FILE, starter, imagenet, coco, last, run:N or none."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="S", min=0, max=2**32 - 1, help="Seed of all random choices; by default 0.")
    ] = None,
    device: Device = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the latest run, with its settings and frames.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="section.key=value", help="Change any setting; repeat it for several."),
    ] = None,
) -> None:
    """Train on the labelled and the unlabelled frames of a project.

    Ctrl-C stops the training and saves it.

    \b
    Example:
      rise train totes.rise --minutes 15 --set schedule.unsupervised_after=100
      torchrun --nproc-per-node=4 -m rise_engine.cli train totes.rise --preset r50
    \f
    Long because of its options; the work is in the functions below.
    """
    amount = (steps, minutes, labelled_count, labelled_fraction)
    own = (*amount, labelled_list, holdout_list, recipe, class_agnostic, weights, seed)
    if resume and (any(option is not None for option in own) or supervised_only or settings):
        raise RiseError("--resume keeps the settings and frames of the run: give only --preset and --device with it.")
    _require_one_duration(steps, minutes)
    with _processes(device) as ranks, _opened(project, ranks) as opened:
        if resume:
            config, split = run_to_resume(opened, preset, device)
        else:
            config = new_config(preset, recipe or "recommended", device, settings or [])
            config.schedule.supervised_only |= supervised_only
            if class_agnostic is not None:
                config.class_agnostic = class_agnostic
            if seed is not None:
                config.schedule.seed = seed
            if steps is not None:
                config.schedule.steps = steps
            if weights is not None:
                config.weights = weights
            split = _split(opened, labelled_count, labelled_fraction, labelled_list, holdout_list, config.schedule.seed)
        former = opened.runs.current()
        prints = ranks is None or ranks.first
        if prints:
            typer.echo(describe_split(opened, split, config))
        from rise_engine.training.trainer import Trainer

        finished = follow(Trainer(opened, config, split, minutes=minutes, resume=resume, ranks=ranks), quiet=not prints)
    if prints:
        _print_result(project, finished, former)


def _require_one_duration(steps: int | None, minutes: float | None) -> None:
    if steps is not None and minutes is not None:
        raise RiseError("--steps and --minutes both set the length of the training: give one of them.")
    if minutes is not None and not math.isfinite(minutes):
        raise RiseError(f"--minutes {minutes} is not finite: give a number of minutes.")


def _split(
    project: Project,
    count: int | None,
    fraction: float | None,
    labelled_list: Path | None,
    holdout_list: Path | None,
    seed: int,
) -> TrainingSplit:
    from rise_engine.project.splits import choose_split, read_name_list

    return choose_split(
        project,
        names=None if labelled_list is None else read_name_list(labelled_list),
        count=count,
        fraction=fraction,
        holdout_names=None if holdout_list is None else read_name_list(holdout_list),
        seed=seed,
    )


def _print_result(project: Path, finished: Finished, former: RunRecord | None) -> None:
    """Print how the training ended, which run predicts now, and what to do next."""
    how = "was stopped and saved" if finished.stopped else "finished"
    typer.echo(f"Run {finished.run} {how} after {number_of(finished.step, 'step')}: {finished.folder}")
    if finished.skipped:
        typer.echo(f"{number_of(finished.skipped, 'step')} had infinite or NaN gradients and changed nothing.")
    if finished.verdict:
        typer.echo(f"{finished.verdict} Choose another run with `rise runs {project} --use N`.")
    elif former is not None and former.number != finished.run:
        typer.echo(
            f"It replaces run {former.number} as the run in use. The two were not compared, because there is no common "
            f"hold-out; go back with `rise runs {project} --use {former.number}`."
        )
    if finished.stopped:
        typer.echo(f"Continue the training with `rise train {project} --resume`.")
    typer.echo(f"Next: `rise predict {project}`, then `rise queue {project}` shows which frame to fix first.")


def _processes(device: str) -> AbstractContextManager[Ranks | None]:
    """The processes that a launcher such as torchrun started together with this one; None without a launcher."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return nullcontext()
    from rise_engine.training.distributed import joined

    return joined(device)


@contextmanager
def _opened(path: Path, ranks: Ranks | None) -> Iterator[Project]:
    """The project. Of several processes only the first one may write; it opens first, as it may have to migrate."""
    from rise_engine.commands.project import add_new_images
    from rise_engine.project.project import Project

    if ranks is not None and not ranks.first:
        ranks.gather(None)
    with Project.open(path, read_only=ranks is not None and not ranks.first) as project:
        if not project.read_only:
            add_new_images(project)
        if ranks is not None and ranks.first:
            ranks.gather(None)
        yield project


def new_config(preset: str | None, recipe: str, device: str, settings: list[str]) -> RiseConfig:
    """The settings of a new run; RiseError for an unknown or unfitting one."""
    from rise_engine.config import RiseConfig
    from rise_engine.model.device import choose_device

    if preset is None:
        preset = "r50" if choose_device(device).type == "cuda" else "laptop"
    try:
        config = RiseConfig.preset(preset, recipe).with_settings(settings)  # type: ignore[arg-type]
    except ValueError as error:
        raise RiseError(str(error)) from error
    if device != "auto":
        config.device = device
    return config


def run_to_resume(project: Project, preset: str | None, device: str) -> tuple[RiseConfig, TrainingSplit]:
    """The settings and the frames of the latest run (of a preset); RiseError when there is none."""
    from rise_engine.project.interrupted import latest_training, run_settings

    run = latest_training(project, preset)
    if run is None:
        of_preset = "" if preset is None else f" of preset {preset}"
        raise RiseError(f"{project.path} has no run{of_preset} to resume: leave --resume out.")
    config, split = run_settings(project, run)
    config.device = device
    return config, split


def describe_split(project: Project, split: TrainingSplit, config: RiseConfig) -> str:
    """A sentence about the number of frames of each kind."""
    instances = sum(len(project.annotations.of_frame(frame)) for frame in split.labelled)
    unlabelled = number_of(len(split.unlabelled), "unlabelled frame")
    if config.schedule.supervised_only:
        unlabelled = "no unlabelled frames (supervised baseline)"
    elif set(split.unlabelled) & set(split.labelled):
        unlabelled = f"the same {number_of(len(split.unlabelled), 'frame')} without labels"
    return (
        f"Training on {number_of(len(split.labelled), 'labelled frame')} ({number_of(instances, 'instance')}) and "
        f"{unlabelled}; evaluating on {number_of(len(split.holdout), 'hold-out frame')}."
    )


def follow(trainer: Trainer, *, note: Callable[[float], str] | None = None, quiet: bool = False) -> Finished:
    """Run a training to its end and show its progress; RiseError when it failed.

    ``note`` returns additional text from the remaining seconds; ``quiet`` shows nothing.
    """
    from rise_engine.commands.training_display import TrainingDisplay
    from rise_engine.training.events import Failed, Finished

    with TrainingDisplay(note=note, quiet=quiet) as display, _stopping_on_signals(trainer, display):
        for event in trainer.run():
            display.show(event)
            if isinstance(event, Failed):
                raise RiseError(f"{event.message.rstrip('.')}. {event.hint}")
            if isinstance(event, Finished):
                return event
    raise RiseError("The training ended without a result; continue from its checkpoint with `rise train --resume`.")


@contextmanager
def _stopping_on_signals(trainer: Trainer, display: TrainingDisplay) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the training after the current step, the second one immediately."""

    def stop(number: int, frame: FrameType | None) -> None:
        for name, handler in before.items():
            signal.signal(name, handler)
        display.print_line("Stopping after this step; press Ctrl-C again to stop immediately.")
        trainer.stop()

    before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
