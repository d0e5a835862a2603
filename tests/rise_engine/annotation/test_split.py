"""Splitting a mask into parts."""

from __future__ import annotations

import numpy as np

from rise_engine.annotation.split import along, connected_parts, cut

SIZE = (30, 40)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_parts_that_do_not_touch_come_apart_the_largest_first() -> None:
    small, large = box(2, 2, 8, 8), box(2, 12, 20, 30)
    parts = connected_parts(small | large)
    assert [part.sum() for part in parts] == [large.sum(), small.sum()]
    assert np.array_equal(parts[0], large)


def test_corners_touch_and_crumbs_stay_with_the_largest() -> None:
    corner = box(2, 2, 8, 8) | box(8, 8, 14, 14)
    assert len(connected_parts(corner)) == 1
    crumb = box(20, 30, 22, 32)
    (whole,) = connected_parts(corner | crumb)
    assert np.array_equal(whole, corner | crumb)
    assert len(connected_parts(np.zeros(SIZE, bool))) == 1


def test_a_line_through_a_mask_makes_two_of_it_and_loses_no_pixel() -> None:
    mask = box(5, 5, 25, 35)
    for path in ([(0, 12), (29, 15)], [(-20, 10), (10, 15), (60, 22)]):
        first, second = cut(mask, path)
        assert first.sum() > second.sum()
        assert not (first & second).any()
        assert np.array_equal(first | second, mask)
        assert second[15, 5]
        assert first[15, 34]


def test_a_line_that_ends_inside_cuts_nothing() -> None:
    mask = box(5, 5, 25, 35)
    (whole,) = cut(mask, [(0, 12), (15, 12)])
    assert np.array_equal(whole, mask)
    (whole,) = cut(mask, [(0, 0), (2, 39)])
    assert np.array_equal(whole, mask)


def test_two_separate_parts_are_not_cut_by_a_line_beside_them() -> None:
    assert len(cut(box(2, 2, 8, 8) | box(2, 12, 20, 30), [(25, 0), (25, 39)])) == 1


def test_a_line_is_drawn_inside_the_frame_only() -> None:
    drawn = along([(-5, 3), (10, 3)], SIZE)
    assert np.array_equal(np.argwhere(drawn), [[row, 3] for row in range(11)])
    assert along([(4, 4)], SIZE).sum() == 1
