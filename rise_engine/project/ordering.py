"""An order without a pattern that stays the same when frames come or go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from rise_engine.project.records import FrameRecord


def shuffled(frames: Iterable[FrameRecord], salt: str) -> list[FrameRecord]:
    """Frames in an order drawn from their names and ``salt`` alone.

    A frame's place depends on no other frame, so the first n of a grown list are mostly the same as before.
    """
    return sorted(frames, key=lambda frame: hashlib.sha256(f"{salt}:{frame.name}".encode()).digest())
