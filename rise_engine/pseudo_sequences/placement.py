"""The place of a pasted object (paper, Eq. 2) and the overlap rule (Sec. 3.2 and App. F)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_corner(
    rng: np.random.Generator, frame_size: tuple[int, int], object_size: tuple[int, int], alpha: float, beta: float
) -> tuple[int, int]:
    """The top-left corner (x, y) of an object, in whole pixels: (u, v) = Beta(alpha, beta) * [w, h] (paper, Eq. 2).

    [w, h] is the frame's size minus the object's, so that the object is inside. Each axis has its own random number.
    Sizes are (height, width). Raises ``ValueError`` when the object is larger than the frame.
    """
    spare_height, spare_width = frame_size[0] - object_size[0], frame_size[1] - object_size[1]
    if spare_height < 0 or spare_width < 0:
        raise ValueError(f"an object of {object_size} does not fit into a frame of {frame_size}")
    u, v = rng.beta(alpha, beta, size=2)
    return round(float(u) * spare_width), round(float(v) * spare_height)


def hidden_share(lost: NDArray[np.int64], areas: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of its visible area that each object would lose to a new one on top, (N,).

    ``areas`` (N,) are pixels that are visible now, ``lost`` (N,) those of them below the new object. It is 0 for an
    object without visible pixels.
    """
    return lost / np.maximum(areas, 1)


def allowed(lost: NDArray[np.int64], areas: NDArray[np.int64], *, max_overlap: float) -> bool:
    """Whether no object would lose more than ``max_overlap`` of what is visible of it now; as ``hidden_share``."""
    return not bool(np.any(hidden_share(lost, areas) > max_overlap))
