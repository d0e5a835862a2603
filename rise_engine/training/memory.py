"""A step that does not fit into the memory: how that is told, and into how many parts its frames go then."""

from __future__ import annotations

import sys

import torch

FULL = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu")
"""How torch says on its several devices that there is no memory left."""


def is_full(error: BaseException) -> bool:
    """Whether the error says that a device, or this machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in FULL)


class Parts:
    """How many parts a step's frames are learnt from in, one after the other; more when the memory is full.

    ``wanted`` is ``loader.accumulate``; 0 begins with all frames at once on a device that refuses what it cannot hold,
    and with one frame at a time on a CPU, whose machine would end the process instead.
    """

    def __init__(self, wanted: int, device: torch.device) -> None:
        self._count = wanted or (sys.maxsize if device.type == "cpu" else 1)
        self._device = device
        self._untold: list[str] = []

    def of(self, frames: int) -> int:
        """Parts of a step with so many frames of the kind that it has more of."""
        return max(1, min(self._count, frames))

    def double(self, frames: int) -> bool:
        """Halves what is learnt from at a time; False when that is one frame already."""
        parts = self.of(frames)
        if parts >= frames:
            return False
        self._count = min(2 * parts, frames)
        self._untold.append(
            f"The memory of {self._device} is full: the frames of a step are now learnt from in {self._count} parts, "
            f"one after the other, instead of {'all at once' if parts == 1 else parts}."
        )
        return True

    def news(self) -> list[str]:
        """What has changed since this was last asked, a sentence each."""
        told, self._untold = self._untold, []
        return told


class RandomState:
    """Torch's random numbers as they are now, so that what is tried again draws the same."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
