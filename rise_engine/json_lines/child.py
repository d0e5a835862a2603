"""The child's side: receives messages from the parent and sends messages to it."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Message = dict[str, Any]


class ParentConnection:
    """The standard input and output of a child process. Create it once, before anything prints.

    What a library prints must not mix with messages. So messages get the standard output for themselves, and other
    output goes to the standard error.
    """

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(self, message: Message) -> bool:
        """Sends a message; False when the parent is gone."""
        try:
            self._output.write(json.dumps(message) + "\n")
            self._output.flush()
        except OSError:
            # The output stays broken. A new one keeps Python from reporting it at exit.
            self._output = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - used until the process ends
            return False
        return True

    def receive(self) -> Message | None:
        """Waits for the next message; None when the parent is gone, which ends the standard input."""
        line = sys.stdin.readline()
        message: Message | None = json.loads(line) if line else None
        return message

    def __iter__(self) -> Iterator[Message]:
        """All messages until the parent is gone."""
        while (message := self.receive()) is not None:
            yield message

    def receive_in_background(self) -> queue.SimpleQueue[Message | None]:
        """A queue that a thread fills with messages; its last entry is None, when the parent is gone."""
        received: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

        def read() -> None:
            for message in self:
                received.put(message)
            received.put(None)

        threading.Thread(target=read, name="messages of the parent", daemon=True).start()
        return received
