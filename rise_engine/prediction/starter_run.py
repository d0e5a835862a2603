"""The starter weights as a project's first run, so that there is something to predict with before any training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rise_engine.atomic import write_text
from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import RunRecord
from rise_engine.resources import starter_path


def latest_model(project: Project, run: int | None = None) -> Path:
    """What ``load_model`` takes: a run's folder, by default the latest finished one's, or else the starter weights.

    Raises ``RiseError`` when there is no such run, or neither a run nor a starter.
    """
    if run is not None or _has_run(project):
        return project.runs.get(run).folder
    return _starter(project)


def latest_or_starter_run(project: Project) -> RunRecord:
    """The run in use; in a project without any, a new one of no steps that holds the starter weights.

    Predictions in a project belong to a run, so those of the starter weights need one too. Raises ``RiseError`` when
    there is neither.
    """
    if _has_run(project):
        return project.runs.get()
    weights = _starter(project)
    config = RiseConfig.preset("laptop")
    run = project.runs.start(preset="laptop", recipe=config.recipe_name, steps=0, base="starter")
    description = {"config": config.model_dump(mode="json"), "class_names": ["object"]}
    write_text(run.files.config, json.dumps(description, indent=1))
    shutil.copyfile(weights, run.files.weights)
    project.runs.finish(run.number, steps=0)
    return project.runs.get(run.number)


def _has_run(project: Project) -> bool:
    return any(run.finished is not None for run in project.runs.all())


def _starter(project: Project) -> Path:
    weights = starter_path()
    if weights is None:
        raise RiseError(f"{project.path} has no run, and this installation ships no starter weights: train first")
    return weights
