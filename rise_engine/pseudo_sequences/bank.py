"""The instance bank: cut-outs of labelled objects, ready to be pasted (paper, Sec. 3.1 and 3.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rise_engine.project.frame import LabelledFrame
from rise_engine.project.segmentation import mask_region

MAX_FRAME_SHARE = 0.6
"""Objects with a box that covers more of their frame are left out; they would hide everything below them."""

MIN_SIDE = 4
"""Pixels; a narrower object would vanish when it is resampled."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class CutOut:
    """One object cut out of its frame along its box.

    ``image`` uint8 (h, w, 3) RGB; ``mask`` bool (h, w), touching all four edges; ``label`` class index; ``frame`` the
    name of the frame and ``instance`` the position there; ``annotation`` its id in the project; ``frame_side`` the
    frame's shortest side in pixels, which scales the object to a frame of another resolution (None: not scaled).
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    label: int
    frame: str
    instance: int | None = None
    annotation: int | None = None
    frame_side: int | None = None


class InstanceBank:
    """Keeps the latest ``capacity`` cut-outs; the oldest is dropped first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._cut_outs: deque[CutOut] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._cut_outs)

    def __iter__(self) -> Iterator[CutOut]:
        return iter(self._cut_outs)

    def add(self, cut_out: CutOut) -> None:
        """Store one cut-out."""
        self._cut_outs.append(cut_out)

    def add_frame(self, frame: LabelledFrame, *, min_area: int, excluded: Collection[int] = frozenset()) -> int:
        """Cut out every instance of ``frame`` and return how many were stored.

        Left out are annotations whose ids are ``excluded``, masks below ``min_area`` pixels, slivers, and objects
        whose box covers most of the frame.
        """
        stored = 0
        for index in range(len(frame.masks)):
            left_out = bool(frame.instances) and frame.instances[index] in excluded
            if not left_out and self.add_instance(frame, index, min_area=min_area):
                stored += 1
        return stored

    def add_instance(self, frame: LabelledFrame, index: int, *, min_area: int) -> bool:
        """Cut out the instance at ``index`` of ``frame``; False when it is too small or too large for the bank."""
        mask = frame.masks[index]
        if (box := _tight_box(mask, min_area)) is None:
            return False
        self.add(
            CutOut(
                image=frame.image[box].copy(),
                mask=mask[box].copy(),
                label=int(frame.categories[index]),
                frame=frame.name,
                instance=index,
                annotation=frame.instances[index] if frame.instances else None,
                frame_side=min(mask.shape),
            )
        )
        return True

    def sample(self, rng: np.random.Generator) -> CutOut:
        """One cut-out, each equally likely. Raises ``IndexError`` when the bank is empty."""
        if not self._cut_outs:
            raise IndexError("the instance bank is empty")
        return self._cut_outs[int(rng.integers(len(self._cut_outs)))]

    def sample_distinct(self, rng: np.random.Generator, count: int) -> list[CutOut]:
        """``count`` cut-outs in random order, none twice before all were used; empty when the bank is empty."""
        chosen: list[int] = []
        while self._cut_outs and len(chosen) < count:
            missing = min(count - len(chosen), len(self._cut_outs))
            chosen.extend(rng.choice(len(self._cut_outs), missing, replace=False).tolist())
        return [self._cut_outs[index] for index in chosen]


def _tight_box(mask: NDArray[np.bool_], min_area: int) -> tuple[slice, slice] | None:
    """The rows and columns that ``mask`` spans, or None when it is not suitable for the bank."""
    box = mask_region(mask)
    if box is None:
        return None
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    if min(height, width) < MIN_SIDE or height * width > MAX_FRAME_SHARE * mask.size:
        return None
    return box if np.count_nonzero(mask[box]) >= min_area else None
