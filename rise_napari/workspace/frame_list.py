"""The frames of the open project in their order, and how many are in each state, without counting each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rise_engine.project.records import FrameRecord, FrameState, Split


class FrameList:
    """Tens of thousands of frames, of which one changes at a time."""

    def __init__(self, frames: Sequence[FrameRecord] = ()) -> None:
        self.all: list[FrameRecord] = list(frames)
        self._places = {frame.id: place for place, frame in enumerate(self.all)}
        self._names = {frame.name: frame for frame in self.all}
        self._states = Counter(frame.state for frame in self.all)
        self.holdout = sum(frame.split is Split.HOLDOUT for frame in self.all)

    def place(self, frame_id: int | None) -> int | None:
        """Where a frame stands in ``all``."""
        return None if frame_id is None else self._places.get(frame_id)

    def get(self, frame_id: int | None) -> FrameRecord | None:
        """A frame by its number."""
        place = self.place(frame_id)
        return None if place is None else self.all[place]

    def named(self, name: str) -> FrameRecord | None:
        """A frame by its name."""
        known = self._names.get(name)
        return None if known is None else self.get(known.id)

    def count(self, *states: FrameState) -> int:
        """How many frames are in one of these states."""
        return sum(self._states[state] for state in set(states))

    def update(self, frame: FrameRecord) -> bool:
        """Takes over a frame as it is now; False when it was so before."""
        place = self._places[frame.id]
        before = self.all[place]
        if before == frame:
            return False
        self.all[place] = frame
        self._states[before.state] -= 1
        self._states[frame.state] += 1
        self.holdout += (frame.split is Split.HOLDOUT) - (before.split is Split.HOLDOUT)
        return True

    def next_unlabelled(self, after: int | None) -> FrameRecord | None:
        """The next unlabelled frame after the one at a place, round the end of the list."""
        if not self._states[FrameState.UNLABELLED]:
            return None
        start = 0 if after is None else after + 1
        places = (*range(start, len(self.all)), *range(start))
        return next((self.all[place] for place in places if self.all[place].state is FrameState.UNLABELLED), None)
