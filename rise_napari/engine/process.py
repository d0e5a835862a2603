"""Starts the engine process of the window, which computes predictions, suggestions, previews and exports.

Everything that needs torch runs in a child process. A library that torch loads (triton) and Mesa's software renderer
each bring an LLVM of their own, and both in one process end in a segmentation fault. A child process also frees the
memory of the GPU at its end. Its main program is ``worker.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from rise_engine.errors import RiseError
from rise_engine.json_lines.parent import ChildProcess


class EngineProcess:
    """Runs the jobs of ``worker.py`` one after another, in a child that the first job starts and later jobs reuse."""

    def __init__(self) -> None:
        self._child: ChildProcess | None = None
        self._turn = threading.Lock()

    def run(self, job: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yields the answers of a job: ``{"progress": n}`` any number of times, then ``{"result": ...}``.

        It blocks, so call it in a thread. Raises RiseError when the job fails or the child dies.
        """
        with self._turn:
            child = self._running_child()
            child.send({"job": job, **arguments})
            finished = False
            try:
                while (answer := child.next_message()) is not None:
                    finished = "error" in answer or "result" in answer
                    if "error" in answer:
                        raise RiseError(answer["error"])
                    yield answer
                    if finished:
                        return
            finally:
                if not finished:
                    # The caller stopped early. Later answers of this job must not reach the next one.
                    child.kill()
            reason = child.last_error_line() or "It left no message."
            raise RiseError(f"The engine process ended unexpectedly. {reason} Try again.")

    def close(self) -> None:
        """Ends the child, whatever it does."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _running_child(self) -> ChildProcess:
        if self._child is not None and not self._child.alive:
            self._child.close()
            self._child = None
        if self._child is None:
            self._child = ChildProcess("rise_napari.engine.worker")
        return self._child
