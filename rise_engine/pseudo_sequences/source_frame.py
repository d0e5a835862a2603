"""A frame as the source of pseudo-sequences: its image and one integer map of its objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.pseudo_sequences.instance_map import InstanceMap


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """``image`` uint8 (H, W, 3) RGB; ``labels`` int64 (N,), class indices of the objects in ``objects``; none if the
    frame is not ``labelled``. ``instances`` are the annotations' ids, empty for a frame of no project."""

    name: str
    image: NDArray[np.uint8]
    objects: InstanceMap
    labels: NDArray[np.int64]
    instances: tuple[int, ...]
    labelled: bool

    @classmethod
    def of(cls, frame: LabelledFrame | UnlabelledFrame) -> SourceFrame:
        """The same frame; all masks together take one byte per pixel instead of one byte each."""
        # torch shares the memory and needs it to be writable.
        image = np.require(frame.image, requirements=["C", "W"])
        if isinstance(frame, LabelledFrame):
            labels = frame.categories.astype(np.int64)
            return cls(frame.name, image, InstanceMap.from_masks(frame.masks), labels, frame.instances, True)
        nothing = np.zeros((0, *image.shape[:2]), np.bool_)
        return cls(frame.name, image, InstanceMap.from_masks(nothing), np.zeros(0, np.int64), (), False)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def as_labelled(self) -> LabelledFrame:
        """The labelled frame it was made from."""
        return LabelledFrame(self.name, self.image, self.objects.masks(), self.labels, self.instances)
