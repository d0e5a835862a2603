"""Everything that needs torch, in a process of its own.

A library that torch loads (triton) and Mesa's software drawing each bring an LLVM of their own; both in one process end
in a segmentation fault. Besides, a GPU's memory comes back only when the process that used it ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

from rise_engine.errors import RiseError


class EngineProcess:
    """Runs jobs of ``engine_worker.py``, one at a time, in a child that is started when first needed and then kept."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None
        self._errors: IO[str] | None = None
        self._turn = threading.Lock()

    def run(self, job: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yields what the job tells: ``{"progress": n}`` any number of times, then ``{"result": ...}``.

        Blocks, so call it in a thread. Raises RiseError when the job fails or the child dies.
        """
        with self._turn:
            child = self._running()
            assert child.stdin is not None and child.stdout is not None
            try:
                child.stdin.write(json.dumps({"job": job, **arguments}) + "\n")
                child.stdin.flush()
                for line in child.stdout:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise RiseError(answer["error"])
                    yield answer
                    if "result" in answer:
                        return
            except BrokenPipeError:
                pass
            raise RiseError(f"The process that computes ended unexpectedly: {self._last_words()} Try it again.")

    def close(self) -> None:
        """Ends the child, whatever it is doing."""
        child, self._child = self._child, None
        if child is not None and child.poll() is None:
            child.kill()
            child.wait(timeout=10)

    def _running(self) -> subprocess.Popen[str]:
        if self._child is None or self._child.poll() is not None:
            self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
            self._child = subprocess.Popen(
                [sys.executable, "-m", "rise_napari.engine.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
            )
        return self._child

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else ""
