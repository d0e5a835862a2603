"""The mask of one instance, stored only inside its bounding box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rise_engine.project.segmentation import Segmentation, mask_region, to_patch

Mask = NDArray[np.bool_]
Region = tuple[slice, slice]
"""Rows and columns of a frame."""


@dataclass(frozen=True, slots=True)
class MaskPatch:
    """A mask inside its box: ``mask`` bool (h, w), with its top left pixel at ``row``, ``column`` of the frame."""

    row: int
    column: int
    mask: Mask

    @classmethod
    def of(cls, mask: Mask, *, at: tuple[int, int] = (0, 0)) -> MaskPatch:
        """The patch of ``mask`` bool (h, w), with its top left pixel ``at`` a row and column of the frame."""
        region = mask_region(mask)
        if region is None:
            return cls(0, 0, np.zeros((0, 0), np.bool_))
        return cls(at[0] + region[0].start, at[1] + region[1].start, mask[region].copy())

    @classmethod
    def decoded(cls, segmentation: Segmentation, size: tuple[int, int]) -> MaskPatch:
        """The patch of a stored mask on a frame (H, W), decoded without the rest of the frame."""
        return cls(*to_patch(segmentation, *size))

    @property
    def region(self) -> Region:
        """The rows and columns of the patch in the frame."""
        height, width = self.mask.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)

    def whole(self, size: tuple[int, int]) -> Mask:
        """The mask bool (H, W) on a frame of this size."""
        mask = np.zeros(size, np.bool_)
        mask[self.region] = self.mask
        return mask
