"""Job of a grid: one training, its identity and its result; selection of jobs by words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rise_engine.config import PseudoLabelConfig, RiseConfig
from rise_engine.errors import RiseError
from rise_engine.experiments.reproduce.cell import Cell
from rise_engine.project.wording import number_of


@dataclass(frozen=True, slots=True)
class Job:
    """A cell with its number of labelled frames, which of them (``subset``), and the settings with the seed."""

    cell: Cell
    labelled: int
    subset: int
    config: RiseConfig

    @property
    def record(self) -> dict[str, Any]:
        """The inputs of the training, for the record."""
        return {
            "labelled": self.labelled,
            "subset": self.subset,
            "config": self.config.model_dump(mode="json", exclude={"device"}),
        }

    @property
    def identity(self) -> str:
        """Equal for trainings with the same outcome: see ``identity_of``."""
        return identity_of(self.record)

    @property
    def seed(self) -> int:
        return self.config.schedule.seed

    def __str__(self) -> str:
        return (
            f"{self.cell.method}, {number_of(self.labelled, 'labelled frame')}, subset {self.subset}, seed {self.seed}"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """Scores of a finished training on the hold-out, in percent, and its run folder."""

    scores: dict[str, float]
    frames: int
    seconds: float
    folder: Path


def identity_of(record: dict[str, Any]) -> str:
    """All inputs of a training's result except the annotations, as text; "" for settings unknown to this version.

    Settings added after the record was written have their defaults. Settings that affect only speed or display are
    ignored. For a supervised training, settings of unlabelled frames and of the strong view are ignored too, so that
    tables share it; its averaged teacher counts, because it is evaluated.
    """
    try:
        config = RiseConfig.model_validate(record["config"])
    except ValidationError:
        return ""
    default = RiseConfig()
    config.recipe_name, config.device = default.recipe_name, default.device
    config.loader.workers = default.loader.workers
    config.schedule.preview_every = default.schedule.preview_every
    config.schedule.checkpoint_seconds = default.schedule.checkpoint_seconds
    if config.schedule.supervised_only:
        config.pseudo_labels = PseudoLabelConfig(ema=config.pseudo_labels.ema)
        strong = {name: value for name, value in default.augment if name.startswith("strong_") or name == "reweaken"}
        config.augment = config.augment.model_copy(update=strong)
        config.loss.unsupervised = default.loss.unsupervised
        config.loss.equal_objects = default.loss.equal_objects
        config.loader.unlabelled_per_step = default.loader.unlabelled_per_step
        config.loader.unlabelled_pool = default.loader.unlabelled_pool
        config.schedule.unsupervised_after = default.schedule.unsupervised_after
        config.schedule.before_gradient = default.schedule.before_gradient
    subset = record.get("subset", config.schedule.seed)
    return json.dumps([record["labelled"], subset, config.model_dump(mode="json")], sort_keys=True)


def select_jobs(jobs: Sequence[Job], wanted: Sequence[str], shares: Mapping[str, int]) -> list[Job]:
    """The jobs for the words of `--only`: numbers of labelled frames, shares, ``subset=N``, parts of a method's name.

    Words of one kind are alternatives; a job must match every given kind. Without words, all jobs are selected. The
    full name of a method selects this method only: ``PS`` does not select ``PS + OT``. ``shares`` has the number of
    frames of each share of the table; equal numbers are one job. Raises RiseError for a word without a match.
    """
    fits: dict[str, list[set[int]]] = {}
    for word in wanted:
        kind, chosen = _matching(jobs, word.strip(), shares)
        if not chosen:
            raise RiseError(
                f"--only {word!r} matches no training of this grid: give a number of labelled frames, "
                "a share as it is printed, subset=N or a part of a method's name."
            )
        fits.setdefault(kind, []).append(chosen)
    return [job for place, job in enumerate(jobs) if all(any(place in one for one in kind) for kind in fits.values())]


def _matching(jobs: Sequence[Job], word: str, shares: Mapping[str, int]) -> tuple[str, set[int]]:
    if word in shares or word.isdecimal():
        count = shares[word] if word in shares else int(word)
        return "labelled", {place for place, job in enumerate(jobs) if job.labelled == count}
    name, _, number = word.partition("=")
    if name == "subset" and number.isdecimal():
        return "subset", {place for place, job in enumerate(jobs) if job.subset == int(number)}
    methods = [job.cell.method.lower() for job in jobs]
    whole = {place for place, method in enumerate(methods) if method == word.lower()}
    return "method", whole or {place for place, method in enumerate(methods) if word and word.lower() in method}
