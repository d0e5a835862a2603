"""Rendered frames on disk, and the views that the starter learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rise_engine.config import RiseConfig
from rise_engine.errors import RiseError
from rise_engine.experiments.starter_frames import DRAWN, draw, frame_paths, image_path, read_frame, render, write_frame
from rise_engine.experiments.starter_views import (
    LONGEST_SIDE,
    MOST_OBJECTS,
    SHORT_SIDES,
    SMALLEST_TARGET,
    crop_window,
    training_view,
    training_views,
)
from rise_engine.project.frame import LabelledFrame


def test_a_frame_is_read_as_it_was_written(tmp_path: Path) -> None:
    image = np.full((32, 48, 3), 90, np.uint8)
    masks = np.zeros((300, 32, 48), bool)
    masks.reshape(300, -1)[np.arange(300), np.arange(300)] = True
    path = image_path(tmp_path, DRAWN, 7)
    write_frame(path, LabelledFrame("", image, masks, np.zeros(300, np.int64)))
    pixels, labels = read_frame(path)
    assert np.abs(pixels.astype(int) - 90).max() <= 2
    assert np.array_equal(labels[None] == np.arange(1, 301)[:, None, None], masks)
    assert frame_paths(tmp_path, DRAWN) == [path]


def test_rendering_continues_where_it_stopped(tmp_path: Path) -> None:
    assert render(tmp_path, DRAWN, draw, first=0, count=2, seed=1) == 2
    first = frame_paths(tmp_path, DRAWN)[0].read_bytes()
    frame_paths(tmp_path, DRAWN)[1].with_suffix(".png").unlink()
    assert render(tmp_path, DRAWN, draw, first=0, count=3, seed=1) == 2
    assert frame_paths(tmp_path, DRAWN)[0].read_bytes() == first
    render(tmp_path / "other", DRAWN, draw, first=0, count=1, seed=1)
    assert frame_paths(tmp_path / "other", DRAWN)[0].read_bytes() == first


def grid_of_objects(count: int) -> np.ndarray:
    """An instance map with count x count objects of 8 x 8 pixels."""
    numbers = np.arange(1, count * count + 1, dtype=np.int32).reshape(count, count)
    return np.pad(np.kron(numbers, np.ones((8, 8), np.int32)), 2)


def test_a_view_has_the_sizes_of_prediction_and_targets_that_can_be_seen() -> None:
    augment = RiseConfig.preset("laptop", "idol").augment
    labels = grid_of_objects(5)
    image = np.repeat((labels * 9 % 256).astype(np.uint8)[..., None], 3, 2)
    shorts = set()
    for seed in range(20):
        view = training_view(image, labels, np.random.default_rng(seed), augment)
        assert view is not None
        picture, masks = view
        shorts.add(min(picture.shape[1:]))
        assert picture.shape[1:] == masks.shape[1:]
        assert max(picture.shape[1:]) <= LONGEST_SIDE
        assert (masks.flatten(1).sum(1) >= SMALLEST_TARGET).all()
        assert masks.sum(0).max() <= 1
    assert min(shorts) >= SHORT_SIDES[0]
    assert max(shorts) <= SHORT_SIDES[1]
    assert len(shorts) > 3


def test_a_crowded_frame_is_cropped_until_the_queries_suffice() -> None:
    labels = grid_of_objects(20)
    for seed in range(20):
        top, left, height, width = crop_window(labels, np.random.default_rng(seed))
        assert len(np.unique(labels[top : top + height, left : left + width])) <= MOST_OBJECTS


def test_views_repeat_and_can_begin_later(tmp_path: Path) -> None:
    augment = RiseConfig.preset("laptop", "idol").augment
    render(tmp_path, DRAWN, draw, first=0, count=2, seed=1)
    shares = {DRAWN: 1.0, "simulated": 2.0}
    views = training_views(tmp_path, shares, augment, seed=5)
    next(views)
    second = next(views)
    again = next(training_views(tmp_path, shares, augment, seed=5, first=1))
    assert all(bool((a == b).all()) for a, b in zip(second, again, strict=True))
    third = next(training_views(tmp_path, shares, augment, seed=5, first=2))
    pair = training_views(tmp_path, shares, augment, seed=5, step=2)
    next(pair)
    assert bool((next(pair)[0] == third[0]).all())
    with pytest.raises(RiseError, match="has no frames"):
        next(training_views(tmp_path / "empty", shares, augment, seed=5))
