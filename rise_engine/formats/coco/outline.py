"""From a mask to polygons that cover the same pixels (COCO format: corners at whole numbers are pixel corners)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from skimage.measure import find_contours

from rise_engine.project.segmentation import Polygons


def outline(mask: NDArray[np.bool_]) -> Polygons:
    """Outer rings ``[[x0, y0, x1, y1, ...], ...]`` of a bool (H, W) mask; holes are filled."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return []
    top, left = int(rows[0]), int(columns[0])
    inside = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    padded = np.pad(binary_fill_holes(inside), 1).astype(np.float64)
    # Contours run through pixel centres' coordinates of the padded array: one pixel back, half a pixel to the corner.
    shift = np.array([top - 0.5, left - 0.5])
    rings = [contour[:-1] + shift for contour in find_contours(padded, 0.5, fully_connected="high")]
    return [np.flip(ring, axis=1).round(2).ravel().tolist() for ring in rings]
