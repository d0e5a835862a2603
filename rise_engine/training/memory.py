"""Steps that do not fit into memory: detecting that, and splitting their frames into more micro-batches."""

from __future__ import annotations

import sys

import torch

FULL = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu")
"""Parts of torch's messages, on its various devices, for a full memory."""


def is_full(error: BaseException) -> bool:
    """Whether the error means that a device, or this machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in FULL)


class MicroBatches:
    """The number of micro-batches that a step's frames are split into; it grows when the memory is full.

    ``wanted`` is ``loader.accumulate``. 0 starts with all frames in one micro-batch on a GPU. On a CPU it starts with
    one frame per micro-batch, because a machine without memory would end the process.
    """

    def __init__(self, wanted: int, device: torch.device) -> None:
        self._count = wanted or (sys.maxsize if device.type == "cpu" else 1)
        self._device = device
        self._notices: list[str] = []

    def count(self, frames: int) -> int:
        """Micro-batches of a step; ``frames`` is the larger of its numbers of labelled and unlabelled frames."""
        return max(1, min(self._count, frames))

    def halve(self, frames: int) -> bool:
        """Halves the size of the micro-batches; False when they have one frame already."""
        count = self.count(frames)
        if count >= frames:
            return False
        self._count = min(2 * count, frames)
        self._notices.append(
            f"The memory of {self._device} is full: the frames of a step are now split into {self._count} "
            f"micro-batches instead of {count}."
        )
        return True

    def take_notices(self) -> list[str]:
        """One sentence for each change since the last call."""
        notices, self._notices = self._notices, []
        return notices


class RandomState:
    """A snapshot of torch's random states, so that a repeated attempt uses the same random numbers."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def restore(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
