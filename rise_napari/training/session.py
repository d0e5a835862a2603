"""The training that the window runs: starts, pauses and stops it, and tracks its state from its events."""

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
STOP_TIMEOUT_SECONDS = 5.0


class RunState(StrEnum):
    """The state of a training. The values are shown in the window."""

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
    """The interface of ``rise_engine.training.child_process.TrainingProcess``, which tests replace."""

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
    """The parameters of a training; ``resume`` continues the latest run of the same preset."""

    project: Path
    config: RiseConfig
    split: TrainingSplit | None
    minutes: float | None = None
    resume: bool = False


TrainerFactory = Callable[[Job], RunningTrainer]


def spawn_training(job: Job) -> RunningTrainer:
    """A training in a child process."""
    from rise_engine.training.child_process import TrainingProcess

    return TrainingProcess(job.project, job.config, job.split, minutes=job.minutes, resume=job.resume)


def coalesce(events: Sequence[Event]) -> list[Event]:
    """The events, with only the last preview and the last progress report."""
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
    """One training at a time.

    A background thread of the window iterates over ``pump()`` and passes every batch of events to ``follow()`` on the
    main thread.
    """

    state_changed = Signal()
    events_received = Signal(object)
    """A batch of events: list[Event]."""
    events_arriving = Signal(object)
    """The same batch earlier, in the thread that runs ``pump()``, for work that would block the window."""

    def __init__(self, factory: TrainerFactory) -> None:
        self._factory = factory
        self._trainer: RunningTrainer | None = None
        self.job: Job | None = None
        """The parameters of the current or the last training."""
        self.began = 0.0
        """Its start on the monotonic clock, in seconds."""
        self.state = RunState.IDLE
        self.started: Started | None = None
        self.progress: Progress | None = None
        self.preview: Preview | None = None
        self.failure: Failed | None = None
        self.finished: Finished | None = None

    @property
    def running(self) -> bool:
        """Whether a training is active, also while it pauses or stops."""
        return self.state in RUNNING

    def start(self, job: Job, *, watch: str | None) -> None:
        """Starts a training; ``watch`` is the name of the frame for live predictions."""
        if self.running:
            return
        self._clear()
        self.job, self.began = job, time.monotonic()
        self._trainer = self._factory(job)
        self._set_state(RunState.STARTING)
        self._trainer.start()
        self.watch(watch)

    def watch(self, frame: str | None) -> None:
        """Requests live predictions on this frame."""
        if self._trainer is not None and self.running:
            self._trainer.watch(frame)

    def pause(self) -> None:
        """Pauses the training after the current step."""
        if self._trainer is not None and self.state is RunState.TRAINING:
            self._trainer.pause()
            self._set_state(RunState.PAUSING)

    def resume(self) -> None:
        """Continues a paused training."""
        if self._trainer is not None and self.state in HOLDING:
            self._trainer.resume()
            self._set_state(RunState.TRAINING)

    def stop(self) -> None:
        """Asks the training to save and end after the current step."""
        if self._trainer is not None and self.state in (RunState.STARTING, RunState.TRAINING, *HOLDING):
            self._trainer.stop()
            self._set_state(RunState.STOPPING)

    def close(self) -> None:
        """Ends the training without signals. It is killed if it takes too long to save and stop."""
        trainer, self._trainer = self._trainer, None
        if trainer is not None and trainer.alive:
            trainer.stop()
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            while trainer.alive and time.monotonic() < deadline:
                time.sleep(0.05)
            if trainer.alive:
                trainer.kill()
        self._clear()
        self.state = RunState.IDLE

    def _clear(self) -> None:
        """Clears the events of the previous training."""
        self.job = self.started = self.progress = self.preview = self.failure = self.finished = None

    def pump(self) -> Iterator[list[Event]]:
        """Yields batches of events until the process has ended and all its events are read.

        Without events it yields empty batches, so that the caller can stop the iteration.
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
        """Updates the state from a batch of events and emits it. Events of a closed training are ignored."""
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
        """Reports a failure when the process has ended without a final event."""
        if self.running:
            step = self.progress.step if self.progress is not None else 0
            self.follow([Failed(step, "crash", "The training ended without a message.", "Start it again.")])

    def _set_state(self, state: RunState) -> None:
        self.state = state
        self.state_changed.emit()
