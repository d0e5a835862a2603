"""Maps and resampling, against places worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rise_engine.pseudo_sequences.geometry import about, apply, rotation, scaling, translation, warp, warp_masks


def dot(row: int, column: int, size: tuple[int, int] = (9, 13)) -> torch.Tensor:
    values = torch.zeros(1, *size)
    values[0, row, column] = 1
    return values


def place_of(values: torch.Tensor) -> tuple[int, int]:
    row, column = divmod(int(values.flatten().argmax()), values.shape[-1])
    return row, column


def test_a_quarter_turn_takes_the_x_axis_to_the_y_axis() -> None:
    points = apply(rotation(90), np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(points, [[0, 1], [-1, 0]], atol=1e-12)


def test_the_centre_stays_where_it_is() -> None:
    matrix = about((6.5, 4.5), rotation(31) @ scaling(1.2, 0.7))
    np.testing.assert_allclose(apply(matrix, np.array([[6.5, 4.5]])), [[6.5, 4.5]])


@pytest.mark.parametrize(
    ("matrix", "row", "column"),
    [
        (translation(3, -1), 1, 7),
        (about((6.5, 4.5), scaling(-1, 1)), 2, 8),
        (about((6.5, 4.5), rotation(90)), 2, 8),
        (about((6.5, 4.5), rotation(180)), 6, 8),
    ],
)
def test_a_dot_lands_where_the_map_says(matrix: np.ndarray, row: int, column: int) -> None:
    # Row 2, column 4 has its centre at (4.5, 2.5), that is (-2, -2) from the picture's centre.
    moved = warp(dot(2, 4), matrix, (9, 13))
    assert place_of(moved) == (row, column)
    assert moved.max() == pytest.approx(1, abs=1e-4)


def test_scaling_to_another_size_keeps_edges_on_edges() -> None:
    half = torch.zeros(1, 4, 6)
    half[..., 3:] = 1
    doubled = warp(half, scaling(2, 2), (8, 12))
    assert torch.equal(doubled[0] > 0.5, torch.arange(12).expand(8, 12) >= 6)


def test_border_padding_repeats_the_edge_and_zeros_do_not() -> None:
    values = torch.full((1, 4, 4), 0.5)
    matrix = translation(2, 0)
    assert warp(values, matrix, (4, 4))[0, 0].tolist() == [0, 0, 0.5, 0.5]
    assert warp(values, matrix, (4, 4), padding="border")[0, 0].tolist() == [0.5] * 4


def test_masks_move_along_the_motion_and_end_at_the_edge() -> None:
    masks = torch.zeros(2, 6, 8, dtype=torch.bool)
    masks[0, 1:3, 2:5] = True
    masks[1, 4:6, 6:8] = True
    moved = warp_masks(masks, torch.tensor([[1.0, 0, 1], [0, 1, 2]]))
    expected = torch.zeros_like(masks)
    expected[0, 3:5, 3:6] = True
    assert torch.equal(moved, expected)


def test_no_masks_stay_no_masks() -> None:
    assert warp_masks(torch.zeros(0, 6, 8, dtype=torch.bool), torch.eye(3)[:2]).shape == (0, 6, 8)
