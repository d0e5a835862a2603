"""Affine maps between images, and images resampled along them.

Coordinates are continuous: the image spans [0, W] x [0, H], and the centre of the pixel in column c and row r is
(c + 0.5, r + 0.5). So a change of resolution only scales a map, and boxes are half-open.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]
"""3x3, maps a column (x, y, 1) to its new position."""


def translation(x: float, y: float) -> Matrix:
    """The map that adds (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def scaling(x: float, y: float) -> Matrix:
    """The map that multiplies by (x, y); a negative factor mirrors."""
    return np.diag([float(x), float(y), 1.0])


def rotation(degrees: float) -> Matrix:
    """The map that rotates about the origin, from the x axis towards the y axis (clockwise on screen)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def about(centre: tuple[float, float], matrix: Matrix) -> Matrix:
    """``matrix`` applied about ``centre`` (x, y) instead of the origin."""
    return translation(*centre) @ matrix @ translation(-centre[0], -centre[1])


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The images (P, 2) of ``points`` (P, 2) under ``matrix``."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def sampling_grid(
    matrix: Matrix, source_size: tuple[int, int], size: tuple[int, int], *, device: torch.device | None = None
) -> Tensor:
    """The source position of each pixel of an image of ``size`` (h, w), as (1, h, w, 2) float.

    ``matrix`` maps the source, of ``source_size`` (h, w), to the new image. Values are normalised for
    ``torch.nn.functional.grid_sample(align_corners=False)``: -1 and 1 are the source's edges.
    """
    from_unit = scaling(size[1] / 2, size[0] / 2) @ translation(1.0, 1.0)
    to_unit = translation(-1.0, -1.0) @ scaling(2 / source_size[1], 2 / source_size[0])
    theta = to_unit @ np.linalg.inv(matrix) @ from_unit
    on_device = torch.from_numpy(theta[None, :2]).float().to(device, non_blocking=True)
    # Autocast would compute the coordinates in 16 bits: off by more than a pixel.
    with torch.autocast(on_device.device.type, enabled=False):
        return F.affine_grid(on_device, [1, 1, *size], align_corners=False)


def warp(values: Tensor, matrix: Matrix, size: tuple[int, int], *, padding: str = "zeros") -> Tensor:
    """``values`` float (C, H, W) moved along ``matrix`` to an image of ``size`` (h, w), bilinear.

    ``padding`` fills positions outside the source: ``zeros``, ``border`` or ``reflection``.
    """
    height, width = values.shape[-2:]
    grid = sampling_grid(matrix, (height, width), size, device=values.device)
    return F.grid_sample(values[None], grid, padding_mode=padding, align_corners=False)[0]


def warp_masks(masks: Tensor, motion: Tensor) -> Tensor:
    """``masks`` bool (N, H, W) moved along ``motion`` (2, 3) within the same image; False outside the source."""
    if not len(masks):
        return masks
    matrix = np.vstack([motion.detach().cpu().double().numpy(), [0.0, 0.0, 1.0]])
    height, width = masks.shape[-2:]
    return warp(masks.float(), matrix, (height, width)) > 0.5
