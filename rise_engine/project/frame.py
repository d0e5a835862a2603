"""What the learner gets from a project: frames with targets, and frames that cannot have any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame a person annotated.

    ``image`` uint8 (H, W, 3) RGB; ``masks`` bool (N, H, W), overlaps allowed; ``categories`` int64 (N,), class
    indices from 0; ``name`` is the file name relative to the image folder; ``instances`` are the annotations' ids in
    the order of the masks, empty for a frame of no project.
    """

    name: str
    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    categories: NDArray[np.int64]
    instances: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UnlabelledFrame:
    """A frame without targets. It has no field for them, so none can reach the learner."""

    name: str
    image: NDArray[np.uint8]
