"""Overlap and boundary measures against examples worked out by hand."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

from rise_engine.errors import RiseError
from rise_engine.evaluation.ocid import OcidScores, evaluate_ocid, mean_scores, score_frame
from rise_engine.project.segmentation import from_mask

SIDE = 100
"""The diagonal is 141.4 pixels, 0.3 % of it 0.42: boundaries may be one pixel apart."""


def _frame(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Boxes x0, y0, x1, y1 (half-open) numbered from 1."""
    numbers = np.zeros((SIDE, SIDE), dtype=np.int32)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        numbers[y0:y1, x0:x1] = number
    return numbers


def _about(*values: float) -> Any:
    return pytest.approx(values)


def test_the_same_objects_under_other_numbers_are_100() -> None:
    truth, found = _frame((10, 10, 30, 30), (50, 50, 80, 90)), _frame((50, 50, 80, 90), (10, 10, 30, 30)) * 7
    assert astuple(score_frame(truth, found)) == (100.0,) * 7


def test_half_an_object_and_a_false_one() -> None:
    # 800 of 1,600 pixels found, by 800 right and 400 wrong ones: P = 2/3, R = 1/2, F = 4/7.
    truth, found = _frame((10, 10, 50, 50)), _frame((10, 10, 30, 50), (70, 70, 90, 90))
    scores = score_frame(truth, found)
    assert (scores.overlap_precision, scores.overlap_recall, scores.overlap_f) == _about(200 / 3, 50, 400 / 7)
    # F of the pair is 2 * 800 / (1600 + 800) = 2/3, which is not above 0.75.
    assert scores.found75 == 0


def test_boundaries_counted_by_hand() -> None:
    # The boundary of a w x h box away from the image's edge: its own last column and row, and the column before the
    # first and the row above, with the corner above left: (w + 1) + (w + 1) + (h - 1) + (h - 1) = 2 w + 2 h pixels.
    truth, found = _frame((20, 20, 60, 60)), _frame((20, 20, 60, 70))
    scores = score_frame(truth, found)
    # Found has 2 * 40 + 2 * 50 = 180 pixels, truth 160. Of found's, the row above (x 19..59: 41) and the two sides down
    # to one pixel below truth's last row 59 are near: rows 20..60, two columns, 82. In all 123.
    assert scores.boundary_precision == pytest.approx(100 * 123 / 180)
    # Of truth's, the top (41) and the sides of rows 20..59 are near found's sides (80), as far as they are boundary:
    # the bottom row 59 has x 19..59, of which x 18..20 and 58..60 are near: 19, 20, 58, 59. Sides: rows 20..58 twice.
    assert scores.boundary_recall == pytest.approx(100 * (41 + 2 * 39 + 4) / 160)
    assert scores.overlap_precision == pytest.approx(80)
    assert scores.overlap_recall == 100
    # F = 2 * 1600 / (1600 + 2000) = 0.889.
    assert scores.found75 == 100


def test_a_shift_of_one_pixel_leaves_the_boundary_right_and_of_two_does_not() -> None:
    truth = _frame((20, 20, 60, 60))
    assert score_frame(truth, _frame((21, 20, 61, 60))).boundary_f == 100
    assert score_frame(truth, _frame((22, 20, 62, 60))).boundary_f < 70


def test_matching_takes_the_largest_sum_not_the_first_best() -> None:
    # Prediction 1 covers both objects, best the first; prediction 2 lies only in the first. Greedy matching would give
    # prediction 1 to object 1 and leave prediction 2 and object 2 without a partner.
    truth = _frame((0, 0, 20, 20), (20, 0, 38, 20))
    found = np.zeros((SIDE, SIDE), dtype=np.int32)
    found[0:12, 0:38] = 1
    found[12:20, 0:20] = 2
    scores = score_frame(truth, found)
    # Pairs: object 1 with prediction 2 (160 pixels), object 2 with prediction 1 (216), of 456 + 160 found, 760 true.
    # Sum of F: 2*160/560 + 2*216/816 = 1.10; the other way 2*240/856 + 0 = 0.56.
    assert (scores.overlap_precision, scores.overlap_recall) == _about(100 * 376 / 616, 100 * 376 / 760)


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        (_frame((10, 10, 30, 30)), _frame(), (100, 0, 0, 100, 0, 0, 0)),
        (_frame(), _frame((10, 10, 30, 30)), (0, 100, 0, 0, 100, 0, 0)),
        (_frame(), _frame(), (100,) * 7),
        (_frame((10, 10, 30, 30)), _frame((60, 60, 80, 80)), (0,) * 7),
    ],
)
def test_nothing_found_or_nothing_there(truth: np.ndarray, found: np.ndarray, expected: tuple[float, ...]) -> None:
    assert astuple(score_frame(truth, found)) == expected


def test_an_object_that_fills_the_frame_has_no_boundary_to_miss() -> None:
    assert astuple(score_frame(_frame((0, 0, SIDE, SIDE)), _frame((0, 0, SIDE, SIDE)))) == (100.0,) * 7


def test_means_are_over_frames() -> None:
    assert mean_scores([OcidScores(*[100.0] * 7), OcidScores(*[50.0] * 7)]) == OcidScores(*[75.0] * 7)


def _rle(numbers: np.ndarray) -> dict[str, Any]:
    return from_mask(numbers > 0)


def test_results_are_cut_by_score_laid_by_score_and_averaged_by_subset() -> None:
    box, part = _frame((10, 10, 50, 50)), _frame((10, 10, 50, 30))
    truth = {
        "images": [{"id": number, "height": SIDE, "width": SIDE} for number in (1, 2)],
        "annotations": [
            {"image_id": 1, "segmentation": _rle(box), "iscrowd": 0},
            {"image_id": 2, "segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]]},
            {"image_id": 2, "segmentation": _rle(_frame((60, 60, 90, 90))), "iscrowd": 1},
        ],
    }
    results = [
        # The better one on top: of the worse, the lower half is left.
        {"image_id": 1, "segmentation": _rle(part), "score": 0.9},
        {"image_id": 1, "segmentation": _rle(box), "score": 0.8},
        {"image_id": 1, "segmentation": _rle(_frame((60, 60, 90, 90))), "score": 0.29},
        {"image_id": 7, "segmentation": _rle(box), "score": 0.9},
    ]
    scores = evaluate_ocid(truth, results, {1: "ARID20/table/top", 2: "YCB10/floor/top"})
    first, second = scores["subsets"]["ARID20/table/top"], scores["subsets"]["YCB10/floor/top"]
    assert first["overlap"] == pytest.approx({"P": 50, "R": 50, "F": 50})
    assert second["overlap"] == {"P": 100, "R": 0, "F": 0}
    assert scores["overlap"] == pytest.approx({"P": 75, "R": 25, "F": 25})
    assert (first["frames"], second["frames"]) == (1, 1)
    with pytest.raises(RiseError, match="no frame"):
        evaluate_ocid({"images": [], "annotations": []}, [], {})
