"""Masks drawn towards the edges of the picture that they were found in; not in the paper."""

from __future__ import annotations

from kornia.filters import guided_blur
from torch import Tensor

SMOOTHNESS = 1e-3
"""The guided filter's epsilon: a step in brightness well above its root, 3 % of white, counts as an edge."""


def follow_edges(probabilities: Tensor, picture: Tensor, *, reach: int) -> Tensor:
    """Mask probabilities (N, h, w), their borders moved towards edges of ``picture`` (3, h, w), 0..1, within ``reach``
    pixels (guided filter, He et al., ECCV 2010). The network's masks have a quarter of the picture's resolution.
    """
    if not len(probabilities):
        return probabilities
    guidance = picture.to(probabilities)
    return guided_blur(guidance[None], probabilities[None], 2 * reach + 1, SMOOTHNESS)[0]
