"""The model that predicts by default: the run in use, or the starter weights before any training."""

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


def default_model(project: Project, run: int | None = None) -> Path:
    """The argument for ``load_model``: the folder of the run (default: the run in use), or the starter weights.

    Raises RiseError when there is no such run, or neither a finished run nor starter weights.
    """
    if run is not None or _has_finished_run(project):
        return project.runs.get(run).folder
    return _starter_weights(project)


def default_run(project: Project) -> RunRecord:
    """The run in use; a project without a finished run gets a new run of 0 steps with the starter weights.

    Stored predictions belong to a run, so predictions of the starter weights need one too. Raises RiseError when
    there is neither a finished run nor starter weights.
    """
    if _has_finished_run(project):
        return project.runs.get()
    weights = _starter_weights(project)
    config = RiseConfig.preset("laptop")
    run = project.runs.start(preset="laptop", recipe=config.recipe_name, steps=0, base="starter")
    description = {"config": config.model_dump(mode="json"), "class_names": ["object"]}
    write_text(run.files.config, json.dumps(description, indent=1))
    shutil.copyfile(weights, run.files.weights)
    project.runs.finish(run.number, steps=0)
    return project.runs.get(run.number)


def _has_finished_run(project: Project) -> bool:
    return any(run.finished is not None for run in project.runs.all())


def _starter_weights(project: Project) -> Path:
    weights = starter_path()
    if weights is None:
        raise RiseError(f"{project.path} has no run, and this installation has no starter weights: train first.")
    return weights
