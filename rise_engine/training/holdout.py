"""How good a model is on the hold-out, and whether a new one may take the place of the one in use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch

from rise_engine.errors import RiseError
from rise_engine.evaluation.coco import AveragePrecision, evaluate, result_categories, results_of_frames
from rise_engine.evaluation.ground_truth import ground_truth_of
from rise_engine.prediction.load import LoadedModel, load_model
from rise_engine.prediction.predict import predict_frames
from rise_engine.project.project import Project
from rise_engine.training.events import ToBeat


def score_holdout(loaded: LoadedModel, project: Project, frames: Sequence[int]) -> AveragePrecision:
    """Mask AP of a network in evaluation mode on frames whose annotations are complete."""
    truth = ground_truth_of(project, frames)
    categories = result_categories(loaded.class_names, truth)
    results = results_of_frames(predict_frames(loaded, project, frames), categories)
    return evaluate(truth, results, class_agnostic=loaded.config.class_agnostic).mask


def score_to_beat(
    project: Project, frames: Sequence[int], *, class_agnostic: bool, device: str, besides: int
) -> ToBeat | None:
    """What the project's current model reaches on the hold-out of a new training (the run ``besides``).

    None without a hold-out, without another model, or when it tells other classes apart than the new one will.
    """
    current = project.runs.current()
    if not frames or current is None or current.number == besides:
        return None
    # A run whose files are gone or damaged is no measure for anything. Building its network draws random numbers,
    # which must not be missing from the training's own.
    with suppress(RiseError), torch.random.fork_rng():
        loaded = load_model(current.folder, device=device)
        if loaded.config.class_agnostic == class_agnostic:
            score = score_holdout(loaded, project, frames)
            return ToBeat(0, run=current.number, ap=score.ap, ap50=score.ap50)
    return None


def takes_over(best: float | None, to_beat: ToBeat | None, *, run: int) -> tuple[bool, str]:
    """Whether a new run becomes the current one, and why, in a sentence; ``best`` is its best hold-out AP."""
    if to_beat is None:
        return True, ""
    old = f"run {to_beat.run} ({to_beat.ap:.1f})"
    if best is None:
        return False, f"Run {run} ended before it was measured on the hold-out, so {old} goes on predicting."
    if best < to_beat.ap:
        return False, f"Run {run} reached AP {best:.1f} on the hold-out, less than {old}, which goes on predicting."
    return True, f"Run {run} reached AP {best:.1f} on the hold-out, not less than {old}, and takes over."
