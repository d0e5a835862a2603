"""The training loop on small drawn projects: what it tells, what it leaves on disk, and what it never sees."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rise_engine.config import RiseConfig
from rise_engine.errors import DeviceError, RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import FrameState, Instance, Split
from rise_engine.project.segmentation import from_mask
from rise_engine.project.splits import TrainingSplit
from rise_engine.synthetic import write_sample_folder
from rise_engine.training.child_worker import explain
from rise_engine.training.events import (
    Checkpoint,
    Event,
    Failed,
    Finished,
    HoldoutScore,
    Losses,
    Notice,
    Preview,
    Progress,
    Started,
    Thresholds,
    ToBeat,
)
from rise_engine.training.trainer import Trainer
from tests.rise_engine.tiny import KEEP_UNTRAINED, tiny_config

SETTINGS = (
    *KEEP_UNTRAINED,
    "schedule.steps=4",
    "schedule.unsupervised_after=1",
    "schedule.holdout_every=2",
    "schedule.preview_every=2",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trainer_config(*settings: str) -> RiseConfig:
    return tiny_config(*SETTINGS, *settings)


def drawn_project(folder: Path, *, labelled: int = 2, count: int = 6, holdout: bool = True) -> Project:
    """A project of drawn totes: the first are labelled, the last one is the hold-out."""
    frames = write_sample_folder(folder / "totes", count=count, seed=3, size=(96, 128))
    project = Project.create(folder / "totes.rise", folder / "totes")
    project.scan()
    category = project.annotations.add_category("object")
    records = project.frames.all()
    chosen = list(range(labelled)) + ([count - 1] if holdout else [])
    for index in chosen:
        record = records[index]
        instances = [Instance(None, record.id, category.id, from_mask(mask)) for mask in frames[index].masks]
        project.annotations.add(record.id, instances)
        project.frames.set_state(record.id, FrameState.LABELLED)
    if holdout:
        project.frames.set_split([records[-1].id], Split.HOLDOUT)
    return project


def run_to_end(project: Project, config: RiseConfig, **options: object) -> list[Event]:
    return list(Trainer(project, config, **options).run())  # type: ignore[arg-type]


def last_weights(events: list[Event]) -> dict[str, torch.Tensor]:
    finished = events[-1]
    assert isinstance(finished, Finished)
    return load_file(Path(finished.folder) / "weights.safetensors")


def test_a_run_tells_everything_and_leaves_its_files(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    trainer = Trainer(project, trainer_config())
    trainer.watch(project.frames.all()[3].name)
    events = list(trainer.run())

    started = events[0]
    assert isinstance(started, Started)
    assert (started.labelled, started.unlabelled, started.holdout) == (2, 3, 1)
    assert started.bank_size > 0
    assert [event.step for event in events if isinstance(event, Progress)] == [1, 2, 3, 4]
    assert [event.step for event in events if isinstance(event, Losses)] == [1, 2, 3, 4]
    assert [event.step for event in events if isinstance(event, Thresholds)] == [2, 3, 4]
    scores = [event for event in events if isinstance(event, HoldoutScore)]
    assert [event.step for event in scores] == [2, 4]
    assert all(event.ap75 is not None and event.ap75 <= event.ap50 for event in scores)
    assert [event.step for event in events if isinstance(event, Preview)] == [1, 2, 4]
    assert isinstance(events[-2], Checkpoint)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert not finished.stopped

    folder = Path(finished.folder)
    for name in ("config.json", "metrics.jsonl", "weights.safetensors", "training_state/state.safetensors"):
        assert (folder / name).is_file(), name
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "Losses"] == [1, 2, 3, 4]
    description = json.loads((folder / "config.json").read_text())
    assert RiseConfig.model_validate(description["config"]).schedule.steps == 4
    assert description["labelled"] == [frame.name for frame in project.frames.all()[:2]]
    assert project.runs.get().number == finished.run


def test_losses_are_those_of_equation_9_with_their_weights(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    told = {}
    for lambda_3, lambda_4 in ((0.1, 1.0), (0.2, 0.5)):
        # One step: afterwards the weights of the network are others.
        config = trainer_config(
            f"loss.association={lambda_3}", f"loss.unsupervised={lambda_4}", "schedule.unsupervised_after=0",
            "schedule.steps=1",
        )  # fmt: skip
        (event,) = (event for event in run_to_end(project, config) if isinstance(event, Losses))
        terms = event.classification + event.l1 + event.giou + event.mask_focal + event.dice
        assert terms == pytest.approx(event.supervised + event.unsupervised)
        assert event.total == pytest.approx(terms + event.association)
        told[lambda_3, lambda_4] = event
    one, other = told.values()
    assert one.unsupervised > 0 and one.association > 0
    assert other.supervised == pytest.approx(one.supervised)
    assert other.association == pytest.approx(2 * one.association)
    assert other.unsupervised == pytest.approx(0.5 * one.unsupervised)


@pytest.mark.parametrize("more", [(), ("sequence.next_frame=folder", "pseudo_labels.after_view=true")])
def test_annotations_of_unlabelled_frames_change_no_weight(tmp_path: Path, more: tuple[str, ...]) -> None:
    """The true annotations of frames that the split leaves unlabelled, then scrambled ones: equal to the last bit."""
    project = drawn_project(tmp_path, labelled=4, holdout=False)
    ids = [frame.id for frame in project.frames.all()]
    split = TrainingSplit(labelled=ids[:2], unlabelled=ids[2:], holdout=[])
    config = trainer_config("schedule.steps=5", *more)
    first = Trainer(project, config, split)
    told = list(first.run())
    true = last_weights(told)

    for frame in ids[2:4]:
        instances = project.annotations.of_frame(frame)
        project.annotations.delete([instance.id for instance in instances if instance.id is not None])
        width, height = project.probe(frame)
        nonsense = np.zeros((height, width), bool)
        nonsense[5 : height // 2, 7 : width // 3] = True
        project.annotations.add(frame, [Instance(None, frame, instances[0].category, from_mask(nonsense))])
    second = Trainer(project, config, split)
    told_again = list(second.run())
    scrambled = last_weights(told_again)

    assert true.keys() == scrambled.keys()
    assert all(torch.equal(true[name], scrambled[name]) for name in true)
    # Predictions, what the cascade kept of them, and the bank follow the weights.
    kinds = (Losses, Thresholds)
    assert any(isinstance(event, Thresholds) and event.after_matching > 0 for event in told)
    assert [event for event in told if isinstance(event, kinds)] == [
        event for event in told_again if isinstance(event, kinds)
    ]
    assert first.source.bank_references() == second.source.bank_references() != []
    labelled = {project.frames.get(frame).name for frame in ids[:2]}
    assert {name for name, _ in second.source.bank_references()} <= labelled

    labels = project.annotations.of_frame(ids[0])
    project.annotations.delete([labels[0].id or 0])
    changed = last_weights(run_to_end(project, config, split=split))
    assert any(not torch.equal(true[name], changed[name]) for name in true), "labelled frames must matter"


def test_the_hold_out_is_learnt_from_in_no_way(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    trainer = Trainer(project, trainer_config())
    held_out = project.frames.all()[-1]
    assert held_out.id not in [*trainer.split.labelled, *trainer.split.unlabelled]
    list(trainer.run())
    assert held_out.name not in [name for name, _ in trainer.source.bank_references()]


@pytest.mark.parametrize("more", [(), ("sequence.bank_capacity=2",)], ids=["whole bank", "moving bank"])
def test_a_resumed_run_continues_the_same_curve(tmp_path: Path, more: tuple[str, ...]) -> None:
    project = drawn_project(tmp_path)
    config = trainer_config("schedule.steps=6", "pseudo_labels.ema=0.9", "model.dropout=0.1", *more)
    whole = run_to_end(project, config)

    interrupted = Trainer(project, config)
    for event in interrupted.run():
        if isinstance(event, Losses) and event.step == 3:
            interrupted.stop()
    resumed = run_to_end(project, config, resume=True)

    losses = {event.step: event.total for event in whole if isinstance(event, Losses)}
    again = {event.step: event.total for event in resumed if isinstance(event, Losses)}
    assert sorted(again) == [4, 5, 6]
    assert again == {step: losses[step] for step in again}
    expected, got = last_weights(whole), last_weights(resumed)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    lines = (Path(resumed[-1].folder) / "metrics.jsonl").read_text().splitlines()  # type: ignore[attr-defined]
    assert [json.loads(line)["step"] for line in lines if '"Losses"' in line] == [1, 2, 3, 4, 5, 6]


def test_a_resumed_run_does_not_need_the_weights_it_began_with(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    first = run_to_end(project, trainer_config())[-1]
    assert isinstance(first, Finished)
    moved = tmp_path / "start.safetensors"
    moved.write_bytes((Path(first.folder) / "weights.safetensors").read_bytes())
    config = trainer_config(f"weights={moved}")
    interrupted = Trainer(project, config)
    for event in interrupted.run():
        if isinstance(event, Losses):
            interrupted.stop()
    moved.unlink()
    resumed = run_to_end(project, config, resume=True)
    assert isinstance(resumed[-1], Finished)
    assert resumed[-1].step == 4


def test_a_run_goes_on_after_an_object_of_its_bank_was_deleted(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    config = trainer_config()
    interrupted = Trainer(project, config)
    for event in interrupted.run():
        if isinstance(event, Losses):
            interrupted.stop()
    references = interrupted.source.bank_references()
    # The first of its frame: the others' positions there are others then.
    project.annotations.delete([references[0][1]])
    resumed = Trainer(project, config, resume=True)
    events = list(resumed.run())
    assert isinstance(events[-1], Finished)
    assert [event.message for event in events if isinstance(event, Notice)] == [
        "The instance bank is smaller than it was, by 1: annotations were deleted since."
    ]
    assert resumed.source.bank_references() == references[1:]


def test_a_hold_out_that_somebody_emptied_ends_no_training(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    frame = project.frames.all()[-1].id
    project.annotations.delete([instance.id or 0 for instance in project.annotations.of_frame(frame)])
    project.frames.set_state(frame, FrameState.LABELLED)
    events = run_to_end(project, trainer_config())
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, HoldoutScore) for event in events)
    told = [event.message for event in events if isinstance(event, Notice)]
    assert len(told) == 2 and all("hold-out" in sentence and "draw their objects" in sentence for sentence in told)


def test_what_was_learnt_before_a_labelled_frame_broke_is_saved(tmp_path: Path) -> None:
    project = drawn_project(tmp_path, labelled=2, holdout=False)
    config = trainer_config("sequence.bank_capacity=1", "loader.workers=0", "schedule.steps=6")
    trainer = Trainer(project, config)
    order = [trainer.source.frames_of(step, "labelled")[0] for step in range(2)]
    late = project.frames.get(order[1])
    path = project.images / late.name
    whole = path.read_bytes()
    path.write_bytes(b"no picture")
    events = list(trainer.run())
    assert isinstance(events[-1], Failed) and late.name in events[-1].message
    assert isinstance(events[-2], Checkpoint) and "can be resumed" in events[-1].hint
    path.write_bytes(whole)
    resumed = run_to_end(project, config, resume=True)
    assert isinstance(resumed[0], Started) and resumed[0].step == 1
    assert isinstance(resumed[-1], Finished)


def test_what_was_learnt_before_a_hold_out_frame_broke_is_saved(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    held_out = project.frames.all()[-1]
    path = project.images / held_out.name
    whole = path.read_bytes()
    path.write_bytes(b"no picture")
    events = run_to_end(project, trainer_config())
    assert isinstance(events[-1], Failed) and held_out.name in events[-1].message
    assert isinstance(events[-2], Checkpoint) and events[-2].step == 2
    path.write_bytes(whole)
    resumed = run_to_end(project, trainer_config(), resume=True)
    assert isinstance(resumed[-1], Finished)
    assert [event.step for event in resumed if isinstance(event, Losses)] == [3, 4]


def test_looking_at_a_damaged_frame_ends_no_training(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    damaged = project.frames.all()[-1]
    (project.images / damaged.name).write_bytes(b"no picture")
    split = TrainingSplit([frame.id for frame in project.frames.all()[:2]], [project.frames.all()[2].id], [])
    trainer = Trainer(project, trainer_config(), split)
    trainer.watch(damaged.name)
    events = list(trainer.run())
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Preview) for event in events)
    assert [damaged.name in event.message for event in events if isinstance(event, Notice)] == [True]


def test_supervised_only_never_touches_an_unlabelled_frame(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    for frame in project.frames.all()[2:5]:
        (project.images / frame.name).unlink()
    events = run_to_end(project, trainer_config("schedule.supervised_only=true"))
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Thresholds) for event in events)


def test_stopping_saves_what_was_learnt(tmp_path: Path) -> None:
    trainer = Trainer(drawn_project(tmp_path), trainer_config("schedule.steps=50"))
    events = []
    for event in trainer.run():
        events.append(event)
        if isinstance(event, Progress):
            trainer.stop()
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.stopped
    assert finished.step == 1
    assert (Path(finished.folder) / "weights.safetensors").is_file()


def test_minutes_become_as_many_steps_as_fit_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = drawn_project(tmp_path)
    assert 0 < Trainer(project, trainer_config(), minutes=1).seconds_a_step() < 60
    monkeypatch.setattr(Trainer, "seconds_a_step", lambda self: 0.4)
    trainer = Trainer(project, trainer_config(), minutes=0.05)
    started = next(trainer.run())
    assert isinstance(started, Started)
    assert started.steps == trainer.config.schedule.steps == 7


def test_one_labelled_frame_without_objects_trains(tmp_path: Path) -> None:
    project = drawn_project(tmp_path, labelled=0, holdout=False)
    project.frames.set_state(project.frames.all()[0].id, FrameState.LABELLED)
    events = run_to_end(project, trainer_config())
    assert isinstance(events[0], Started)
    assert events[0].bank_size == 0
    assert isinstance(events[-1], Finished)
    assert all(np.isfinite(event.total) for event in events if isinstance(event, Losses))


def test_without_a_labelled_frame_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RiseError, match="no labelled frame"):
        Trainer(drawn_project(tmp_path, labelled=0, holdout=False), trainer_config())


def test_an_absent_gpu_is_told(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RiseError, match="cuda"):
        Trainer(drawn_project(tmp_path), trainer_config("device=cuda"))


def test_only_segmented_objects_enter_the_bank_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = drawn_project(tmp_path)
    config = trainer_config("sequence.bank_admit=segmented", "schedule.steps=1")
    monkeypatch.setattr("rise_engine.method.supervised.segmented_objects", lambda *_: [0])
    trainer = Trainer(project, config)
    started = next(run := trainer.run())
    assert isinstance(started, Started)
    assert started.bank_size == 0
    list(run)
    ((name, annotation),) = trainer.source.bank_references()
    assert annotation == project.annotations.of_frame(project.frames.get(name).id)[0].id


@pytest.mark.parametrize(("beaten", "takes"), [(-1.0, True), (101.0, False)])
def test_a_new_model_takes_over_only_when_it_is_not_worse_on_the_hold_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beaten: float, takes: bool
) -> None:
    project = drawn_project(tmp_path)
    first = run_to_end(project, trainer_config())[-1]
    assert isinstance(first, Finished)
    assert first.current
    assert first.verdict == ""
    measured = run_to_end(project, trainer_config())
    to_beat = next(event for event in measured if isinstance(event, ToBeat))
    assert to_beat.run == first.run
    best = max(event.ap for event in run_to_end(project, trainer_config()) if isinstance(event, HoldoutScore))
    assert to_beat.ap == pytest.approx(best), "the same training measures the same"
    before = project.runs.get().number
    monkeypatch.setattr(
        "rise_engine.training.trainer.score_to_beat", lambda *_, **__: ToBeat(0, run=before, ap=beaten, ap50=beaten)
    )
    last = run_to_end(project, trainer_config())[-1]
    assert isinstance(last, Finished)
    assert last.current is takes
    assert f"run {before}" in last.verdict
    assert project.runs.get().number == (last.run if takes else before)


def test_a_run_that_was_stopped_before_it_was_measured_does_not_take_over(tmp_path: Path) -> None:
    project = drawn_project(tmp_path)
    first = run_to_end(project, trainer_config())[-1]
    trainer = Trainer(project, trainer_config("schedule.holdout_every=100", "schedule.steps=200"))
    for event in trainer.run():
        if isinstance(event, Progress):
            trainer.stop()
    assert isinstance(event, Finished)
    assert not event.current
    assert project.runs.get().number == first.run  # type: ignore[attr-defined]


def test_what_ends_a_training_is_told_by_its_kind() -> None:
    assert explain(DeviceError("no cuda")).kind == "device"  # type: ignore[union-attr]
    assert explain(RuntimeError("CUDA out of memory. Tried to")).kind == "memory"  # type: ignore[union-attr]
    assert explain(OSError(errno.ENOSPC, "No space left on device")).kind == "disk"  # type: ignore[union-attr]
    assert explain(RuntimeError("shape mismatch")) is None
