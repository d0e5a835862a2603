"""Preprocessing of a prediction: an image becomes the network's input (resized, scaled to 0..1, padded)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from rise_engine.config import LoaderConfig
from rise_engine.model.padding import SIZE_MULTIPLE


class NetworkInput(NamedTuple):
    """One frame as the network takes it.

    ``images`` float (1, 3, H, W) RGB 0..1, padded at the right and bottom to multiples of 32; ``padding_mask`` bool
    (1, H, W), True on padding, or None without padding; ``size`` (h, w) of the frame without padding.
    """

    images: Tensor
    padding_mask: Tensor | None
    size: tuple[int, int]


def resize_for_network(image: NDArray[np.uint8], loader: LoaderConfig) -> NetworkInput:
    """``image`` uint8 (H, W, 3) at the size for prediction, never cropped.

    The shorter side becomes ``predict_short_side``, unless the longer side would exceed ``predict_long_side``.
    """
    height, width = image.shape[:2]
    scale = min(loader.predict_short_side / min(height, width), loader.predict_long_side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    if size != (height, width):
        pixels = interpolate(pixels, size=size, mode="bilinear", antialias=True)
    padded_height, padded_width = (-(-side // SIZE_MULTIPLE) * SIZE_MULTIPLE for side in size)
    padded = torch.zeros(1, 3, padded_height, padded_width)
    padded[:, :, : size[0], : size[1]] = pixels.float() / 255
    if (padded_height, padded_width) == size:
        return NetworkInput(padded, None, size)
    padding_mask = torch.ones(1, padded_height, padded_width, dtype=torch.bool)
    padding_mask[:, : size[0], : size[1]] = False
    return NetworkInput(padded, padding_mask, size)
