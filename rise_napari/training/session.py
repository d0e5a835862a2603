"""One training at a time: its process, its honest state, and its events as they reach the window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from psygnal import Signal

from rise_engine.config import RiseConfig
from rise_engine.project.splits import TrainingSplit
from rise_engine.training.events import Event, Failed, Finished, Paused, Preview, Progress, Started

PUMP_SECONDS = 0.2
STOP_PATIENCE_SECONDS = 5.0


class RunState(StrEnum):
    """Where a training stands; the words are shown as they are."""

    IDLE = "Ready"
    STARTING = "Starting…"
    TRAINING = "Training"
    PAUSING = "Pausing…"
    PAUSED = "Paused"
    STOPPING = "Stopping…"
    FINISHED = "Finished"
    FAILED = "Failed"


HOLDING = (RunState.PAUSING, RunState.PAUSED)
RUNNING = (RunState.STARTING, RunState.TRAINING, *HOLDING, RunState.STOPPING)


class RunningTrainer(Protocol):
    """A training beside the window, as ``rise_engine.training.child_process.TrainingProcess`` offers it."""

    @property
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def events(self) -> list[Event]: ...
    def watch(self, frame: str | None) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """What a training is about; ``resume`` goes on with the latest run of the same preset."""

    project: Path
    config: RiseConfig
    split: TrainingSplit | None
    minutes: float | None = None
    resume: bool = False


TrainerFactory = Callable[[Job], RunningTrainer]


def spawn_training(job: Job) -> RunningTrainer:
    """A training in a process of its own."""
    from rise_engine.training.child_process import TrainingProcess

    return TrainingProcess(job.project, job.config, job.split, minutes=job.minutes, resume=job.resume)


def coalesce(events: Sequence[Event]) -> list[Event]:
    """The same events, with only the last of the previews and of the progress reports."""
    kept: list[Event] = []
    seen: set[type[Event]] = set()
    for event in reversed(events):
        kind = type(event)
        if kind in (Preview, Progress):
            if kind in seen:
                continue
            seen.add(kind)
        kept.append(event)
    return kept[::-1]


class TrainingSession:
    """Starts, holds and ends a training, and follows what it tells.

    ``pump()`` is a generator that drains the process; whoever runs it (a background thread of the window) hands every
    batch to ``follow()`` on the main thread.
    """

    state_changed = Signal()
    events_received = Signal(object)
    """A batch of events: list[Event]."""
    events_arriving = Signal(object)
    """The same batch a moment before, in the thread that runs ``pump()``: for work that would hold the window up."""

    def __init__(self, factory: TrainerFactory) -> None:
        self._factory = factory
        self._trainer: RunningTrainer | None = None
        self.job: Job | None = None
        """What the training in hand, or the last one, is about."""
        self.began = 0.0
        """When it was started, by the monotonic clock."""
        self.state = RunState.IDLE
        self.started: Started | None = None
        self.progress: Progress | None = None
        self.preview: Preview | None = None
        self.failure: Failed | None = None
        self.finished: Finished | None = None

    @property
    def running(self) -> bool:
        """Whether a training is under way, in whatever state."""
        return self.state in RUNNING

    def start(self, job: Job, *, watch: str | None) -> None:
        """Starts a training; ``watch`` names the frame to predict live."""
        if self.running:
            return
        self._forget()
        self.job, self.began = job, time.monotonic()
        self._trainer = self._factory(job)
        self._become(RunState.STARTING)
        self._trainer.start()
        self.watch(watch)

    def watch(self, frame: str | None) -> None:
        """Asks for live predictions on this frame."""
        if self._trainer is not None and self.running:
            self._trainer.watch(frame)

    def pause(self) -> None:
        """Holds the training after the step in hand."""
        if self._trainer is not None and self.state is RunState.TRAINING:
            self._trainer.pause()
            self._become(RunState.PAUSING)

    def resume(self) -> None:
        """Goes on after a pause."""
        if self._trainer is not None and self.state in HOLDING:
            self._trainer.resume()
            self._become(RunState.TRAINING)

    def stop(self) -> None:
        """Asks the training to save and end after the step in hand."""
        if self._trainer is not None and self.state in (RunState.STARTING, RunState.TRAINING, *HOLDING):
            self._trainer.stop()
            self._become(RunState.STOPPING)

    def close(self) -> None:
        """Ends the training for good and forgets it, without a word; it may save, and is killed when it takes long."""
        trainer, self._trainer = self._trainer, None
        if trainer is not None and trainer.alive:
            trainer.stop()
            patience = time.monotonic() + STOP_PATIENCE_SECONDS
            while trainer.alive and time.monotonic() < patience:
                time.sleep(0.05)
            if trainer.alive:
                trainer.kill()
        self._forget()
        self.state = RunState.IDLE

    def _forget(self) -> None:
        """What was told of the training before: another project, or another training, has nothing to do with it."""
        self.job = self.started = self.progress = self.preview = self.failure = self.finished = None

    def pump(self) -> Iterator[list[Event]]:
        """Batches of events until the process has ended and told everything; an empty batch where nothing came.

        It yields often even without news, so that whoever runs it can end it.
        """
        trainer = self._trainer
        if trainer is None:
            return
        while True:
            alive = trainer.alive
            events = coalesce(trainer.events())
            if events:
                self.events_arriving.emit(events)
            yield events
            if not alive:
                return
            time.sleep(PUMP_SECONDS)

    def follow(self, events: list[Event]) -> None:
        """Takes a batch of events in, and tells it; the last words of a training that was closed are not heard."""
        if self._trainer is None:
            return
        before = self.state
        for event in events:
            match event:
                case Started():
                    self.started = event
                case Progress():
                    self.progress = event
                case Preview():
                    self.preview = event
                case Paused() if self.state is RunState.PAUSING:
                    self.state = RunState.PAUSED
                case Failed():
                    self.failure = event
                    self.state = RunState.FAILED
                case Finished():
                    self.finished = event
                    self.state = RunState.FINISHED
                case _:
                    pass
            if self.state is RunState.STARTING and event.step > 0 and not isinstance(event, Failed | Finished):
                self.state = RunState.TRAINING
        if events:
            self.events_received.emit(events)
        if self.state is not before:
            self.state_changed.emit()

    def ended(self) -> None:
        """The process is gone: a training that did not say why has failed."""
        if self.running:
            step = self.progress.step if self.progress is not None else 0
            self.follow([Failed(step, "crash", "The training ended without a word.", "Start it again.")])

    def _become(self, state: RunState) -> None:
        self.state = state
        self.state_changed.emit()
