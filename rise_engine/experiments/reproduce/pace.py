"""Pace of trainings: seconds per step, from finished jobs of the same kind or from a few timed steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rise_engine.experiments.reproduce.grid_records import ABOUT, GridRecords
from rise_engine.experiments.reproduce.job import Job
from rise_engine.project.project import Project
from rise_engine.project.splits import TrainingSplit
from rise_engine.training.trainer import Trainer

Kind = tuple[str, bool, bool, int, int]
"""The main causes of a step's duration: preset, whether it is supervised only, whether it has pseudo-sequences, and its
numbers of labelled and unlabelled frames."""
MIN_STEPS = 50
"""Shorter trainings are not used: building the network and the evaluation take longer than their steps."""


class Pace:
    """Seconds per step, by the kind of training."""

    def __init__(self, project: Project, records: GridRecords, split: Callable[[Job], TrainingSplit]) -> None:
        self._project = project
        self._records = records
        self._split = split
        self._timed: dict[Kind, float] = {}

    def seconds(self, job: Job) -> float:
        """Estimated duration of the whole job."""
        kind = _kind_of(job.config.model_dump())
        return job.config.schedule.steps * (self._finished(kind) or self._measured(kind, job))

    def _finished(self, kind: Kind) -> float | None:
        seconds, steps = 0.0, 0
        for record in self._records.all():
            config = record[ABOUT]["config"]
            if _kind_of(config) == kind and config["schedule"]["steps"] >= MIN_STEPS:
                seconds += record["seconds"]
                steps += config["schedule"]["steps"]
        return seconds / steps if steps else None

    def _measured(self, kind: Kind, job: Job) -> float:
        if kind not in self._timed:
            self._timed[kind] = Trainer(self._project, job.config, self._split(job), rival=False).seconds_a_step()
        return self._timed[kind]


def _kind_of(config: dict[str, Any]) -> Kind:
    alone, loader = config["schedule"]["supervised_only"], config["loader"]
    unlabelled = 0 if alone else loader["unlabelled_per_step"]
    return config["preset_name"], alone, config["sequence"]["enabled"], loader["labelled_per_step"], unlabelled
