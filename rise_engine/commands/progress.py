"""Progress of long work, with the time that is left."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_LOOKS_A_SECOND = 10


def with_progress(items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]:
    """Passes ``items`` on and shows a bar with an ETA on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        shown = time.monotonic()
        for done, item in enumerate(items, 1):
            yield item
            if (now := time.monotonic()) >= shown + 1 / _LOOKS_A_SECOND:
                # Not for each of hundreds of thousands, which would cost more than the work itself.
                shown = now
                bar.update(task, completed=done)
        bar.update(task, completed=total)
