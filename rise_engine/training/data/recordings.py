"""Recorded sequences: which frame follows which, according to their names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Literal

from rise_engine.project.records import FrameRecord

Rule = Literal["folder", "number"]
"""``folder``: the frames of a folder are one recording, in their order. ``number``: frames with names that differ only
in the last number are one recording, in the order of that number."""

_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)")


def next_frames(frames: Iterable[FrameRecord], rule: Rule) -> dict[int, int]:
    """For each frame that is not the last of its recording, the id of the one that follows it among ``frames``."""
    recordings: dict[str, list[tuple[int, int]]] = {}
    for place, frame in enumerate(frames):
        path = PurePosixPath(frame.name)
        if rule == "folder":
            recordings.setdefault(str(path.parent), []).append((place, frame.id))
        elif (match := _LAST_NUMBER.fullmatch(path.name)) is not None:
            text = str(path.parent / f"{match[1]}#{match[3]}")
            recordings.setdefault(text, []).append((int(match[2]), frame.id))
    ordered = [[frame for _, frame in sorted(recording)] for recording in recordings.values()]
    return {first: second for recording in ordered for first, second in pairwise(recording)}
