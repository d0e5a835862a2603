"""Outlines of instances, compared with scipy's erosion, and on large frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from rise_napari.layers.mask_patch import MaskPatch
from rise_napari.layers.outlines import Outline, downsampling_step, draw_outlines

SIZE = (40, 60)


def blob(seed: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    for row, column, radius in np.random.default_rng(seed).integers((0, 0, 3), (40, 60, 9), (4, 3)):
        mask |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask


def drawn(*best_first: np.ndarray, width: int) -> np.ndarray:
    size = best_first[0].shape
    return draw_outlines([Outline.of(MaskPatch.of(mask), size, width=width) for mask in best_first], size)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_an_outline_is_the_difference_to_the_erosion(seed: int, width: int) -> None:
    mask = blob(seed)
    expected = mask & ~binary_erosion(mask, iterations=width)
    assert np.array_equal(drawn(mask, width=width) > 0, expected)


def test_a_better_instance_covers_those_after_it() -> None:
    best, worse = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    best[5:25, 5:25] = worse[15:35, 15:35] = True
    image = drawn(best, worse, width=1)
    assert image[5, 10] == 1
    assert image[34, 20] == 2
    assert image[24, 20] == 1
    assert image[15, 20] == 0, "the edge of the worse one is hidden inside the better one"


def test_outlines_of_a_large_frame_are_downsampled_in_place() -> None:
    size = (1944, 2592)
    assert downsampling_step(size) == 2
    mask = np.zeros(size, bool)
    mask[101:301, 403:807] = True
    image = drawn(mask, width=1)
    assert image.shape == (972, 1296)
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max()) == (51, 150)
    assert (columns.min(), columns.max()) == (202, 403)


def test_no_instances_and_empty_masks_draw_nothing() -> None:
    assert not draw_outlines([], SIZE).any()
    assert not drawn(np.zeros(SIZE, bool), width=2).any()
