"""Work beside the window: one function in a thread, its result and its errors back on the window's thread."""

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
    """Runs ``work`` in a thread and hands its result to ``done``; an error is told to the person.

    ``finished`` is called at the end in either case.
    """
    worker = create_worker(work, _start_thread=False, _ignore_errors=True)
    worker.returned.connect(partial(_unless_ended, workspace, done))
    _begin(workspace, worker, finished)
    return worker


def stream_in_background(
    workspace: Workspace,
    work: Callable[[], Iterator[Any]],
    *,
    each: Callable[[Any], None],
    finished: Callable[[], None] | None = None,
    name: str = "RISE is computing",
) -> GeneratorWorker[Any, Any, Any]:
    """Runs a generator in a thread and hands every value it yields to ``each``.

    ``name`` is what napari says about it when it is asked to close meanwhile.
    """

    def stream() -> Generator[Any, None, None]:
        # napari looks at the function itself to learn that it is a generator.
        yield from work()

    named = _Named(stream)
    named.name = name
    worker = create_worker(named, _start_thread=False, _ignore_errors=True)
    worker.yielded.connect(partial(_unless_ended, workspace, each))
    _begin(workspace, worker, finished)
    return worker


class _Named(partial):  # type: ignore[type-arg]
    """A function that says what it does where napari, asked to close, names what still runs."""

    name: str

    def __str__(self) -> str:
        return self.name


def _begin(workspace: Workspace, worker: Any, finished: Callable[[], None] | None) -> None:
    def told(error: Exception) -> None:
        # napari would raise it once more and show where in the code; only a fault of ours is worth that.
        if not isinstance(error, RiseError | OSError):
            LOGGER.error("Work beside the window failed", exc_info=error)
        workspace.notify(str(error) or type(error).__name__, "error")

    worker.errored.connect(partial(_unless_ended, workspace, told))
    if finished is not None:
        worker.finished.connect(partial(_unless_ended, workspace, finished))
    worker.start()


def _unless_ended(workspace: Workspace, call: Callable[..., None], *values: Any) -> None:
    # A thread may outlive the window, whose widgets must not be touched then.
    if not workspace.ended:
        call(*values)
