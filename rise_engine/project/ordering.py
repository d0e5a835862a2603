"""A random order of frames that stays the same when frames are added or removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from rise_engine.project.records import FrameRecord


def shuffled(frames: Iterable[FrameRecord], salt: str) -> list[FrameRecord]:
    """The frames in a pseudo-random order, from a hash of ``salt`` and each frame's name.

    The hash does not depend on other frames, so the first n frames of a longer list are mostly the same as before.
    """
    return sorted(frames, key=lambda frame: hashlib.sha256(f"{salt}:{frame.name}".encode()).digest())
