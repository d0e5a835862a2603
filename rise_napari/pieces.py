"""Masks decoded once and kept, so that what a thread decoded ahead costs the window's own thread nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from rise_engine.project.segmentation import Segmentation
from rise_napari.label_view import Piece

KEPT_BYTES = 96 * 2**20
"""About twenty frames of 5 megapixels with sixty objects each."""


class Pieces:
    """The pieces of stored masks, by what is stored: a mask that changed is another one. For any thread."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._most = kept_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Piece] = OrderedDict()
        self._lock = threading.Lock()

    def decoded(self, segmentation: Segmentation, size: tuple[int, int]) -> Piece:
        """The piece of a stored mask on a frame (H, W). Raises RiseError as ``Piece.decoded`` does."""
        key = _key(segmentation, size)
        with self._lock:
            piece = self._kept.get(key)
            if piece is not None:
                self._kept.move_to_end(key)
                return piece
        piece = Piece.decoded(segmentation, size)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = piece
                self._bytes += piece.mask.nbytes
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].mask.nbytes
        return piece


def _key(segmentation: Segmentation, size: tuple[int, int]) -> Hashable:
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str | bytes):
        return segmentation["counts"], tuple(segmentation.get("size") or ()), size
    return repr(segmentation), size
