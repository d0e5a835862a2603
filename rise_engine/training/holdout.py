"""Measuring a network on the hold-out, and deciding whether a new run replaces the current one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch
from torch import nn

from rise_engine.errors import RiseError
from rise_engine.evaluation.coco import AveragePrecision, evaluate, result_categories, results_of_frames
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.method.teacher import predicting
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project
from rise_engine.training.events import Event, HoldoutScore, Notice, ToBeat
from rise_engine.training.holdout_quality import measure_pseudo_labels


def require_own_sizes(project: Project, frames: Sequence[int]) -> None:
    """Raise RiseError when annotations of a frame were made on an image of another size.

    A file that cannot be read is not checked here: it is reported when it is measured.
    """
    for frame in frames:
        try:
            project.probe(frame)
        except RiseError:
            continue
        project.require_own_size(frame)


def measure_holdout(
    network: nn.Module,
    loaded: LoadedModel,
    project: Project,
    frames: Sequence[int],
    *,
    step: int,
    to_exceed: float | None,
) -> Iterator[Event]:
    """The mask AP of a network in training on hold-out frames, and the quality of the pseudo-labels that it would make.

    ``loaded`` has the same ``network``; the weights are the best ones so far when their AP is above ``to_exceed``
    (None: always). When no frame has an annotated object, only a notice is returned.
    """
    if not project.annotations.frames_with_objects().intersection(frames):
        yield Notice(
            step,
            f"None of the {len(frames)} hold-out frames has an annotated object, so nothing could be measured: draw "
            "their objects, or remove them from the hold-out.",
        )
        return
    with predicting(network):
        mask = score_holdout(loaded, project, frames)
    best = to_exceed is None or mask.ap > to_exceed
    yield HoldoutScore(step, ap=mask.ap, ap50=mask.ap50, best=best, ap75=mask.ap75, frames=len(frames))
    if not loaded.config.schedule.supervised_only:
        with predicting(network):
            score = measure_pseudo_labels(loaded, project, frames, step=step)
        yield score


def score_holdout(loaded: LoadedModel, project: Project, frames: Sequence[int]) -> AveragePrecision:
    """Mask AP of a network in evaluation mode on frames whose annotations are complete."""
    truth = ground_truth_of(project, frames)
    categories = result_categories(loaded.class_names, truth)
    results = results_of_frames(predict_frames(loaded, project, frames), categories)
    return evaluate(truth, results, class_agnostic=loaded.config.class_agnostic).mask


def score_to_beat(
    project: Project, frames: Sequence[int], *, class_agnostic: bool, device: str, besides: int
) -> ToBeat | None:
    """The score of the project's current run on the hold-out of a new one (the run ``besides``).

    None without a hold-out, without another run, or when only one of the two is class-agnostic.
    """
    current = project.runs.current()
    if not frames or current is None or current.number == besides:
        return None
    # A run with missing or damaged files has no score. Building its network consumes random numbers; the fork keeps
    # those of the training unchanged.
    with suppress(RiseError), torch.random.fork_rng():
        loaded = load_model(current.folder, device=device)
        if loaded.config.class_agnostic == class_agnostic:
            score = score_holdout(loaded, project, frames)
            return ToBeat(0, run=current.number, ap=score.ap, ap50=score.ap50)
    return None


def takes_over(best: float | None, to_beat: ToBeat | None, *, run: int) -> tuple[bool, str]:
    """Whether a new run becomes the current one, and the reason in a sentence; ``best`` is its best hold-out AP."""
    if to_beat is None:
        return True, ""
    old = f"run {to_beat.run} ({to_beat.ap:.1f})"
    if best is None:
        return False, f"Run {run} ended before it was measured on the hold-out, so {old} stays in use."
    if best < to_beat.ap:
        return (
            False,
            f"Run {run} reached AP {best:.1f} on the hold-out, less than {old}, which stays in use.",
        )
    return True, f"Run {run} reached AP {best:.1f} on the hold-out, not less than {old}, and replaces it."
