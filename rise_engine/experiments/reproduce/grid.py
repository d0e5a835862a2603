"""A grid of trainings that can be interrupted at any moment and goes on where it was."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rise_engine.atomic import write_text
from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.evaluation import OBJECT, coco_results, evaluate, truth_of
from rise_engine.experiments.reproduce.cell import Cell
from rise_engine.inference import load_model, predict_frames
from rise_engine.learning.events import Finished
from rise_engine.learning.trainer import Trainer
from rise_engine.learning.training_state import FILE_NAME as STATE_FILE
from rise_engine.project.copy import copy_project
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState
from rise_engine.project.splits import TrainingSplit, choose_split

CELLS_FILE = "cells.jsonl"
PROJECT_FOLDER = "grid.rise"

Follow = Callable[[Trainer, Callable[[float], str]], Finished]
"""Runs a training to its end; the second argument makes a few words of the seconds that the training has left."""
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Job:
    """One training: a cell, a number of labelled frames and a seed."""

    cell: Cell
    labelled: int
    config: RiseConfig

    @property
    def key(self) -> dict[str, Any]:
        """All that the result depends on besides the annotations; the device is no part of it."""
        return {"labelled": self.labelled, "config": self.config.model_dump(mode="json", exclude={"device"})}

    @property
    def seed(self) -> int:
        return self.config.schedule.seed

    def __str__(self) -> str:
        frames = "1 labelled frame" if self.labelled == 1 else f"{self.labelled:,} labelled frames"
        return f"{self.cell.method}, {frames}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished training reached on the hold-out, in percent, and where it lies."""

    scores: dict[str, float]
    frames: int
    seconds: float
    folder: Path


class InterruptedGridError(Exception):
    """Somebody stopped the training in hand; it was saved."""


