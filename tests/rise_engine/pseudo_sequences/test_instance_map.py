"""One integer map instead of many masks: nothing is lost, and it moves as each mask would."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rise_engine.pseudo_sequences.geometry import rotation, scaling, translation, warp
from rise_engine.pseudo_sequences.instance_map import InstanceMap, moved_layers


def discs(rng: np.random.Generator, count: int, *, radius: int) -> np.ndarray:
    """Discs bool (count, 60, 80) at random places: with a large radius most of them overlap."""
    rows, columns = np.mgrid[:60, :80]
    centres = rng.uniform((0, 0), (60, 80), (count, 2))
    return np.stack([(rows - y) ** 2 + (columns - x) ** 2 <= radius**2 for y, x in centres])


def test_overlapping_objects_stay_whole(rng: np.random.Generator) -> None:
    masks = discs(rng, 9, radius=15)
    assert (masks.sum(axis=0) > 2).any()
    instances = InstanceMap.from_masks(masks)
    np.testing.assert_array_equal(instances.masks(), masks)
    assert len(instances.layers) > 2 and instances.layers.dtype == np.uint8


def test_without_overlap_one_layer_is_enough(rng: np.random.Generator) -> None:
    masks = np.arange(60 * 80).reshape(60, 80) % 300 == np.arange(300)[:, None, None]
    instances = InstanceMap.from_masks(masks)
    assert instances.layers.shape == (1, 60, 80) and instances.layers.dtype == np.int16
    np.testing.assert_array_equal(instances.masks(), masks)


def test_a_map_without_objects_has_a_layer_to_paste_on() -> None:
    instances = InstanceMap.from_masks(np.zeros((0, 6, 8), bool))
    assert len(instances) == 0 and instances.layers.shape == (1, 6, 8) and not instances.layers.any()


@pytest.mark.parametrize("seed", range(12))
def test_it_moves_as_each_mask_does_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = discs(rng, 8, radius=int(rng.integers(2, 16)))
    turn = translation(40, 30) @ rotation(rng.uniform(-180, 180)) @ scaling(rng.uniform(0.8, 2), rng.uniform(-2, -0.8))
    matrix = translation(*rng.uniform(-20, 20, 2)) @ turn @ translation(-40, -30)
    size = (70, 66)
    instances = InstanceMap.from_masks(masks)
    moved = InstanceMap(moved_layers(instances.layers, matrix, size), instances.layer_of).masks()

    # A frame ends at its edge, so within it the outermost pixels count in full.
    one = warp(torch.ones(1, 60, 80), matrix, size)[0]
    alone = warp(torch.from_numpy(masks).float(), matrix, size, padding="border")
    sure = ((alone - 0.5).abs() > 1e-4).all(0).numpy() & ((one == 1) | (one == 0)).numpy()
    assert sure.mean() > 0.8
    np.testing.assert_array_equal(moved[:, sure], ((alone > 0.5) & (one > 0)).numpy()[:, sure])


def test_no_gap_and_no_overlap_at_whole_steps() -> None:
    masks = np.zeros((2, 4, 6), bool)
    masks[0, :, :3] = masks[1, :, 3:] = True
    instances = InstanceMap.from_masks(masks)
    twice = moved_layers(instances.layers, scaling(2, 2), (8, 12))
    np.testing.assert_array_equal(twice[0], np.repeat(np.repeat(instances.layers[0], 2, 0), 2, 1))
    shifted = moved_layers(instances.layers, translation(2, -1), (4, 6))[0]
    assert shifted.tolist() == [[0, 0, 1, 1, 1, 2]] * 3 + [[0] * 6]
