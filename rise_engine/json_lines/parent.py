"""The parent's side: starts a child process, exchanges messages with it, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

Message = dict[str, Any]
READER_SECONDS = 1.0
"""The time to read the last messages of a child that has ended."""
KILL_SECONDS = 10.0


class ChildProcess:
    """A Python module that runs as ``python -m MODULE`` and uses ``rise_engine.json_lines.child``.

    A thread reads the messages of the child, so a full pipe never blocks it. Messages can be sent and the child can be
    killed from any thread, also while another thread waits for a message.
    """

    def __init__(self, module: str) -> None:
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        )
        self._sending = threading.Lock()
        self._received: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._at_end = False
        self._reader = threading.Thread(target=self._read, name=f"{module} messages", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, the negative number of the signal that killed the child, or None while it runs."""
        return self._process.poll()

    def send(self, message: Message) -> bool:
        """Sends a message; False when the child has ended."""
        assert self._process.stdin is not None
        line = json.dumps(message) + "\n"
        with self._sending:
            if not self.alive:
                return False
            # It may end between the check and the write.
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (OSError, ValueError):
                return False
        return True

    def received(self) -> list[Message]:
        """All messages since the last call, without waiting for more."""
        messages = []
        with contextlib.suppress(queue.Empty):
            while not self._at_end:
                message = self._received.get_nowait()
                if message is None:
                    self._at_end = True
                else:
                    messages.append(message)
        return messages

    def next_message(self) -> Message | None:
        """Waits for the next message; None when the child has ended and every message was read."""
        if self._at_end:
            return None
        message = self._received.get()
        self._at_end = message is None
        return message

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the end of the child; False when it still runs after ``timeout`` seconds."""
        try:
            self._process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait_for_last_messages(self) -> None:
        """Gives the reading thread time to read what an ended child wrote last."""
        self._reader.join(timeout=READER_SECONDS)

    def kill(self) -> None:
        """Ends the child immediately, whatever it does, and waits until it is gone."""
        if self.alive:
            self._process.kill()
            self._process.wait(timeout=KILL_SECONDS)
            self.wait_for_last_messages()

    def last_error_line(self) -> str:
        """The last line that the child wrote to its standard error; empty without one."""
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Closes the pipes of a child that has ended."""
        self.wait_for_last_messages()
        pipes = [self._process.stdin, self._errors]
        # A process that the child started may still hold the output open; closing it would then wait for that process.
        if not self._reader.is_alive():
            pipes.append(self._process.stdout)
        for pipe in pipes:
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        # A pipe that is closed while it is read raises ValueError.
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                # A library may print to the child's output, which must not end the exchange.
                with contextlib.suppress(json.JSONDecodeError):
                    message = json.loads(line)
                    if isinstance(message, dict):
                        self._received.put(message)
        self._received.put(None)