class Grid:
    """Trains jobs one after the other on a copy of the project in ``folder``, and remembers what is done.

    The copy keeps the annotations as they were when the grid began, so that all of its trainings have the same.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        """Raises RiseError when the project has no hold-out to measure on."""
        self.folder = folder
        path = folder / PROJECT_FOLDER
        self.project = (
            Project.open(path) if path.is_dir() and any(path.glob("*.sqlite")) else copy_project(project, path)
        )
        self.holdout = choose_split(self.project).holdout
        if not self.holdout:
            self.project.close()
            raise RiseError(
                f"{project.path} has no hold-out to measure on: mark some labelled frames as hold-out, or make the "
                "project with --holdout-list"
            )
        states = (FrameState.LABELLED, FrameState.REVIEWED)
        held_out = set(self.holdout)
        self.available = sum(frame.state in states and frame.id not in held_out for frame in self.project.frames())
        self._records = self._read()

    def jobs(self, cells: Sequence[Cell], config: RiseConfig, seeds: int) -> list[Job]:
        """What the cells ask for, seeds innermost; shares that come to the same number of frames are asked for once.

        Raises RiseError for a count that the project does not have, and for a setting that does not fit.
        """
        jobs: list[Job] = []
        known: set[str] = set()
        for cell in cells:
            labelled = cell.amount.frames(self.available)
            if labelled > self.available:
                raise RiseError(
                    f"{labelled} labelled frames were asked for, but the project has {self.available} besides the "
                    "hold-out"
                )
            own = cell.settings + (cell.for_paper if config.recipe_name == "paper" else ())
            for seed in range(seeds):
                try:
                    settings = config.with_settings([*own, f"schedule.seed={seed}"])
                except ValueError as error:
                    raise RiseError(str(error)) from error
                job = Job(cell, labelled, settings)
                text = json.dumps([cell.method, job.key], sort_keys=True)
                if text not in known:
                    known.add(text)
                    jobs.append(job)
        return jobs

    def result(self, job: Job) -> Result | None:
        """What a finished job reached; None when it is not finished, or its run is gone."""
        for record in self._records:
            if record["key"] == job.key:
                return Result(
                    record["scores"], record["frames"], record["seconds"], self.project.path / "runs" / record["run"]
                )
        return None

    def run(self, jobs: Sequence[Job], *, follow: Follow, say: Say) -> None:
        """Trains what is not finished yet.

        Raises ``InterruptedGridError`` when a training was stopped before its end.
        """
        for place, job in enumerate(jobs, start=1):
            if self.result(job) is not None:
                continue
            later = [other for other in jobs[place:] if self.result(other) is None]
            say(f"[{place}/{len(jobs)}] {job}{self._in_words(self._seconds_of([job, *later]))}")

            def note(left: float, later: Sequence[Job] = tuple(later), job: Job = job) -> str:
                return self._in_words(self._seconds_of(later, like=job, lasting=left), before=left)

            self._train(job, follow, note)

    def split(self, job: Job) -> TrainingSplit:
        """The job's frames: the labelled ones of a seed lie within those of any larger number."""
        return choose_split(self.project, count=job.labelled, seed=job.seed)

    def _train(self, job: Job, follow: Follow, note: Callable[[float], str]) -> None:
        split = self.split(job)
        began = time.monotonic()
        trainer = Trainer(self.project, job.config, split, resume=self._half_finished(job, split))
        finished = follow(trainer, note)
        if finished.stopped:
            raise InterruptedGridError
        folder = Path(finished.folder)
        scores, frames = self._measure(folder, job)
        # The optimiser's state and a second set of weights are several times what the result needs.
        shutil.rmtree((folder / STATE_FILE).parent, ignore_errors=True)
        (folder / "best.safetensors").unlink(missing_ok=True)
        self._records.append(
            {
                "method": job.cell.method,
                "labelled": job.labelled,
                "seed": job.seed,
                "scores": scores,
                "frames": frames,
                "seconds": round(time.monotonic() - began, 1),
                "run": folder.name,
                "key": job.key,
            }
        )
        write_text(self.folder / CELLS_FILE, "".join(json.dumps(record) + "\n" for record in self._records))

    def _half_finished(self, job: Job, split: TrainingSplit) -> bool:
        """Whether the latest run is this job, begun and saved earlier; what was begun and never saved is deleted."""
        done = {record["run"] for record in self._records}
        runs = [run for run in self.project.runs() if run.folder.name not in done]
        if not runs or runs[-1].number != self.project.runs()[-1].number:
            return False
        latest = runs[-1]
        if not (latest.folder / STATE_FILE).is_file():
            self.project.delete_run(latest.number)
            return False
        try:
            record = json.loads((latest.folder / "config.json").read_text(encoding="utf-8"))
            config = RiseConfig.model_validate(record["config"])
            labelled = set(record["labelled"])
        except (OSError, ValueError, KeyError):
            return False
        config.model.num_classes = job.config.model.num_classes
        same = config.model_dump(mode="json", exclude={"device"}) == job.key["config"]
        return same and labelled == {self.project.frame(frame).name for frame in split.labelled}

    def _measure(self, folder: Path, job: Job) -> tuple[dict[str, float], int]:
        """Mask AP of the last step's weights, which no hold-out score has chosen."""
        loaded = load_model(folder / "weights.safetensors", device=job.config.device)
        agnostic = job.config.class_agnostic
        categories = [OBJECT["id"]] if agnostic else [category.id for category in self.project.categories()]
        results = []
        for frame, found in predict_frames(loaded, self.project, self.holdout):
            results += coco_results(frame, found, categories)
        scores = evaluate(truth_of(self.project, self.holdout), results, class_agnostic=agnostic)
        return {"AP": scores.mask.ap, "AP50": scores.mask.ap50, "AP75": scores.mask.ap75}, scores.frames

    def _read(self) -> list[dict[str, Any]]:
        path = self.folder / CELLS_FILE
        if not path.is_file():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except json.JSONDecodeError as error:
            raise RiseError(f"{path} cannot be read ({error}): choose another --out, or delete it") from error

    def _seconds_of(self, jobs: Sequence[Job], *, like: Job | None = None, lasting: float = 0.0) -> float | None:
        """How long the jobs may take, from finished ones of their kind; None when nothing is known.

        ``like`` is the training in hand, which has ``lasting`` seconds left: without finished ones nothing is known
        of its pace here, so the estimate then waits for the first cell.
        """
        total = 0.0
        for job in jobs:
            paces = [
                (record["key"]["config"]["schedule"]["supervised_only"], record["seconds"] / steps)
                for record in self._records
                if (steps := record["key"]["config"]["schedule"]["steps"])
                and record["key"]["config"]["preset_name"] == job.config.preset_name
            ]
            same = [pace for supervised, pace in paces if supervised == job.config.schedule.supervised_only]
            chosen = same or [pace for _, pace in paces]
            if not chosen:
                return None
            total += job.config.schedule.steps * sum(chosen) / len(chosen)
        return total

    def _in_words(self, seconds: float | None, *, before: float = 0.0) -> str:
        if seconds is None:
            return ""
        minutes = round((seconds + before) / 60)
        text = f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
        return f"; about {text} for the rest of the grid"
