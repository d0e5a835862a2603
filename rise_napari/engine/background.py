"""Runs functions in background threads and returns results and errors on the thread of the window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from napari.qt.threading import FunctionWorker, GeneratorWorker, create_worker

from rise_engine.errors import RiseError
from rise_napari.workspace import Workspace

LOGGER = logging.getLogger(__name__)


def run_in_background(
    workspace: Workspace,
    work: Callable[[], Any],
    *,
    done: Callable[[Any], None],
    finished: Callable[[], None] | None = None,
) -> FunctionWorker[Any]:
    """Runs ``work`` in a thread and passes its result to ``done``; an error is shown to the user.

    ``finished`` is called at the end in both cases.
    """
    worker = create_worker(work, _start_thread=False, _ignore_errors=True)
    worker.returned.connect(partial(_unless_ended, workspace, done))
    _start(workspace, worker, finished)
    return worker


def stream_in_background(
    workspace: Workspace,
    work: Callable[[], Iterator[Any]],
    *,
    each: Callable[[Any], None],
    finished: Callable[[], None] | None = None,
    name: str = "RISE is computing",
) -> GeneratorWorker[Any, Any, Any]:
    """Runs a generator in a thread and passes every yielded value to ``each``.

    ``name`` describes the work in napari's question when the window is closed meanwhile.
    """

    def stream() -> Generator[Any, None, None]:
        # napari inspects the function itself to recognise a generator.
        yield from work()

    named = _Named(stream)
    named.name = name
    worker = create_worker(named, _start_thread=False, _ignore_errors=True)
    worker.yielded.connect(partial(_unless_ended, workspace, each))
    _start(workspace, worker, finished)
    return worker


class _Named(partial):  # type: ignore[type-arg]
    """A function with a name for napari's list of running tasks."""

    name: str

    def __str__(self) -> str:
        return self.name


def _start(workspace: Workspace, worker: Any, finished: Callable[[], None] | None) -> None:
    def report(error: Exception) -> None:
        # Only unexpected errors are logged with a traceback.
        if not isinstance(error, RiseError | OSError):
            LOGGER.error("A background task failed", exc_info=error)
        workspace.notify(str(error) or type(error).__name__, "error")

    worker.errored.connect(partial(_unless_ended, workspace, report))
    if finished is not None:
        worker.finished.connect(partial(_unless_ended, workspace, finished))
    worker.start()


def _unless_ended(workspace: Workspace, call: Callable[..., None], *values: Any) -> None:
    # A thread may outlive the window. Its widgets must not be used then.
    if not workspace.ended:
        call(*values)
