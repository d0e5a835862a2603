"""Convert a mask to polygons with the same pixels (COCO format: whole numbers are pixel corners)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from skimage.measure import find_contours

from rise_engine.project.segmentation import Polygons, mask_region


def outline(mask: NDArray[np.bool_]) -> Polygons:
    """Outer rings ``[[x0, y0, x1, y1, ...], ...]`` of a bool (H, W) mask; holes are filled."""
    region = mask_region(mask)
    if region is None:
        return []
    top, left = region[0].start, region[1].start
    padded = np.pad(binary_fill_holes(mask[region]), 1).astype(np.float64)
    # Contours are in pixel-centre coordinates of the padded array: minus one pixel, plus half a pixel to the corner.
    shift = np.array([top - 0.5, left - 0.5])
    rings = [contour[:-1] + shift for contour in find_contours(padded, 0.5, fully_connected="high")]
    return [np.flip(ring, axis=1).round(2).ravel().tolist() for ring in rings]
