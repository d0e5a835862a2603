"""Training without a window."""

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
    from rise_engine.project.splits import TrainingSplit
    from rise_engine.training.distributed import Ranks
    from rise_engine.training.events import Finished
    from rise_engine.training.trainer import Trainer


def train(
    project: ProjectPath,
    preset: Annotated[str | None, typer.Option(help="laptop, r50, r101 or swin-l; r50 with CUDA, else laptop.")] = None,
    recipe: Annotated[str | None, typer.Option(help="recommended (the default), paper or idol.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Length of the schedule.")] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", min=0.01, help="As many steps as fit in this time.")
    ] = None,
    labelled_count: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Learn from N of the labelled frames.")
    ] = None,
    labelled_fraction: Annotated[
        float | None, typer.Option(metavar="F", min=0.0, max=1.0, help="Learn from this share of the labelled frames.")
    ] = None,
    labelled_list: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Learn from these labelled frames: one file name a line.")
    ] = None,
    holdout_list: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measure on these frames, which do not train.")
    ] = None,
    supervised_only: Annotated[
        bool, typer.Option("--supervised-only", help="Leave the unlabelled frames out.")
    ] = False,
    class_agnostic: Annotated[
        bool | None,
        typer.Option("--class-agnostic/--per-class", help="One class for all objects (default), or the categories."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="W", help="FILE, starter, imagenet, coco, last, run:N or none.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="S", min=0, max=2**32 - 1, help="Every random choice follows from it; 0.")
    ] = None,
    device: Device = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the latest run, with its settings and frames.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="section.key=value", help="Change any setting.")
    ] = None,
) -> None:
    """Train on a project's labelled and unlabelled frames. Ctrl-C stops and keeps what was learnt.

    \b
    Example:
      rise train totes.rise --minutes 15 --set schedule.unsupervised_after=100
      torchrun --nproc-per-node=4 -m rise_engine.cli train totes.rise --preset r50
    """
    from rise_engine.project.splits import choose_split, read_name_list

    amount = (steps, minutes, labelled_count, labelled_fraction)
    own = (*amount, labelled_list, holdout_list, recipe, class_agnostic, weights, seed)
    if resume and (any(option is not None for option in own) or supervised_only or settings):
        raise RiseError("--resume keeps the run's own settings and frames: leave out all but --preset and --device")
    if steps is not None and minutes is not None:
        raise RiseError("--steps and --minutes both say how long to train: give one of them")
    if minutes is not None and not math.isfinite(minutes):
        raise RiseError(f"--minutes {minutes} is not finite: say how many minutes to train")
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
            split = choose_split(
                opened,
                names=None if labelled_list is None else read_name_list(labelled_list),
                count=labelled_count,
                fraction=labelled_fraction,
                holdout_names=None if holdout_list is None else read_name_list(holdout_list),
                seed=config.schedule.seed,
            )
        former = opened.runs.current()
        speaks = ranks is None or ranks.first
        if speaks:
            typer.echo(describe_split(opened, split, config))
        from rise_engine.training.trainer import Trainer

        finished = follow(Trainer(opened, config, split, minutes=minutes, resume=resume, ranks=ranks), quiet=not speaks)
    if not speaks:
        return
    stopped = "stopped early, and saved" if finished.stopped else "finished"
    typer.echo(f"Run {finished.run} {stopped} after {number_of(finished.step, 'step')}: {finished.folder}")
    if finished.skipped:
        typer.echo(f"{number_of(finished.skipped, 'step')} had gradients that were not finite and changed nothing.")
    if finished.verdict:
        typer.echo(f"{finished.verdict} `rise runs {project} --use N` chooses another.")
    elif former is not None and former.number != finished.run:
        typer.echo(
            f"It takes the place of run {former.number} without a comparison, as there is nothing to compare them on; "
            f"`rise runs {project} --use {former.number}` goes back."
        )
    if finished.stopped:
        typer.echo(f"Go on with `rise train {project} --resume`.")
    typer.echo(f"Next: `rise predict {project}`, then `rise queue {project}` says which frame to fix first.")


def _processes(device: str) -> AbstractContextManager[Ranks | None]:
    """The processes that a launcher such as torchrun has started with this one; None when it is by itself."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return nullcontext()
    from rise_engine.training.distributed import joined

    return joined(device)


@contextmanager
def _opened(path: Path, ranks: Ranks | None) -> Iterator[Project]:
    """The project; of several processes only the first may write, and it opens first: it may have to update it."""
    from rise_engine.commands.project import take_new_images
    from rise_engine.project.project import Project

    if ranks is not None and not ranks.first:
        ranks.gather(None)
    with Project.open(path, read_only=ranks is not None and not ranks.first) as project:
        if not project.read_only:
            take_new_images(project)
        if ranks is not None and ranks.first:
            ranks.gather(None)
        yield project


def new_config(preset: str | None, recipe: str, device: str, settings: list[str]) -> RiseConfig:
    """The settings of a new run; RiseError naming what is unknown or does not fit."""
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
    """The settings and frames of the latest run (of a preset); RiseError when there is none."""
    from rise_engine.project.interrupted import latest_training, run_settings

    run = latest_training(project, preset)
    if run is None:
        of_preset = "" if preset is None else f" of preset {preset}"
        raise RiseError(f"{project.path} has no run{of_preset} to resume: leave out --resume")
    config, split = run_settings(project, run)
    config.device = device
    return config, split


def describe_split(project: Project, split: TrainingSplit, config: RiseConfig) -> str:
    """Which frames count as what, in a sentence."""
    instances = sum(len(project.annotations.of_frame(frame)) for frame in split.labelled)
    unlabelled = number_of(len(split.unlabelled), "unlabelled frame")
    if config.schedule.supervised_only:
        unlabelled = "no unlabelled frames (supervised only)"
    elif set(split.unlabelled) & set(split.labelled):
        unlabelled = f"the same {number_of(len(split.unlabelled), 'frame')} without their labels"
    return (
        f"Learning from {number_of(len(split.labelled), 'labelled frame')} ({number_of(instances, 'instance')}) and "
        f"{unlabelled}; measuring on {number_of(len(split.holdout), 'hold-out frame')}."
    )


def follow(trainer: Trainer, *, note: Callable[[float], str] | None = None, quiet: bool = False) -> Finished:
    """Runs a training to its end and shows how it goes; RiseError when it failed.

    ``note`` makes a few more words of the seconds left; ``quiet`` shows nothing.
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
    raise RiseError("the training ended without saying why; `rise train --resume` goes on from its last checkpoint")


@contextmanager
def _stopping_on_signals(trainer: Trainer, display: TrainingDisplay) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the training after the step in hand, the second one at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        for name, handler in before.items():
            signal.signal(name, handler)
        display.say("Stopping after this step; press Ctrl-C again to leave at once.")
        trainer.stop()

    before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
