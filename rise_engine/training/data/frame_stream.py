"""An endless, seeded order of frames: every frame once a round, rounds shuffled anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FrameStream:
    """The frame at any position follows from the seed alone, so a resumed run goes on where it stopped.

    ``salt`` keeps streams over the same frames apart.
    """

    frames: Sequence[int]
    seed: int
    salt: int
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)
    """The order of the round in hand: shuffling tens of thousands of frames at each step would be felt."""

    def at(self, position: int) -> int:
        """The frame id at a position, counted from 0."""
        turn, place = divmod(position, len(self.frames))
        order = self._orders.get(turn)
        if order is None:
            order = np.random.default_rng([self.seed, self.salt, turn]).permutation(len(self.frames))
            self._orders.clear()
            self._orders[turn] = order
        return self.frames[int(order[place])]

    def take(self, step: int, count: int) -> list[int]:
        """The ``count`` frame ids of one training step; empty when there are no frames."""
        if not self.frames:
            return []
        return [self.at(step * count + offset) for offset in range(count)]
