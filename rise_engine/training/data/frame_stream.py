"""An endless, seeded order of frames: every frame once per epoch, shuffled anew for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class FrameStream:
    """The frame at any position follows from the seed alone, so that a resumed run continues where it stopped.

    ``salt`` distinguishes streams over the same frames.
    """

    frames: Sequence[int]
    seed: int
    salt: int
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)
    """The order of the current epoch, kept because shuffling tens of thousands of frames at each step is slow."""

    def at(self, position: int) -> int:
        """The frame id at a position, counted from 0."""
        epoch, place = divmod(position, len(self.frames))
        order = self._orders.get(epoch)
        if order is None:
            order = np.random.default_rng([self.seed, self.salt, epoch]).permutation(len(self.frames))
            self._orders.clear()
            self._orders[epoch] = order
        return self.frames[int(order[place])]

    def take(self, step: int, count: int) -> list[int]:
        """The ``count`` frame ids of one training step; empty when there are no frames."""
        if not self.frames:
            return []
        return [self.at(step * count + offset) for offset in range(count)]
