"""The ordered frames of the open project, with the number of frames in each state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rise_engine.project.records import FrameRecord, FrameState, Split


class FrameList:
    """A list for tens of thousands of frames. An update of one frame takes constant time."""

    def __init__(self, frames: Sequence[FrameRecord] = ()) -> None:
        self.all: list[FrameRecord] = list(frames)
        self._indices = {frame.id: index for index, frame in enumerate(self.all)}
        self._names = {frame.name: frame for frame in self.all}
        self._states = Counter(frame.state for frame in self.all)
        self.holdout = sum(frame.split is Split.HOLDOUT for frame in self.all)

    def index(self, frame_id: int | None) -> int | None:
        """The index of a frame in ``all``; None for an unknown id."""
        return None if frame_id is None else self._indices.get(frame_id)

    def get(self, frame_id: int | None) -> FrameRecord | None:
        """A frame by its id."""
        index = self.index(frame_id)
        return None if index is None else self.all[index]

    def named(self, name: str) -> FrameRecord | None:
        """A frame by its name."""
        known = self._names.get(name)
        return None if known is None else self.get(known.id)

    def count(self, *states: FrameState) -> int:
        """The number of frames in one of these states."""
        return sum(self._states[state] for state in set(states))

    def update(self, frame: FrameRecord) -> bool:
        """Replaces a frame by its new record; False when it is unchanged."""
        index = self._indices[frame.id]
        before = self.all[index]
        if before == frame:
            return False
        self.all[index] = frame
        self._states[before.state] -= 1
        self._states[frame.state] += 1
        self.holdout += (frame.split is Split.HOLDOUT) - (before.split is Split.HOLDOUT)
        return True

    def next_unlabelled(self, after: int | None) -> FrameRecord | None:
        """The next unlabelled frame after an index; after the last frame the search continues with the first."""
        if not self._states[FrameState.UNLABELLED]:
            return None
        start = 0 if after is None else after + 1
        indices = (*range(start, len(self.all)), *range(start))
        return next((self.all[index] for index in indices if self.all[index].state is FrameState.UNLABELLED), None)
