"""The events of a training. Each is a plain value that can be sent to another process and stored as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rise_engine.project.records import PredictedInstance


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; ``step`` counts finished optimiser steps."""

    step: int

    def as_record(self) -> dict[str, Any]:
        """The event as a line for ``metrics.jsonl``: its fields and its kind."""
        return {"event": type(self).__name__, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Started(Event):
    run: int
    folder: str
    steps: int
    labelled: int
    unlabelled: int
    holdout: int
    device: str
    bank_size: int
    message: str = ""
    """The origin of the weights, in a sentence."""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    steps: int
    seconds_per_step: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Losses(Event):
    """Weighted loss terms of one step; zero where a term did not apply."""

    total: float
    supervised: float
    association: float
    unsupervised: float
    classification: float
    l1: float
    giou: float
    mask_focal: float
    dice: float
    learning_rate: float
    gradient_norm: float
    skipped: int = 0
    """Steps so far with non-finite gradients; they changed no weight."""


@dataclass(frozen=True, slots=True)
class Thresholds(Event):
    """The cascade at one step, averaged over the step's unlabelled frames."""

    gamma_cls: float
    quantile_level: float
    """p_t."""
    quantile_cut: float | None
    """The lowest score that passed the quantile; None when no score passed gamma_cls."""
    gamma_mask: float
    predictions: float
    after_gamma: float
    after_quantile: float
    after_matching: float
    """Survivors per frame: all -> gamma_cls -> quantile -> Multi-Label Matching."""
    lowest_kept: float | None
    mean_kept: float | None
    highest_kept: float | None
    bank_size: int
    association_accuracy: float | None
    """Share of known pairs whose best match by Eq. 3, among the objects that both views show, is the right one."""
    kept_histogram: tuple[int, ...] = ()
    """Pseudo-labels of the step by score, in equal bins from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Preview(Event):
    """Live predictions, and the ones among them that would become pseudo-labels now, on the watched frame."""

    frame: str
    predictions: list[PredictedInstance] = field(default_factory=list)
    pseudo_labels: list[PredictedInstance] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HoldoutScore(Event):
    """Mask AP in percent on the validation frames, or on the whole hold-out when it is too small to have any.

    ``best``: the weights are saved as the best ones so far, which needs validation frames. ``frames`` were measured.
    """

    ap: float
    ap50: float
    best: bool
    ap75: float | None = None
    frames: int = 0


@dataclass(frozen=True, slots=True)
class PseudoLabelScore(Event):
    """The quality of the pseudo-labels that the current cascade makes of the hold-out (paper, Fig. 4).

    A pseudo-label is correct when its mask has an IoU of at least 0.5 with an annotated object of its class.
    """

    frames: int
    kept: float
    """Pseudo-labels per frame."""
    precision: float | None
    """Share of the pseudo-labels that are correct; None without any."""
    recall: float | None
    """Share of the annotated objects that a correct pseudo-label shows."""
    gamma_cls: float
    ideal_threshold: float | None
    """The highest score of a wrong prediction in a frame, above which all are correct: mean over the frames ..."""
    ideal_threshold_spread: float | None
    """... and standard deviation."""
    best_threshold: float | None
    """The class threshold with the highest F1; None when no prediction is correct."""
    gamma_mask: float
    ideal_mask_threshold: float | None
    """The mask threshold with the highest IoU of an object's best prediction: mean over the objects found ..."""
    ideal_mask_threshold_spread: float | None
    """... and standard deviation."""


@dataclass(frozen=True, slots=True)
class ToBeat(Event):
    """Mask AP on the same hold-out, in percent, of the current run; the new one replaces it if it is not worse."""

    run: int
    ap: float
    ap50: float


@dataclass(frozen=True, slots=True)
class Checkpoint(Event):
    path: str


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """A message for the user; the training continues."""

    message: str


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """The training is paused as requested; no event follows until it is resumed."""


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The training ended early; ``hint`` is what to do."""

    kind: Literal["memory", "device", "weights", "disk", "data", "crash"]
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Finished(Event):
    run: int
    folder: str
    stopped: bool
    """True when the listener ended it before the last step."""
    skipped: int = 0
    """Steps with non-finite gradients."""
    current: bool = True
    """Whether this run became the project's current one."""
    verdict: str = ""
    """The reason, in a sentence, when there was another run to compare with."""


TERMINAL = (Finished, Failed)
"""The last event of a training is one of these."""

KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        Started,
        Progress,
        Losses,
        Thresholds,
        Preview,
        HoldoutScore,
        PseudoLabelScore,
        ToBeat,
        Checkpoint,
        Notice,
        Paused,
        Failed,
        Finished,
    )
}


def event_from_record(record: dict[str, Any]) -> Event:
    """The event that ``as_record`` described; ``KeyError`` or ``TypeError`` when it is none."""
    values = dict(record)
    kind = KINDS[values.pop("event")]
    for name in ("predictions", "pseudo_labels"):
        if kind is Preview and name in values:
            values[name] = [PredictedInstance(**item | {"box": tuple(item["box"])}) for item in values[name]]
    if kind is Thresholds:
        values["kept_histogram"] = tuple(values.get("kept_histogram", ()))
    return kind(**values)
