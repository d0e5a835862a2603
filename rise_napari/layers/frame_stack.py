"""The frames of a project as one lazy array for napari's slider. A frame is decoded when it is shown or prefetched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rise_engine.errors import RiseError
from rise_engine.project.project import Project
from rise_engine.project.records import FrameRecord

Image = NDArray[np.uint8]

CACHED_FRAMES = 5
MISSING_SIZE = (480, 640)


class FrameStack:
    """Behaves like a uint8 array (frames, H, W, 3) from which single frames are read.

    H and W are those of the current frame, so frames of mixed sizes are not padded. An unreadable frame is shown grey,
    and ``on_problem`` receives the reason. The previous and the next frame are prefetched.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        project: Project,
        frames: Sequence[FrameRecord],
        *,
        first: int,
        on_problem: Callable[[str], None],
        prefetch: Callable[[Project, int, tuple[int, int]], None],
    ) -> None:
        """``prefetch`` is called in the prefetching thread to prepare the rest of a frame, such as its masks.

        It receives a project that belongs to that thread, the id of the frame and its size (H, W).
        """
        self._project = project
        self.ids = [frame.id for frame in frames]
        self._on_problem = on_problem
        self._prefetch_rest = prefetch
        self._cache: OrderedDict[int, Image] = OrderedDict()
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rise-frames")
        self._size = MISSING_SIZE
        self.show(first)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.ids), *self._size, 3

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def show(self, index: int) -> bool:
        """Makes a frame the current one; True when its size differs from that of the previous one."""
        self.current = index
        size = self.read(index).shape[:2]
        changed = size != self._size
        self._size = (int(size[0]), int(size[1]))
        return changed

    def prefetch_neighbours(self) -> None:
        """Reads the previous and the next frame in another thread."""
        for neighbour in (self.current + 1, self.current - 1):
            if 0 <= neighbour < len(self.ids):
                self._executor.submit(self._prefetch, neighbour, self._project.path)

    def read(self, index: int) -> Image:
        """The image of a frame, uint8 (H, W, 3)."""
        with self._lock:
            if index in self._cache:
                self._cache.move_to_end(index)
                return self._cache[index]
        try:
            image = self._project.image(self.ids[index])
        except RiseError as error:
            self._on_problem(str(error))
            image = np.full((*MISSING_SIZE, 3), 96, np.uint8)
        self._keep(index, image)
        return image

    def __getitem__(self, key: Any) -> Image:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, slice):
            index = range(*first.indices(len(self.ids)))[0]
            return self._at(index)[None][(slice(None), *rest)]
        return self._at(int(first))[tuple(rest)]

    def close(self) -> None:
        """Ends prefetching."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _at(self, index: int) -> Image:
        # While napari creates its layer, it requests frames that are not shown.
        return (
            self.read(index) if index == self.current or index in self._cache else np.zeros((*self._size, 3), np.uint8)
        )

    def _keep(self, index: int, image: Image) -> None:
        with self._lock:
            self._cache[index] = image
            self._cache.move_to_end(index)
            while len(self._cache) > CACHED_FRAMES:
                self._cache.popitem(last=False)

    def _prefetch(self, index: int, path: Path) -> None:
        if abs(index - self.current) > 1:
            # The user moved on faster than frames are read.
            return
        # A connection of its own, because that of the window belongs to the window's thread.
        try:
            with Project.open(path, read_only=True) as project:
                with self._lock:
                    image = self._cache.get(index)
                if image is None:
                    image = project.image(self.ids[index])
                    self._keep(index, image)
                self._prefetch_rest(project, self.ids[index], (image.shape[0], image.shape[1]))
        except RiseError:
            return
