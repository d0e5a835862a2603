"""Numbers of a training step as events."""

from __future__ import annotations

import numpy as np

from rise_engine.training.events import Losses, Thresholds
from rise_engine.training.step import StepOutcome

SCORE_BINS = 20
"""Of the histogram of kept scores."""


def losses_event(outcome: StepOutcome, step: int, *, skipped: int = 0) -> Losses:
    """The step's weighted losses; ``step`` counts finished steps, ``skipped`` those that changed nothing."""
    return Losses(
        step,
        total=outcome.total,
        supervised=outcome.supervised,
        association=outcome.association,
        unsupervised=outcome.unsupervised,
        learning_rate=outcome.learning_rate,
        gradient_norm=outcome.gradient_norm,
        skipped=skipped,
        **outcome.terms,
    )


def thresholds_event(outcome: StepOutcome, step: int, *, bank_size: int) -> Thresholds:
    """What the cascade did on the step's unlabelled frames, of which there is at least one; counts are averages."""
    frames = outcome.cascades
    scores = [score for frame in frames for score in frame.scores]
    cuts = [frame.cut for frame in frames if frame.cut is not None]

    def average(stage: str) -> float:
        return sum(getattr(frame, stage) for frame in frames) / len(frames)

    return Thresholds(
        step,
        gamma_cls=frames[0].gamma_cls,
        quantile_level=frames[0].quantile_level,
        quantile_cut=sum(cuts) / len(cuts) if cuts else None,
        gamma_mask=frames[0].gamma_mask,
        predictions=average("predictions"),
        after_gamma=average("after_threshold"),
        after_quantile=average("after_quantile"),
        after_matching=average("after_matching"),
        lowest_kept=min(scores, default=None),
        mean_kept=sum(scores) / len(scores) if scores else None,
        highest_kept=max(scores, default=None),
        bank_size=bank_size,
        association_accuracy=outcome.accuracy,
        kept_histogram=tuple(np.histogram(scores, bins=SCORE_BINS, range=(0, 1))[0].tolist()),
    )
