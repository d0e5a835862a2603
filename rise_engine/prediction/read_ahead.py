"""Read the images of frames ahead in a thread, and group consecutive frames into batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.project.image_file import read_image

if TYPE_CHECKING:
    from pathlib import Path

    from rise_engine.project.project import Project

Prepared = TypeVar("Prepared")
Item = TypeVar("Item")
AHEAD = 3
"""Decoded frames that wait: enough to hide the reading time, few enough for images of many megapixels."""


def read_ahead(
    project: Project,
    frame_ids: Sequence[int],
    prepare: Callable[[NDArray[np.uint8]], Prepared],
    *,
    unreadable: list[RiseError] | None = None,
    ahead: int = AHEAD,
) -> Iterator[tuple[int, Prepared]]:
    """Yields each frame id with the result of ``prepare`` on its image, uint8 (H, W, 3), in the given order.

    A thread reads and prepares up to ``ahead`` frames in advance. A frame that cannot be read raises its RiseError
    when its turn comes. When ``unreadable`` is given, the frame is skipped and its error is appended there instead.
    """

    def work(path: Path) -> Prepared:
        return prepare(read_image(path).pixels)

    waiting: deque[tuple[int, Future[Prepared]]] = deque()
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead")
    remaining = iter(frame_ids)
    try:
        while True:
            while len(waiting) <= ahead and (frame_id := next(remaining, None)) is not None:
                # Only the calling thread may use the store, so the path is read here.
                path = project.images / project.frames.get(frame_id).name
                waiting.append((frame_id, reader.submit(work, path)))
            if not waiting:
                return
            frame_id, future = waiting.popleft()
            try:
                prepared = future.result()
            except RiseError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
                continue
            yield frame_id, prepared
    finally:
        reader.shutdown(wait=True, cancel_futures=True)


def batches_by_key(items: Iterable[Item], *, key: Callable[[Item], Hashable], limit: int) -> Iterator[list[Item]]:
    """Yields lists of at most ``limit`` consecutive items of equal ``key``; the order does not change."""
    group: list[Item] = []
    for item in items:
        if group and (len(group) == limit or key(item) != key(group[0])):
            yield group
            group = []
        group.append(item)
        if len(group) == limit:
            yield group
            group = []
    if group:
        yield group
