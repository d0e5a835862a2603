"""Weak, strong and per-object augmentation: ranges, repeatability, and what must not change."""

from __future__ import annotations

import itertools

import kornia
import numpy as np
import pytest
import torch

from rise_engine.config import AugmentConfig
from rise_engine.pseudo_sequences.augment import (
    STRONG_OPERATIONS,
    adjust,
    colour_jitter,
    gaussian_blur,
    grayscale,
    planckian_jitter,
    sample_object,
    sample_strong_motion,
    sample_weak,
    strong_augmentation,
)
from rise_engine.pseudo_sequences.geometry import apply

CONFIG = AugmentConfig()


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1))


def zoom_and_turn(matrix: np.ndarray) -> tuple[float, float]:
    """Scale and rotation in degrees of an unmirrored similarity."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0])), float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))


def test_weak_draws_stay_in_range_and_fill_it(rng: np.random.Generator) -> None:
    size = (100, 200)
    draws = [sample_weak(rng, CONFIG, size, flip=False) for _ in range(500)]
    zooms, turns = zip(*(zoom_and_turn(draw.matrix) for draw in draws), strict=True)
    shifts = np.array([apply(draw.matrix, np.array([[100.0, 50.0]]))[0] - (100, 50) for draw in draws])
    brightness = [draw.brightness for draw in draws]
    for values, limit, middle in (
        (zooms, 0.1, 1),
        (turns, 4, 0),
        (shifts[:, 0], 10, 0),
        (shifts[:, 1], 5, 0),
        (brightness, 0.1, 1),
    ):
        distance = np.asarray(values) - middle
        assert np.abs(distance).max() <= limit + 1e-9
        assert distance.max() > 0.9 * limit and distance.min() < -0.9 * limit


def test_the_strong_view_moves_within_ranges_of_its_own(rng: np.random.Generator) -> None:
    size = (100, 200)
    config = AugmentConfig(strong_rotation=30, strong_scale=(0.5, 1.5), strong_shift=0.2)
    draws = [sample_strong_motion(rng, config, size).matrix for _ in range(500)]
    zooms, turns = zip(*(zoom_and_turn(matrix) for matrix in draws), strict=True)
    shifts = np.array([apply(matrix, np.array([[100.0, 50.0]]))[0] - (100, 50) for matrix in draws])
    for values, limit, middle in ((zooms, 0.5, 1), (turns, 30, 0), (shifts[:, 0], 40, 0), (shifts[:, 1], 20, 0)):
        distance = np.asarray(values) - middle
        assert np.abs(distance).max() <= limit + 1e-9
        assert distance.max() > 0.9 * limit and distance.min() < -0.9 * limit


def test_the_strong_view_is_mirrored_either_way_only_when_asked(rng: np.random.Generator) -> None:
    still = {"strong_rotation": 0.0, "strong_scale": (1.0, 1.0), "strong_shift": 0.0}
    for mirror, wanted in ((False, {(1.0, 1.0)}), (True, {(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)})):
        config = AugmentConfig(strong_mirror=mirror, **still)
        matrices = [sample_strong_motion(rng, config, (50, 60)).matrix for _ in range(100)]
        assert {(float(matrix[0, 0]), float(matrix[1, 1])) for matrix in matrices} == wanted
        # The picture stays where it is: its centre does not move.
        assert all(np.allclose(apply(matrix, np.array([[30.0, 25.0]])), [[30.0, 25.0]]) for matrix in matrices)


def test_only_the_first_view_may_mirror(rng: np.random.Generator) -> None:
    determinants = [np.linalg.det(sample_weak(rng, CONFIG, (50, 60), flip=True).matrix) for _ in range(300)]
    assert 0.4 < np.mean(np.less(determinants, 0)) < 0.6
    assert all(np.linalg.det(sample_weak(rng, CONFIG, (50, 60), flip=False).matrix) > 0 for _ in range(50))


def test_object_draws_cover_all_turns_and_both_mirrors(rng: np.random.Generator) -> None:
    draws = [sample_object(rng, CONFIG) for _ in range(400)]
    zooms = [np.sqrt(abs(np.linalg.det(draw.matrix))) for draw in draws]
    assert 0.7 <= min(zooms) < 0.75 and 1.25 < max(zooms) <= 1.3
    mirrored = [np.linalg.det(draw.matrix) < 0 for draw in draws]
    assert 0.4 < np.mean(mirrored) < 0.6
    angles = [zoom_and_turn(draw.matrix)[1] for draw in draws]
    assert np.histogram(angles, bins=8, range=(-180, 180))[0].min() > 25
    assert all(0.9 <= draw.brightness <= 1.1 and 0.9 <= draw.contrast <= 1.1 for draw in draws)


def test_adjust_multiplies_then_spreads_about_the_mean_grey() -> None:
    image = torch.tensor([0.2, 0.6]).expand(3, 1, 2)
    # Doubled: 0.4 and 1 (clamped), mean 0.7; half the contrast: 0.55 and 0.85.
    changed = adjust(image, brightness=2.0, contrast=0.5)
    torch.testing.assert_close(changed, torch.tensor([0.55, 0.85]).expand(3, 1, 2), atol=1e-3, rtol=0)


def test_colour_jitter_only_darkens_by_default(image: torch.Tensor, rng: np.random.Generator) -> None:
    for _ in range(20):
        jittered = colour_jitter(rng, CONFIG)(image)
        assert jittered.mean() < image.mean() and jittered.std() < image.std()
    mild = colour_jitter(rng, AugmentConfig(strong_jitter=(1, 1)))(image)
    torch.testing.assert_close(mild, image, atol=1e-5, rtol=0)


def test_planckian_jitter_leaves_green_and_uses_the_blackbody_table(
    image: torch.Tensor, rng: np.random.Generator
) -> None:
    expected = kornia.augmentation.RandomPlanckianJitter(mode="blackbody").pl
    seen = set()
    for _ in range(300):
        jittered = planckian_jitter(rng, CONFIG)(image * 0.5)
        assert torch.equal(jittered[1], image[1] * 0.5)
        # The darkest pixel is never clamped, so it shows the factor.
        factors = torch.stack([jittered[c].min() / (image[c].min() * 0.5) for c in (0, 2)])
        row = int((expected - factors).abs().sum(dim=1).argmin())
        torch.testing.assert_close(factors, expected[row], atol=1e-4, rtol=1e-4)
        seen.add(row)
    assert seen == set(range(25))


def test_grayscale_weighs_the_channels(rng: np.random.Generator) -> None:
    colours = torch.eye(3)[:, None]
    grey = grayscale(rng, CONFIG)(colours)
    torch.testing.assert_close(grey, torch.tensor([0.299, 0.587, 0.114]).expand(3, 1, 3))


def test_blur_spreads_a_dot_evenly_around_its_place(rng: np.random.Generator) -> None:
    image = torch.zeros(3, 15, 17)
    image[:, 6, 9] = 1
    blurred = gaussian_blur(rng, CONFIG)(image)
    assert blurred.sum().item() == pytest.approx(3, abs=1e-4)
    assert int(blurred[0].argmax()) == 6 * 17 + 9
    torch.testing.assert_close(blurred[0, 4:9, 7:12], blurred[0, 4:9, 7:12].flip(0, 1))


def test_strong_keeps_the_geometry_and_the_range(rng: np.random.Generator) -> None:
    config = AugmentConfig(strong_operations=4)
    for _ in range(30):
        image = torch.full((3, 15, 17), 0.1)
        image[:, 6, 9] = 0.9
        strong = strong_augmentation(image, rng, config)
        assert strong.shape == image.shape and strong.min() >= 0 and strong.max() <= 1
        assert int(strong[1].argmax()) == 6 * 17 + 9
        assert torch.count_nonzero((strong[1] - strong[1, 0, 0]).abs() > 1e-6) <= 25


def test_as_many_different_operations_as_asked(image: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    recorded = {
        name: lambda rng, config, name=name: lambda image: (calls.append(name), image)[1] for name in STRONG_OPERATIONS
    }
    monkeypatch.setattr("rise_engine.pseudo_sequences.augment.STRONG_OPERATIONS", recorded)
    rng = np.random.default_rng(0)
    pairs = set()
    for _ in range(200):
        calls.clear()
        strong_augmentation(image, rng, AugmentConfig(strong_operations=2))
        pairs.add(tuple(calls))
    assert pairs == set(itertools.permutations(STRONG_OPERATIONS, 2))


def test_no_operations_change_nothing(image: torch.Tensor, rng: np.random.Generator) -> None:
    assert torch.equal(strong_augmentation(image, rng, AugmentConfig(strong_operations=0)), image)


def test_draws_come_from_the_generator_alone(image: torch.Tensor) -> None:
    config = AugmentConfig(strong_operations=4)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = strong_augmentation(image, np.random.default_rng(5), config)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(strong_augmentation(image, np.random.default_rng(5), config), first)
    assert not torch.equal(strong_augmentation(image, np.random.default_rng(6), config), first)
