"""Trainings that tell categories apart, while categories come, go unused or stay unknown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.prediction.load import load_model
from rise_engine.prediction.store import predict_into_store
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.project.splits import TrainingSplit
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.data import source
from rise_engine.training.data.classes import class_indices, class_names
from rise_engine.training.events import Event, Finished, HoldoutScore, Losses, PseudoLabelScore
from rise_engine.training.trainer import Trainer
from tests.rise_engine.tiny import tiny_config

LABELLED = [1, 2]

SETTINGS = (
    "class_agnostic=false",
    "schedule.steps=4",
    "schedule.holdout_every=2",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two labelled frames, whose objects are boxes and bags in turn, an unlabelled one, and a hold-out."""
    frames = write_sample_folder(tmp_path / "totes", count=4, seed=3, size=(96, 128))
    project = Project.create(tmp_path / "totes.rise", tmp_path / "totes")
    project.scan()
    kinds = [project.annotations.add_category(name).id for name in ("box", "bag")]
    for record, frame in zip(project.frames.all(), frames, strict=True):
        if record.id == 3:
            continue
        masks = enumerate(frame.masks)
        project.annotations.add(
            record.id, [Instance(None, record.id, kinds[index % 2], from_mask(mask)) for index, mask in masks]
        )
        project.frames.set_state(record.id, FrameState.LABELLED)
    project.frames.set_split([4], Split.HOLDOUT)
    return project


def config(*settings: str) -> RiseConfig:
    return tiny_config(*SETTINGS, *settings)


def train(trainer: Trainer, after_first_step: Callable[[], object]) -> list[Event]:
    events = []
    for event in trainer.run():
        events.append(event)
        if isinstance(event, Losses) and event.step == 1:
            after_first_step()
    return events


def call_all_cups(project: Project, frame: int) -> None:
    cup = project.annotations.add_category("cup").id
    for instance in project.annotations.of_frame(frame):
        assert instance.id is not None
        project.annotations.update(instance.id, category=cup)


def test_classes_are_what_something_is_annotated_with(project: Project) -> None:
    project.annotations.add_category("never drawn")
    assert class_names(project, LABELLED, class_agnostic=False) == ["box", "bag"]
    assert class_indices(project, ["bag", "box"], class_agnostic=False) == {1: 1, 2: 0}
    assert class_names(project, LABELLED, class_agnostic=True) == ["object"]
    assert class_indices(project, ["object"], class_agnostic=True) == {1: 0, 2: 0, 3: 0}


def test_what_only_an_unlabelled_frame_shows_is_no_class(project: Project) -> None:
    """Its annotations count as unknown, and decide nothing about the network."""
    call_all_cups(project, 2)
    split = TrainingSplit(labelled=[1], unlabelled=[2, 3], holdout=[4])
    assert Trainer(project, config(), split).class_names == ["box"], "the one object of frame 1"
    assert Trainer(project, config()).class_names == ["box", "cup"]


def test_without_a_category_there_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    write_sample_folder(tmp_path / "totes", count=1, seed=3, size=(96, 128))
    project = Project.create(tmp_path / "totes.rise", tmp_path / "totes")
    project.scan()
    project.frames.set_state(1, FrameState.LABELLED)
    with pytest.raises(RiseError, match="train class-agnostic"):
        Trainer(project, config())


def test_predictions_of_objects_at_large_are_no_class_of_the_next_training(project: Project) -> None:
    """A class-agnostic run stores its predictions as "object" where the project has several categories."""
    events = list(Trainer(project, config("class_agnostic=true", "schedule.steps=1")).run())
    assert isinstance(events[-1], Finished)
    found = list(predict_into_store(load_model(events[-1].folder), project, events[-1].run, [3], min_score=0.0))
    assert found[0]
    assert [category.name for category in project.annotations.categories()] == ["box", "bag", "object"]
    assert Trainer(project, config()).class_names == ["box", "bag"]


@pytest.mark.parametrize("frame", [1, 4])
def test_a_category_that_comes_while_a_training_runs_ends_it_not(
    project: Project, frame: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a labelled frame, read again, or in the hold-out: neither the bank nor the exam has a class for it."""
    monkeypatch.setattr(source, "KEPT_IN_MEMORY", 1)
    events = train(Trainer(project, config()), lambda: call_all_cups(project, frame))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.step == 4
    record = json.loads((Path(finished.folder) / "config.json").read_text())
    assert record["class_names"] == ["box", "bag"]
    if frame == 4:
        scores = [event for event in events if isinstance(event, HoldoutScore)]
        assert [score.ap for score in scores] == [0.0, 0.0]
        assert any(isinstance(event, PseudoLabelScore) for event in events)


def test_a_resumed_training_keeps_its_classes(project: Project) -> None:
    interrupted = Trainer(project, config())
    train(interrupted, interrupted.stop)
    call_all_cups(project, 2)
    assert class_names(project, LABELLED, class_agnostic=False) == ["box", "cup"]
    resumed = Trainer(project, config(), resume=True)
    assert resumed.class_names == ["box", "bag"]
    events = list(resumed.run())
    assert isinstance(events[-1], Finished)
    assert events[-1].step == 4
