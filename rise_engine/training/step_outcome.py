"""The numbers of one training step, and the events that report them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from rise_engine.method.losses import LossTerms
from rise_engine.method.objective import TotalLoss
from rise_engine.method.pseudo_labels import CascadeCounts
from rise_engine.training.events import Losses, Thresholds

SCORE_BINS = 20
"""Of the histogram of kept scores."""
TERMS = tuple(entry.name for entry in fields(LossTerms))


@dataclass
class StepOutcome:
    """The numbers of one step; losses are weighted."""

    supervised: float = 0.0
    association: float = 0.0
    unsupervised: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 0.0
    gradient_norm: float = 0.0
    applied: bool = True
    """False when the gradients were not finite and the step was skipped."""
    cascades: list[CascadeCounts] = field(default_factory=list)
    """One for each unlabelled frame."""
    accuracies: list[float] = field(default_factory=list)
    segmented: dict[int, tuple[str, list[int]]] = field(default_factory=dict)
    """By its position in the step, each labelled frame's name and the positions of its objects that a prediction covers
    with mask IoU >= 0.5."""

    @property
    def total(self) -> float:
        """The value of Eq. 9."""
        return self.supervised + self.association + self.unsupervised

    @property
    def accuracy(self) -> float | None:
        """The share of known pairs that Eq. 3 finds, over the step's sequences that have any; None without any."""
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else None


def sum_outcomes(outcomes: Sequence[StepOutcome]) -> StepOutcome:
    """The outcome of a step from those of its parts."""
    whole = StepOutcome()
    for part in outcomes:
        whole.supervised += part.supervised
        whole.association += part.association
        whole.unsupervised += part.unsupervised
        for name, value in part.terms.items():
            whole.terms[name] = whole.terms.get(name, 0.0) + value
        whole.cascades += part.cascades
        whole.accuracies += part.accuracies
        whole.segmented |= part.segmented
    return whole


def outcome_from_record(record: dict[str, object]) -> StepOutcome:
    """The outcome that ``dataclasses.asdict`` and JSON turned into a record."""
    outcome = StepOutcome(**record)  # type: ignore[arg-type]
    outcome.cascades = [CascadeCounts(**counts) for counts in outcome.cascades]  # type: ignore[arg-type]
    outcome.segmented = {int(position): (name, ids) for position, (name, ids) in outcome.segmented.items()}
    return outcome


@dataclass
class LossValues:
    """Loss values that are still on the device; reading each of them at once would stall it each time."""

    names: list[str] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def add(self, loss: TotalLoss, *, labelled: bool) -> None:
        """Notes the summands of Eq. 9, and the terms of L_s or L_u."""
        self._note("supervised" if labelled else "unsupervised", loss.segmentation.total)
        self._note("association", loss.association)
        for name in TERMS:
            self._note(name, getattr(loss.segmentation, name))

    def add_to(self, outcome: StepOutcome) -> None:
        """Adds all values to the outcome, with one transfer."""
        if not self.values:
            return
        for name, value in zip(self.names, torch.stack(self.values).tolist(), strict=True):
            if name in TERMS:
                outcome.terms[name] = outcome.terms.get(name, 0.0) + value
            else:
                setattr(outcome, name, getattr(outcome, name) + value)

    def _note(self, name: str, value: Tensor) -> None:
        self.names.append(name)
        self.values.append(value.detach())


def losses_event(outcome: StepOutcome, step: int, *, skipped: int = 0) -> Losses:
    """The step's weighted losses; ``step`` counts finished steps, ``skipped`` those that changed no weight."""
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
    """The cascade on the step's unlabelled frames, at least one; counts are averages over the frames."""
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
