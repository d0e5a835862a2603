"""Trainings with almost nothing to learn from: they end, they tell, and they stay finite."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.project.frames import Frames
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.training.data.frame_stream import FrameStream
from rise_engine.training.events import Event, Finished, Losses, Notice, Started, Thresholds
from rise_engine.training.trainer import Trainer
from tests.rise_engine.tiny import KEEP_UNTRAINED, tiny_config

SETTINGS = (
    *KEEP_UNTRAINED,
    "schedule.steps=3",
    "schedule.unsupervised_after=0",
    "pseudo_labels.ema=null",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config_with(*settings: str) -> RiseConfig:
    return tiny_config(*SETTINGS, *settings)


def project_of(folder: Path, *, labelled: int, count: int, files: int = 4, holdout: int = 0) -> Project:
    """``count`` frames that share ``files`` small pictures; the first are labelled, the last labelled and held out."""
    images = folder / "totes"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(min(files, count)):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(images / f"{index:05}.png")
    for index in range(files, count):
        os.link(images / f"{index % files:05}.png", images / f"{index:05}.png")
    project = Project.create(folder / "totes.rise", images)
    project.scan()
    category = project.annotations.add_category("object")
    mask = np.zeros((64, 96), dtype=bool)
    mask[10:34, 12:40] = True
    frames = project.frames.all()
    for frame in [*frames[:labelled], *(frames[-holdout:] if holdout else [])]:
        project.annotations.add(frame.id, [Instance(None, frame.id, category.id, from_mask(mask))])
        project.frames.set_state(frame.id, FrameState.LABELLED)
    if holdout:
        project.frames.set_split([frame.id for frame in frames[-holdout:]], Split.HOLDOUT)
    return project


def train(project: Project, *settings: str) -> list[Event]:
    events = list(Trainer(project, config_with(*settings)).run())
    assert isinstance(events[-1], Finished) and not events[-1].stopped
    return events


def totals(events: list[Event]) -> list[float]:
    return [event.total for event in events if isinstance(event, Losses)]


def test_one_labelled_frame_and_nothing_else_is_enough(tmp_path: Path) -> None:
    events = train(project_of(tmp_path, labelled=1, count=1))
    assert len(totals(events)) == 3 and all(map(math.isfinite, totals(events)))
    started = events[0]
    assert isinstance(started, Started)
    assert (started.labelled, started.unlabelled) == (1, 1), "the frame itself, without its labels"


def test_an_empty_bank_and_no_surviving_pseudo_label_teach_nothing_and_break_nothing(tmp_path: Path) -> None:
    project = project_of(tmp_path, labelled=1, count=4)
    instance = project.annotations.of_frame(project.frames.all()[0].id)[0]
    assert instance.id is not None
    project.annotations.set_bank_excluded(instance.id, True)
    events = train(project, "pseudo_labels.threshold_start=1.0", "pseudo_labels.threshold_peak=1.0")
    assert isinstance(events[0], Started) and events[0].bank_size == 0
    kept = [event for event in events if isinstance(event, Thresholds)]
    assert [event.after_matching for event in kept] == [0, 0, 0]
    assert all(event.quantile_cut is None and event.mean_kept is None for event in kept)
    assert all(sum(event.kept_histogram) == 0 for event in kept)
    assert [event.unsupervised for event in events if isinstance(event, Losses)] == [0, 0, 0]
    assert all(math.isfinite(total) and total > 0 for total in totals(events))


def test_frames_marked_as_empty_train_beside_others(tmp_path: Path) -> None:
    project = project_of(tmp_path, labelled=2, count=4)
    project.frames.set_state(project.frames.all()[2].id, FrameState.LABELLED)
    events = train(project, "schedule.steps=4")
    assert isinstance(events[0], Started) and events[0].labelled == 3
    assert all(map(math.isfinite, totals(events)))


def test_thousands_of_unlabelled_frames_cost_a_step_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_of(tmp_path, labelled=3, count=10_000)
    listed, read, shuffled = [], [], []
    frames, image, at = Frames.all, Project.unlabelled_frame, FrameStream.at

    def counting_frames(self: Frames, **options: object) -> object:
        listed.append(1)
        return frames(self, **options)  # type: ignore[arg-type]

    def counting_image(self: Project, frame: int, **options: object) -> object:
        read.append(frame)
        return image(self, frame, **options)  # type: ignore[arg-type]

    def counting_at(self: FrameStream, position: int) -> int:
        shuffled.append(position)
        return at(self, position)

    trainer = Trainer(project, config_with("schedule.steps=6"))
    monkeypatch.setattr(Frames, "all", counting_frames)
    monkeypatch.setattr(Project, "unlabelled_frame", counting_image)
    monkeypatch.setattr(FrameStream, "at", counting_at)
    before: list[int] = []
    for event in trainer.run():
        if isinstance(event, Losses) and not before:
            before = [len(listed)]
        if isinstance(event, Losses):
            assert len(listed) == before[0], "no step lists the frames"
    assert isinstance(event, Finished)
    assert len(read) == 6 and len(set(read)) == 6, "one unlabelled frame a step, none twice before all were seen"
    assert len(shuffled) <= 3 + 2 * 6


def test_a_step_that_is_not_finite_is_skipped_counted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_of(tmp_path, labelled=1, count=3)
    trainer = Trainer(project, config_with("schedule.steps=4"))
    gradients = trainer.learner.gradients

    def broken(step: int, *scenes: object) -> object:
        outcome = gradients(step, *scenes)  # type: ignore[arg-type]
        if step in (1, 2):
            next(p for p in trainer.learner.model.parameters() if p.grad is not None).grad.fill_(torch.nan)  # type: ignore[union-attr]
        return outcome

    monkeypatch.setattr(trainer.learner, "gradients", broken)
    weights: list[list[torch.Tensor]] = []
    events = []
    for event in trainer.run():
        events.append(event)
        if isinstance(event, Losses):
            weights.append([tensor.detach().clone() for tensor in trainer.learner.model.parameters()])
    assert [event.skipped for event in events if isinstance(event, Losses)] == [0, 1, 2, 2]
    said = [event.message for event in events if isinstance(event, Notice)]
    assert len(said) == 2 and "Step 3" in said[1] and "2 so far" in said[1]
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.skipped == 2
    same = [all(map(torch.equal, *pair)) for pair in pairwise(weights)]
    assert same == [True, True, False], "the broken steps change no weight, the next one does"
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights[-1])


def test_the_same_seed_is_the_same_curve_and_another_one_is_not(tmp_path: Path) -> None:
    project = project_of(tmp_path, labelled=2, count=6)
    first, second = (totals(train(project, "schedule.seed=7")) for _ in range(2))
    assert first == second
    assert totals(train(project, "schedule.seed=8")) != first


def test_a_later_round_goes_on_from_the_last_weights_with_a_short_schedule(tmp_path: Path) -> None:
    project = project_of(tmp_path, labelled=2, count=4)
    first = train(project, "schedule.steps=4")[-1]
    assert isinstance(first, Finished)
    trainer = Trainer(project, config_with("weights=last", "schedule.steps=2"))
    from safetensors.torch import load_file

    saved = load_file(Path(first.folder) / "weights.safetensors")
    begins = trainer.learner.model.state_dict()
    assert all(torch.equal(begins[name], tensor) for name, tensor in saved.items())
    events = list(trainer.run())
    assert isinstance(events[-1], Finished) and (events[-1].step, events[-1].run) == (2, first.run + 1)
    assert all(map(math.isfinite, totals(events)))


@pytest.mark.parametrize("pool", ["rest", "all"])
def test_hold_out_frames_are_neither_in_the_bank_nor_in_the_unlabelled_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    project = project_of(tmp_path, labelled=2, count=8, holdout=2)
    held_out = {frame.id for frame in project.frames.all(split=Split.HOLDOUT)}
    names = {frame.name for frame in project.frames.all(split=Split.HOLDOUT)}
    taught: set[int] = set()
    for method in ("unlabelled_frame", "labelled_frame"):
        original = getattr(Project, method)

        def reading(self: Project, frame: int, original: object = original, **options: object) -> object:
            taught.add(frame)
            return original(self, frame, **options)  # type: ignore[operator]

        monkeypatch.setattr(Project, method, reading)
    trainer = Trainer(
        project, config_with("schedule.steps=12", "schedule.holdout_every=100", f"loader.unlabelled_pool={pool}")
    )
    everyone = {frame.id for frame in project.frames.all()}
    expected = everyone - held_out if pool == "all" else everyone - held_out - set(trainer.split.labelled)
    assert set(trainer.split.unlabelled) == expected
    list(trainer.run())
    assert taught == everyone - held_out, "every other frame was read, these never for learning"
    assert {cut_out.frame for cut_out in trainer.source.bank}.isdisjoint(names)
