from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.project.interrupted import interrupted_run, run_settings
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState

MakeProject = Callable[[int], Project]


def test_only_an_unfinished_run_with_a_checkpoint_can_go_on(make_project: MakeProject) -> None:
    project = make_project(3)
    assert interrupted_run(project) is None
    run = project.runs.start(preset="laptop", recipe="recommended", steps=50, base="none")
    assert interrupted_run(project) is None, "nothing was saved yet"
    (run.folder / "training_state/state.safetensors").parent.mkdir()
    (run.folder / "training_state/state.safetensors").write_bytes(b"")
    log = run.folder / "metrics.jsonl"
    log.write_text("")
    assert interrupted_run(project) is None, "it is being written right now"
    os.utime(log, (0, 0))
    found = interrupted_run(project)
    assert found is not None
    assert found.number == run.number
    shipped = project.runs.start(preset="laptop", recipe="recommended", steps=0, base="starter")
    project.runs.finish(shipped.number, steps=0)
    found = interrupted_run(project)
    assert found is not None and found.number == run.number, "predicting with the starter weights is no training"
    project.runs.finish(run.number, steps=50)
    assert interrupted_run(project) is None


def test_a_run_goes_on_with_its_own_settings_and_frames(make_project: MakeProject) -> None:
    project = make_project(4)
    for frame in (1, 2, 3):
        project.frames.set_state(frame, FrameState.LABELLED)
    run = project.runs.start(preset="laptop", recipe="recommended", steps=50, base="none")
    with pytest.raises(RiseError, match="start a new run"):
        run_settings(project, run)
    config = RiseConfig.preset("laptop").with_settings(["schedule.seed=7"])
    record = {"config": config.model_dump(mode="json"), "labelled": ["tote0.png"], "holdout": ["tote2.png"]}
    (run.folder / "config.json").write_text(json.dumps(record))
    known, split = run_settings(project, run)
    assert known == config
    assert (split.labelled, split.holdout) == ([1], [3])
    assert split.unlabelled == [2, 4]
