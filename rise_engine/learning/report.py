"""Numbers of a training step as events."""

from __future__ import annotations

from rise_engine.config import RiseConfig
from rise_engine.learning.events import Losses, Thresholds
from rise_engine.learning.pseudo_labels import gamma_cls, gamma_mask
from rise_engine.learning.thresholds import quantile_level
from rise_engine.learning.training_step import StepOutcome


def losses_event(outcome: StepOutcome, step: int) -> Losses:
    """The step's weighted losses; ``step`` counts finished steps."""
    return Losses(
        step,
        total=outcome.total,
        supervised=outcome.supervised,
        association=outcome.association,
        unsupervised=outcome.unsupervised,
        learning_rate=outcome.learning_rate,
        gradient_norm=outcome.gradient_norm,
        **outcome.terms,
    )


def thresholds_event(outcome: StepOutcome, step: int, config: RiseConfig, *, bank_size: int) -> Thresholds:
    """What the cascade did at ``step``, counted from 0, averaged over the step's unlabelled frames."""
    steps = config.schedule.steps
    frames = outcome.pseudo_labels
    scores = [score for pseudo in frames for score in pseudo.scores.tolist()]
    cuts = [pseudo.cut for pseudo in frames if pseudo.cut is not None]

    def mean(stage: str) -> float:
        return sum(getattr(pseudo, stage) for pseudo in frames) / len(frames)

    return Thresholds(
        step + 1,
        gamma_cls=gamma_cls(config.pseudo_labels, step=step, steps=steps),
        quantile_level=quantile_level(step, steps, config.pseudo_labels.quantile_start),
        quantile_cut=sum(cuts) / len(cuts) if cuts else None,
        gamma_mask=gamma_mask(config.pseudo_labels, step=step, steps=steps),
        predictions=mean("predictions"),
        after_gamma=mean("after_gamma"),
        after_quantile=mean("after_quantile"),
        after_matching=mean("after_matching"),
        lowest_kept=min(scores, default=None),
        mean_kept=sum(scores) / len(scores) if scores else None,
        highest_kept=max(scores, default=None),
        bank_size=bank_size,
        association_accuracy=outcome.accuracy,
    )
