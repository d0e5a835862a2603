"""Affine maps between pictures, and pictures resampled along them.

Coordinates are continuous: the picture spans [0, W] x [0, H] and the centre of the pixel in column c and row r is
(c + 0.5, r + 0.5). So a map survives a change of resolution by scaling alone, and boxes are half-open.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]
"""3x3, takes a column (x, y, 1) to its place."""


def translation(x: float, y: float) -> Matrix:
    """The map that adds (x, y)."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def scaling(x: float, y: float) -> Matrix:
    """The map that multiplies by (x, y); a negative factor mirrors."""
    return np.diag([float(x), float(y), 1.0])


def rotation(degrees: float) -> Matrix:
    """The map that turns about the origin, from the x axis towards the y axis (clockwise on screen)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def about(centre: tuple[float, float], matrix: Matrix) -> Matrix:
    """``matrix`` carried out about ``centre`` (x, y) instead of the origin."""
    return translation(*centre) @ matrix @ translation(-centre[0], -centre[1])


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where ``matrix`` takes ``points`` (P, 2), as (P, 2)."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def sampling_grid(
    matrix: Matrix, source_size: tuple[int, int], size: tuple[int, int], *, device: torch.device | None = None
) -> Tensor:
    """For each pixel of a picture of ``size`` (h, w), where ``matrix`` brought it from, as (1, h, w, 2) float.

    ``matrix`` takes the source, of ``source_size`` (h, w), to the new picture. Values are normalised as
    ``torch.nn.functional.grid_sample(align_corners=False)`` wants them: -1 and 1 are the source's edges.
    """
    from_unit = scaling(size[1] / 2, size[0] / 2) @ translation(1.0, 1.0)
    to_unit = translation(-1.0, -1.0) @ scaling(2 / source_size[1], 2 / source_size[0])
    theta = to_unit @ np.linalg.inv(matrix) @ from_unit
    on_device = torch.from_numpy(theta[None, :2]).float().to(device, non_blocking=True)
    # Autocast would carry the coordinates out in 16 bits: off by more than a pixel.
    with torch.autocast(on_device.device.type, enabled=False):
        return F.affine_grid(on_device, [1, 1, *size], align_corners=False)


def warp(values: Tensor, matrix: Matrix, size: tuple[int, int], *, padding: str = "zeros") -> Tensor:
    """``values`` float (C, H, W) moved along ``matrix`` onto a picture of ``size`` (h, w), bilinear.

    ``padding`` is what lies beyond the source: ``zeros``, ``border`` or ``reflection``.
    """
    height, width = values.shape[-2:]
    grid = sampling_grid(matrix, (height, width), size, device=values.device)
    return F.grid_sample(values[None], grid, padding_mode=padding, align_corners=False)[0]


def warp_masks(masks: Tensor, motion: Tensor) -> Tensor:
    """``masks`` bool (N, H, W) moved along ``motion`` (2, 3) within the same picture; beyond its edge lies nothing."""
    if not len(masks):
        return masks
    matrix = np.vstack([motion.detach().cpu().double().numpy(), [0.0, 0.0, 1.0]])
    height, width = masks.shape[-2:]
    return warp(masks.float(), matrix, (height, width)) > 0.5
