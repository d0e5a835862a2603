"""Training in a process of its own, so that a window stays alive and the device's memory comes back.

The child (``worker.py``) writes events to its standard output and reads commands from its standard input, both one
JSON object a line. When the parent vanishes the child sees the end of its input, saves and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO

from rise_engine.config import RiseConfig
from rise_engine.project.splits import TrainingSplit
from rise_engine.training.events import TERMINAL, Event, Failed, event_from_record


class TrainingProcess:
    """A training that runs beside this process. ``threads`` bounds the cores it takes."""

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
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._arrived: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._ended = False
        self._step = 0

    def start(self) -> None:
        """Starts the child and the thread that reads its events."""
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives on
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rise_engine.training.child_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self._send(self._job)
        self._reader = threading.Thread(target=self._read, name="rise-training-events", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process is not None and self._process.poll() is None

    def events(self) -> list[Event]:
        """Everything that arrived since the last call, without waiting.

        A child that died without a last word is told as ``Failed``.
        """
        dead = self._process is not None and not self.alive
        if dead and self._reader is not None:
            self._reader.join(timeout=1.0)
        arrived: list[Event] = []
        with contextlib.suppress(queue.Empty):
            while True:
                arrived.append(self._arrived.get_nowait())
        for event in arrived:
            self._step = event.step
            self._ended = self._ended or isinstance(event, TERMINAL)
        if dead and not self._ended:
            self._ended = True
            arrived.append(self._crash())
        if dead:
            self._release()
        return arrived

    def watch(self, frame: str | None) -> None:
        """Asks for live predictions on this frame; None asks for none."""
        self._send({"command": "watch", "frame": frame})

    def pause(self) -> None:
        """Holds the training after the step in hand."""
        self._send({"command": "pause"})

    def resume(self) -> None:
        """Goes on after a pause."""
        self._send({"command": "resume"})

    def stop(self) -> None:
        """Asks the training to save and end after the step in hand."""
        self._send({"command": "stop"})

    def kill(self) -> None:
        """Ends the child at once; what it saved last stays."""
        if self._process is not None and self.alive:
            self._process.kill()
            self._process.wait(timeout=10)
            if self._reader is not None:
                self._reader.join(timeout=1.0)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the child's end; False when it still runs after ``timeout`` seconds."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _send(self, message: dict[str, object]) -> None:
        if self._process is not None and self._process.stdin is not None and self.alive:
            # It may end between the question and the writing.
            with contextlib.suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(json.dumps(message) + "\n")
                self._process.stdin.flush()

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        for line in self._process.stdout:
            # A library that prints to standard output must not break the stream of events.
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                self._arrived.put(event_from_record(json.loads(line)))

    def _release(self) -> None:
        """Closes what the child left behind."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout, self._errors):
                if pipe is not None and not pipe.closed:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    def _crash(self) -> Failed:
        said = ""
        if self._errors is not None and not self._errors.closed:
            self._errors.seek(0)
            said = self._errors.read()[-2000:].strip()
        last = said.splitlines()[-1] if said else "it left no message"
        if self._process is not None and self._process.returncode == -getattr(signal, "SIGKILL", 9):
            last = "it was killed, which is what the system does when the memory is full"
        return Failed(
            self._step,
            kind="crash",
            message=f"The training process ended unexpectedly after step {self._step}: {last}",
            hint="Nothing saved is lost: resume goes on from the last checkpoint.",
        )
