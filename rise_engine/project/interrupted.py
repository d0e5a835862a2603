"""Interrupted trainings: find the latest one, with its settings and frames, to resume it."""

from __future__ import annotations

import json
import time

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import RunRecord
from rise_engine.project.splits import TrainingSplit, choose_split

ALIVE_SECONDS = 30.0
"""A run with a log that was written this recently is still training in another process."""


def run_settings(project: Project, run: RunRecord) -> tuple[RiseConfig, TrainingSplit]:
    """The settings and frames that a run was started with. Raises RiseError when they cannot be read."""
    path = run.files.config
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config = RiseConfig.model_validate(record["config"])
        names, holdout = list(record["labelled"]), list(record["holdout"])
    except (OSError, json.JSONDecodeError, KeyError, ValueError) as error:
        raise RiseError(f"The settings in {path} cannot be read; start a new run instead.") from error
    return config, choose_split(project, names=names, holdout_names=holdout, seed=config.schedule.seed)


def latest_training(project: Project, preset: str | None = None) -> RunRecord | None:
    """The run that was started last (of a preset), without the run of the starter weights, which only predicts."""
    runs = [run for run in project.runs.all() if not run.untrained and preset in (None, run.preset)]
    return runs[-1] if runs else None


def interrupted_run(project: Project) -> RunRecord | None:
    """The latest training, if it has a checkpoint, is not finished, and no process trains it now."""
    run = latest_training(project)
    if run is None or run.finished is not None or not run.files.checkpoint.is_file():
        return None
    log = run.files.metrics
    if log.is_file() and time.time() - log.stat().st_mtime < ALIVE_SECONDS:
        return None
    return run
