"""Starts the training child process, sends commands to it and receives its events.

A process of its own keeps the window responsive and frees the memory of the device at its end. Its main program is
``child_worker.py``. When the parent dies, the child reaches the end of its input, saves and stops.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import asdict
from pathlib import Path

from rise_engine.config import RiseConfig
from rise_engine.json_lines.parent import ChildProcess
from rise_engine.project.splits import TrainingSplit
from rise_engine.training.events import TERMINAL, Event, Failed, event_from_record


class TrainingProcess:
    """A training in a child process. ``threads`` limits the CPU cores it uses."""

    def __init__(
        self,
        project: Path,
        config: RiseConfig,
        split: TrainingSplit | None = None,
        *,
        minutes: float | None = None,
        resume: bool = False,
        threads: int | None = None,
    ) -> None:
        self._job: dict[str, object] = {
            "project": str(project),
            "config": config.model_dump(mode="json"),
            "split": asdict(split) if split is not None else None,
            "minutes": minutes,
            "resume": resume,
            "threads": threads if threads is not None else max(1, (os.cpu_count() or 2) - 1),
        }
        self._child: ChildProcess | None = None
        self._ended = False
        self._step = 0

    def start(self) -> None:
        """Starts the child."""
        self._child = ChildProcess("rise_engine.training.child_worker")
        self._child.send(self._job)

    @property
    def pid(self) -> int | None:
        """The number of the child process; None before ``start``."""
        return self._child.pid if self._child is not None else None

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._child is not None and self._child.alive

    def events(self) -> list[Event]:
        """All events since the last call, without waiting for more.

        A child that died without a final event is reported as ``Failed``.
        """
        if self._child is None:
            return []
        # Checked before reading, so that the last messages of a child that ends meanwhile are not missed.
        dead = not self._child.alive
        if dead:
            self._child.wait_for_last_messages()
        events: list[Event] = []
        for message in self._child.received():
            with contextlib.suppress(KeyError, TypeError):
                events.append(event_from_record(message))
        for event in events:
            self._step = event.step
            self._ended = self._ended or isinstance(event, TERMINAL)
        if dead and not self._ended:
            self._ended = True
            events.append(self._crash(self._child))
        if dead:
            self._child.close()
        return events

    def watch(self, frame: str | None) -> None:
        """Requests live predictions on this frame; None requests none."""
        self._send({"command": "watch", "frame": frame})

    def pause(self) -> None:
        """Pauses the training after the current step."""
        self._send({"command": "pause"})

    def resume(self) -> None:
        """Continues a paused training."""
        self._send({"command": "resume"})

    def stop(self) -> None:
        """Asks the training to save and end after the current step."""
        self._send({"command": "stop"})

    def kill(self) -> None:
        """Ends the child immediately; its last checkpoint remains."""
        if self._child is not None:
            self._child.kill()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end of the child; False when it still runs after ``timeout`` seconds."""
        return self._child is None or self._child.wait(timeout)

    def _send(self, message: dict[str, object]) -> None:
        if self._child is not None:
            self._child.send(message)

    def _crash(self, child: ChildProcess) -> Failed:
        reason = child.last_error_line() or "it left no message"
        if child.exit_code == -getattr(signal, "SIGKILL", 9):
            reason = "it was killed, which is what the operating system does when the memory is full"
        return Failed(
            self._step,
            kind="crash",
            message=f"The training process ended unexpectedly after step {self._step}: {reason}",
            hint="Nothing that was saved is lost: resume continues from the last checkpoint.",
        )
