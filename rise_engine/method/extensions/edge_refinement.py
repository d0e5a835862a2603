"""Mask borders moved to the edges of the image (guided filter). Not in the paper."""

from __future__ import annotations

import math

from kornia.filters import guided_blur
from torch import Tensor

SMOOTHNESS = 1e-3
"""The guided filter's epsilon: a change of brightness well above its square root, 3 % of white, counts as an edge."""
SUBSAMPLE = 2
"""The filter is fitted on every second pixel and applied to all pixels: a quarter of the time, 90 % of the gain."""


def follow_edges(probabilities: Tensor, image: Tensor, *, reach: int) -> Tensor:
    """Mask probabilities (N, h, w) with borders moved to edges of ``image`` (3, h, w), 0..1, within ``reach`` pixels.

    The network's masks have a quarter of the image's resolution (guided filter, He et al., ECCV 2010 and 2015).
    """
    if not len(probabilities):
        return probabilities
    guidance = image.to(probabilities)
    # The window is odd, so that it has a centre, also after subsampling.
    window = 2 * SUBSAMPLE * math.ceil(reach / SUBSAMPLE) + 1
    return guided_blur(guidance[None], probabilities[None], window, SMOOTHNESS, subsample=SUBSAMPLE)[0]
