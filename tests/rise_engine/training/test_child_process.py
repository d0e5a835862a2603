"""Training in a child process: events arrive, commands are obeyed, and a killed child is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rise_engine.config import RiseConfig
from rise_engine.project.project import Project
from rise_engine.project.records import Instance, PredictedInstance
from rise_engine.project.segmentation import from_mask
from rise_engine.training.child_process import TrainingProcess
from rise_engine.training.events import (
    Event,
    Failed,
    Finished,
    Losses,
    Paused,
    Preview,
    Progress,
    Started,
    event_from_record,
)
from tests.rise_engine.tiny import tiny_config

PATIENCE = 120.0
"""Seconds; a child has to import torch first, on a machine that may be busy."""


def short_config(steps: int) -> RiseConfig:
    return tiny_config("model.num_queries=8", f"schedule.steps={steps}", "schedule.unsupervised_after=1")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two frames, one with a labelled square."""
    folder = tmp_path / "totes"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(folder / name)
    mask = np.zeros((64, 96), bool)
    mask[10:40, 20:50] = True
    with Project.create(tmp_path / "totes.rise", folder) as made:
        made.scan()
        frame = made.frames.all()[0].id
        made.annotations.add(
            frame, [Instance(None, frame, made.annotations.add_category("object").id, from_mask(mask))]
        )
    return tmp_path / "totes.rise"


@pytest.fixture
def start(project: Path) -> Iterator[Callable[[int], TrainingProcess]]:
    started = []

    def begin(steps: int) -> TrainingProcess:
        process = TrainingProcess(project, short_config(steps), threads=1)
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.events()


def collect(process: TrainingProcess, until: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + PATIENCE
    while not until(events):
        assert time.monotonic() < deadline, events
        events += process.events()
        time.sleep(0.05)
    return events


def ended(events: list[Event]) -> bool:
    return bool(events) and isinstance(events[-1], Finished | Failed)


def test_a_child_trains_to_the_end_and_shows_the_watched_frame(start: Callable[[int], TrainingProcess]) -> None:
    process = start(4)
    process.watch("b.png")
    events = collect(process, ended)
    assert isinstance(events[0], Started)
    assert [event.step for event in events if isinstance(event, Losses)] == [1, 2, 3, 4]
    assert {event.frame for event in events if isinstance(event, Preview)} == {"b.png"}
    assert isinstance(events[-1], Finished)
    assert process.wait(10)
    assert process.events() == []


def test_pause_holds_and_stop_saves(start: Callable[[int], TrainingProcess], project: Path) -> None:
    process = start(10_000)
    collect(process, lambda events: any(isinstance(event, Progress) for event in events))
    process.pause()
    collect(process, lambda events: any(isinstance(event, Paused) for event in events))
    quiet_since = time.monotonic()
    deadline = quiet_since + PATIENCE
    while time.monotonic() < quiet_since + 3.0:
        assert time.monotonic() < deadline, "the training went on after the pause"
        if process.events():
            quiet_since = time.monotonic()
        time.sleep(0.05)
    assert process.alive
    process.resume()
    collect(process, lambda events: any(isinstance(event, Progress) for event in events))
    process.stop()
    finished = collect(process, ended)[-1]
    assert isinstance(finished, Finished)
    assert finished.stopped
    assert (Path(finished.folder) / "weights.safetensors").is_file()


def test_a_killed_child_is_told_once(start: Callable[[int], TrainingProcess]) -> None:
    process = start(10_000)
    collect(process, lambda events: any(isinstance(event, Progress) for event in events))
    process.kill()
    failed = collect(process, ended)[-1]
    assert isinstance(failed, Failed)
    assert failed.kind == "crash"
    assert "resume" in failed.hint
    assert process.events() == []


def test_a_job_that_cannot_start_is_a_sentence(project: Path) -> None:
    process = TrainingProcess(project, short_config(1).with_settings(["device=cuda:99"]))
    process.start()
    failed = collect(process, ended)[-1]
    assert isinstance(failed, Failed)
    assert failed.kind == "device"
    assert "cuda:99" in failed.message
    assert process.wait(10)
    process.events()


def test_events_survive_as_records() -> None:
    found = PredictedInstance({"size": [2, 2], "counts": "04"}, (0.0, 0.0, 2.0, 2.0), 0, 0.5)
    for event in (
        Preview(3, frame="a.png", predictions=[found]),
        Progress(1, steps=4, seconds_per_step=0.5, seconds_left=1.5),
        Failed(2, kind="memory", message="full", hint="less"),
    ):
        assert event_from_record(event.as_record()) == event
