"""Masks decoded and outlined once and kept, so that what a thread did ahead costs the window's own thread nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from rise_engine.project.segmentation import Segmentation
from rise_napari.layers.label_view import Piece
from rise_napari.layers.outlines import Outline

Kept = TypeVar("Kept", Piece, Outline)

KEPT_BYTES = 96 * 2**20
"""About twenty frames of 5 megapixels with sixty objects each."""


class Pieces:
    """Pieces and outlines of stored masks, by what is stored: a mask that changed is another one. For any thread."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._most = kept_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Piece | Outline] = OrderedDict()
        self._lock = threading.Lock()

    def decoded(self, segmentation: Segmentation, size: tuple[int, int]) -> Piece:
        """The piece of a stored mask on a frame (H, W). Raises RiseError as ``Piece.decoded`` does."""
        return self._once(_key(segmentation, size), lambda: Piece.decoded(segmentation, size))

    def outlined(self, segmentation: Segmentation, size: tuple[int, int], *, width: int) -> Outline:
        """Its outline on such a frame. Raises RiseError as ``Piece.decoded`` does."""
        key = (_key(segmentation, size), width)
        return self._once(key, lambda: Outline.of(self.decoded(segmentation, size), size, width=width))

    def _once(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return cast("Kept", kept)
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += made.mask.nbytes
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].mask.nbytes
        return made


def _key(segmentation: Segmentation, size: tuple[int, int]) -> Hashable:
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str | bytes):
        return segmentation["counts"], tuple(segmentation.get("size") or ()), size
    return repr(segmentation), size
