"""A progress bar for long work, with the remaining time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rise_engine.project.wording import duration

Item = TypeVar("Item")
_UPDATES_PER_SECOND = 10
SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal: long work reports its progress to the log, and short work prints nothing."""


def with_progress(items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]:
    """Pass ``items`` on and show the progress on stderr: a bar with the remaining time, or lines in a log."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        began = shown = said = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now >= shown + 1 / _UPDATES_PER_SECOND:
                # An update for each of hundreds of thousands of items would cost more than the work itself.
                shown = now
                bar.update(task, completed=done)
            if now >= said + SECONDS_BETWEEN_LINES and not console.is_terminal:
                said = now
                left = duration((now - began) * (total - done) / done)
                console.print(f"{doing}: {done:,} of {total:,}, {left} left", markup=False)
        bar.update(task, completed=total)
