"""Suggestions for a box or a click on pictures whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from rise_engine.annotation.prompt import suggest_at, suggest_in_box
from rise_engine.project.records import PredictedInstance
from rise_engine.project.segmentation import box_of, from_mask

SIZE = (120, 160)


def disc(row: int, column: int, radius: int) -> np.ndarray:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def picture(*discs: tuple[np.ndarray, tuple[int, int, int]]) -> np.ndarray:
    """Coloured discs on a noisy grey ground."""
    image = np.random.default_rng(0).integers(90, 110, (*SIZE, 3)).astype(np.uint8)
    for mask, colour in discs:
        image[mask] = colour
    return image


def candidate(mask: np.ndarray, score: float) -> PredictedInstance:
    rle = from_mask(mask)
    return PredictedInstance(rle, box_of(rle, *SIZE), 0, score)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.fixture
def shapes() -> tuple[np.ndarray, np.ndarray]:
    return disc(60, 50, 22), disc(60, 110, 22)


def test_a_box_finds_the_object_by_its_colours(shapes: tuple[np.ndarray, np.ndarray]) -> None:
    left, right = shapes
    image = picture((left, (200, 40, 40)), (right, (40, 40, 200)))
    (found,) = suggest_in_box(image, (27, 36, 74, 84), [])
    assert iou(found.mask, left) > 0.9
    assert found.score is None


def test_a_box_around_nothing_visible_or_nothing_at_all_does_no_harm() -> None:
    image = np.full((*SIZE, 3), 120, np.uint8)
    for box in ((10, 10, 60, 60), (10, 10, 10.5, 80), (0, 0, 160, 120)):
        assert all(one.mask.shape == SIZE for one in suggest_in_box(image, box, []))


def test_the_candidate_with_that_box_comes_first_and_as_it_is_second(shapes: tuple[np.ndarray, np.ndarray]) -> None:
    left, right = shapes
    image = picture((left, (200, 40, 40)), (right, (40, 40, 200)))
    rough = disc(62, 52, 20)
    known = [candidate(right, 0.9), candidate(rough, 0.2)]
    found = suggest_in_box(image, (28, 38, 73, 83), known)
    assert found[0].candidate == 1
    assert found[0].score == 0.2
    assert iou(found[0].mask, left) > iou(rough, left), "its outline went to the edges"
    assert any(np.array_equal(one.mask, rough) for one in found)


def test_a_candidate_elsewhere_is_not_forced_into_the_box(shapes: tuple[np.ndarray, np.ndarray]) -> None:
    left, right = shapes
    image = picture((left, (200, 40, 40)), (right, (40, 40, 200)))
    found = suggest_in_box(image, (27, 36, 74, 84), [candidate(right, 0.99)])
    assert [one.candidate for one in found] == [None]


def test_a_click_takes_the_best_candidate_under_it_then_the_smallest_good_one() -> None:
    whole, part = disc(60, 80, 40), disc(60, 80, 15)
    image = picture((whole, (60, 160, 60)), (part, (200, 60, 60)))
    known = [candidate(whole, 0.8), candidate(part, 0.5), candidate(disc(60, 80, 5), 0.05), candidate(whole, 0.1)]
    found = suggest_at(image, (60.0, 80.0), known)
    assert found[0].candidate == 0
    assert 1 in [one.candidate for one in found]
    assert 2 not in [one.candidate for one in found], "a candidate hardly believed does not count as good"


def test_a_click_without_a_candidate_finds_the_object_by_its_colours() -> None:
    small = disc(60, 80, 12)
    image = picture((small, (200, 40, 40)))
    (found,) = suggest_at(image, (60.0, 80.0), [], side=36)
    assert iou(found.mask, small) > 0.8


def test_pixels_of_other_objects_are_not_taken(shapes: tuple[np.ndarray, np.ndarray]) -> None:
    left, _ = shapes
    neighbour = disc(60, 85, 15)
    image = picture((left, (200, 40, 40)), (neighbour, (200, 40, 40)))
    (found,) = suggest_in_box(image, (27, 36, 102, 84), [], taken=neighbour)
    assert not (found.mask & neighbour).any()
    assert iou(found.mask, left & ~neighbour) > 0.8
