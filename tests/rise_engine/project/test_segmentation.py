from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from rise_engine.errors import RiseError
from rise_engine.project.segmentation import area_of, box_of, from_mask, from_patch, to_mask, to_patch


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (700, 3)])
def test_a_mask_survives_run_lengths(density: float, size: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).random(size) < density
    rle = from_mask(mask)
    assert isinstance(rle["counts"], str)
    assert (to_mask(rle, *size) == mask).all()
    assert area_of(rle, *size) == mask.sum()


@pytest.mark.parametrize("rows", [slice(0, 9), slice(2, 5), slice(4, 9), slice(0, 2)])
@pytest.mark.parametrize("columns", [slice(0, 3), slice(5, 8), slice(17, 20), slice(3, 19), slice(6, 7)])
@pytest.mark.parametrize("density", [0.4, 1.0])
def test_run_lengths_are_those_of_pycocotools_wherever_the_object_lies(
    rows: slice, columns: slice, density: float
) -> None:
    mask = np.zeros((9, 20), dtype=bool)
    mask[rows, columns] = np.random.default_rng(3).random(mask[rows, columns].shape) < density
    expected = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert from_mask(mask) == {"size": [9, 20], "counts": expected["counts"].decode("ascii")}


def test_long_runs_survive_the_length_check() -> None:
    mask = np.zeros((2000, 1500), dtype=bool)
    mask[3:1990, 7:9] = True
    mask[500:, 1400:] = True
    assert (to_mask(from_mask(mask), 2000, 1500) == mask).all()


def test_uncompressed_counts_go_down_the_columns() -> None:
    mask = to_mask({"size": [2, 3], "counts": [1, 2, 3]}, 2, 3)
    assert mask.tolist() == [[False, True, False], [True, False, False]]


def test_a_rectangle_polygon_covers_its_pixels_and_polygons_are_united() -> None:
    left, right = [1, 2, 4, 2, 4, 6, 1, 6], [6, 2, 8, 2, 8, 6, 6, 6]
    expected = np.zeros((10, 12), dtype=bool)
    expected[2:6, 1:4] = True
    expected[2:6, 6:8] = True
    assert (to_mask([left, right], 10, 12) == expected).all()
    assert box_of([left, right], 10, 12) == (1, 2, 8, 6)
    assert area_of([left, right], 10, 12) == 20


def test_empty_and_degenerate_polygons_are_empty_masks() -> None:
    assert not to_mask([], 5, 5).any()
    assert not to_mask([[1, 1, 3, 3]], 5, 5).any()
    assert box_of([], 5, 5) == (0, 0, 0, 0)


def test_corners_far_outside_do_not_take_memory() -> None:
    mask = to_mask([[0, 0, 1e12, 0, 1e12, 1e12, 0, 1e12]], 40, 50)
    assert mask.all()


@pytest.mark.parametrize(
    "broken",
    [
        {"size": [2, 3], "counts": [1, 2, 30]},
        {"size": [2, 3], "counts": [-1, 7]},
        {"size": [2, 3], "counts": "o" * 40},
        {"size": [2, 3], "counts": ""},
        {"size": [2, 3], "counts": None},
        {"size": [3, 2], "counts": [6]},
        [[0, 0, float("nan"), 1, 1, 1]],
        [[0, 0, "a", 1, 1, 1]],
    ],
)
def test_broken_masks_are_refused_before_the_library_sees_them(broken: object) -> None:
    with pytest.raises(RiseError):
        to_mask(broken, 2, 3)  # type: ignore[arg-type]


def test_the_length_check_agrees_with_the_library_on_random_masks() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        size = tuple(rng.integers(1, 60, 2))
        mask = rng.random(size) < rng.random()
        encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert (to_mask({"size": list(size), "counts": encoded["counts"]}, *size) == mask).all()


def test_a_patch_is_the_mask_inside_its_box() -> None:
    rng = np.random.default_rng(4)
    frame = np.zeros((31, 47), dtype=bool)
    masks = [rng.random((31, 47)) < density for density in (0.002, 0.05, 0.5, 1.1)]
    for number in range(20):
        masks.append(frame.copy())
        top, left = rng.integers(0, (31, 47))
        masks[-1][top : top + number, left : left + 2 * number] = True
    polygon = [[3.5, 2.25, 40.0, 4.0, 22.5, 30.0], [1.0, 20.0, 9.0, 20.0, 9.0, 28.0]]
    for segmentation in [*map(from_mask, masks), polygon, {"size": [31, 47], "counts": [0, 31 * 47]}]:
        expected = to_mask(segmentation, 31, 47)
        row, column, patch = to_patch(segmentation, 31, 47)
        found = frame.copy()
        found[row : row + patch.shape[0], column : column + patch.shape[1]] = patch
        np.testing.assert_array_equal(found, expected)
        if patch.size:
            assert from_patch(patch, row=row, column=column, height=31, width=47) == from_mask(expected)
        assert patch.size == 0 or (patch.any(axis=0)[[0, -1]].all() and patch.any(axis=1)[[0, -1]].all())
    assert to_patch(from_mask(frame), 31, 47)[2].shape == (0, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_rle_of_a_patch_equals_the_rle_of_the_whole_mask(
    rows: int, columns: int, x: int, y: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    region = rng.random((rows, columns)) < rng.choice([0.3, 0.9, 1.0])
    size = (y + rows + int(rng.integers(0, 3)), x + columns + int(rng.integers(0, 3)))
    frame = np.zeros(size, np.uint8)
    frame[y : y + rows, x : x + columns] = region
    expected = coco_mask.encode(np.asfortranarray(frame))
    height, width = size
    assert from_patch(region, row=y, column=x, height=height, width=width) == {
        "size": list(size),
        "counts": expected["counts"].decode(),
    }
