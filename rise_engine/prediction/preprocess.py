"""Preprocessing of a prediction: an image becomes the network's input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from rise_engine.config import LoaderConfig

CANVAS_MULTIPLE = 32


class NetworkInput(NamedTuple):
    """One frame as the network takes it.

    ``images`` float (1, 3, H, W) RGB 0..1 on a canvas of multiples of 32; ``padding_mask`` bool (1, H, W), True on
    padding, or None without any; ``size`` (h, w) of the frame on the canvas, which starts at its top left corner.
    """

    images: Tensor
    padding_mask: Tensor | None
    size: tuple[int, int]


def resize_for_network(image: NDArray[np.uint8], loader: LoaderConfig) -> NetworkInput:
    """``image`` uint8 (H, W, 3) at prediction size: the shortest side given, the longest bounded, nothing cropped."""
    height, width = image.shape[:2]
    scale = min(loader.predict_short_side / min(height, width), loader.predict_long_side / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    if size != (height, width):
        pixels = interpolate(pixels, size=size, mode="bilinear", antialias=True)
    canvas_height, canvas_width = (-(-side // CANVAS_MULTIPLE) * CANVAS_MULTIPLE for side in size)
    canvas = torch.zeros(1, 3, canvas_height, canvas_width)
    canvas[:, :, : size[0], : size[1]] = pixels.float() / 255
    if (canvas_height, canvas_width) == size:
        return NetworkInput(canvas, None, size)
    padding = torch.ones(1, canvas_height, canvas_width, dtype=torch.bool)
    padding[:, : size[0], : size[1]] = False
    return NetworkInput(canvas, padding, size)
