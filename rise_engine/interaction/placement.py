"""Where an object may be inserted (paper, Eq. 2, and the overlap rule of Sec. 3.2 and App. F)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def draw_corner(
    rng: np.random.Generator, frame_size: tuple[int, int], object_size: tuple[int, int], alpha: float, beta: float
) -> tuple[int, int]:
    """The top-left corner (x, y) of an object, in whole pixels: (u, v) = Beta(alpha, beta) * [w, h] (paper, Eq. 2).

    [w, h] is what the frame's size leaves over, so the object lies inside it. Each axis has its own draw. Sizes are
    (height, width). Raises ``ValueError`` when the object is larger than the frame.
    """
    spare_height, spare_width = frame_size[0] - object_size[0], frame_size[1] - object_size[1]
    if spare_height < 0 or spare_width < 0:
        raise ValueError(f"an object of {object_size} does not fit into a frame of {frame_size}")
    u, v = rng.beta(alpha, beta, size=2)
    return round(float(u) * spare_width), round(float(v) * spare_height)


def pixel_counts(masks: Tensor) -> Tensor:
    """The area of each mask of a bool CPU tensor (N, h, w), int64 (N,)."""
    # torch widens every pixel to 64 bits before it sums; counting a mask at a time is some twenty times faster.
    return torch.tensor([np.count_nonzero(mask) for mask in masks.numpy()], dtype=torch.int64)


def hidden_share(visible: Tensor, areas: Tensor, mask: Tensor, *, left: int, top: int) -> Tensor:
    """The share of its visible area that each object would lose to a new one on top, float (N,).

    ``visible`` bool (N, H, W) and ``areas`` (N,), its pixel counts; ``mask`` bool (h, w) of the new object, lying
    inside the frame with its corner at (``left``, ``top``). Nothing left to lose counts as 0.
    """
    height, width = mask.shape
    lost = pixel_counts(visible[:, top : top + height, left : left + width] & mask)
    return lost / areas.clamp(min=1)


def allowed(visible: Tensor, areas: Tensor, mask: Tensor, *, left: int, top: int, max_overlap: float) -> bool:
    """Whether no object would lose more than ``max_overlap`` of what is visible of it now; as ``hidden_share``."""
    shares = hidden_share(visible, areas, mask, left=left, top=top)
    return not bool(torch.any(shares > max_overlap))
