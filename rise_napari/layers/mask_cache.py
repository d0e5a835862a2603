"""Caches decoded masks and outlines, so that a thread can prefetch them for the window."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from rise_engine.project.segmentation import Segmentation
from rise_napari.layers.mask_patch import MaskPatch
from rise_napari.layers.outlines import Outline

Entry = TypeVar("Entry", MaskPatch, Outline)

MAX_BYTES = 96 * 2**20
"""About twenty frames of 5 megapixels with sixty objects each."""


class MaskCache:
    """Mask patches and outlines by their stored segmentation, so a changed mask has another entry. Thread-safe.

    The entries that were used least recently are dropped when the cache exceeds ``max_bytes``.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Hashable, MaskPatch | Outline] = OrderedDict()
        self._lock = threading.Lock()

    def decoded(self, segmentation: Segmentation, size: tuple[int, int]) -> MaskPatch:
        """The patch of a stored mask on a frame (H, W). Raises RiseError for an unreadable mask."""
        return self._get_or_make(_key(segmentation, size), lambda: MaskPatch.decoded(segmentation, size))

    def outlined(self, segmentation: Segmentation, size: tuple[int, int], *, width: int) -> Outline:
        """The outline of a stored mask on a frame (H, W). Raises RiseError for an unreadable mask."""
        key = (_key(segmentation, size), width)
        return self._get_or_make(key, lambda: Outline.of(self.decoded(segmentation, size), size, width=width))

    def _get_or_make(self, key: Hashable, make: Callable[[], Entry]) -> Entry:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                return cast("Entry", entry)
        made = make()
        with self._lock:
            if key not in self._entries:
                self._entries[key] = made
                self._bytes += made.mask.nbytes
            while self._bytes > self._max_bytes:
                self._bytes -= self._entries.popitem(last=False)[1].mask.nbytes
        return made


def _key(segmentation: Segmentation, size: tuple[int, int]) -> Hashable:
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str | bytes):
        return segmentation["counts"], tuple(segmentation.get("size") or ()), size
    return repr(segmentation), size
