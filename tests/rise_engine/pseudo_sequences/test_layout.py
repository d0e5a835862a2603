"""Outlines placed in a scene, and what stays visible."""

from __future__ import annotations

import numpy as np
import pytest

from rise_engine.pseudo_sequences.augment import ObjectAugmentation
from rise_engine.pseudo_sequences.bank import CutOut
from rise_engine.pseudo_sequences.geometry import rotation, scaling, translation
from rise_engine.pseudo_sequences.instance_map import InstanceMap
from rise_engine.pseudo_sequences.layout import Layout, ObjectPatch, Stamp, Visible

PLAIN = ObjectAugmentation(np.eye(3), 1.0, 1.0)


def block(height: int, width: int, *, left: int = 0, top: int = 0) -> Stamp:
    return Stamp(np.ones((height, width), bool), left, top, np.eye(3))


def empty_layout(masks: np.ndarray | None = None) -> Layout:
    masks = np.zeros((0, 30, 40), bool) if masks is None else masks
    return Layout(InstanceMap.from_masks(masks), np.arange(len(masks)) + 3, room=4)


def masks_of(seen: Visible) -> np.ndarray:
    return seen.layers[seen.layer_of] == seen.numbers[:, None, None]


@pytest.fixture
def patch() -> ObjectPatch:
    """An L of 4 x 6 pixels: a left column two wide and a bottom row."""
    mask = np.zeros((4, 6), dtype=bool)
    mask[:, :2] = mask[3] = True
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    image[mask] = (200, 100, 50)
    image[~mask] = (0, 0, 255)
    return ObjectPatch(CutOut(image, mask, label=0, frame="a"), PLAIN)


def test_an_unturned_patch_is_its_cut_out(patch: ObjectPatch) -> None:
    stamp = patch.stamp(patch.at_origin(np.eye(3)), (30, 40))
    assert stamp is not None and stamp.size == (4, 6) and (stamp.left, stamp.top) == (0, 0)
    expected = np.zeros((4, 6), bool)
    expected[:, :2] = expected[3] = True
    np.testing.assert_array_equal(stamp.mask, expected)


def test_a_quarter_turn_swaps_the_sides(patch: ObjectPatch) -> None:
    pose = translation(10, 5) @ patch.at_origin(rotation(90))
    assert patch.extent(pose) == pytest.approx((10, 5, 14, 11))
    stamp = patch.stamp(pose, (30, 40))
    assert stamp is not None and (stamp.left, stamp.top, *stamp.size) == (10, 5, 6, 4)
    expected = np.zeros((6, 4), bool)
    expected[:2] = expected[:, 0] = True
    np.testing.assert_array_equal(stamp.mask, expected)


def test_scaling_scales_the_area(patch: ObjectPatch) -> None:
    stamp = patch.stamp(patch.at_origin(scaling(3, 3)), (30, 40))
    assert stamp is not None and stamp.size == (12, 18)
    assert int(stamp.mask.sum()) == pytest.approx(9 * 12, rel=0.05)


def test_a_patch_is_cut_at_the_scenes_edge_and_absent_beyond_it(patch: ObjectPatch) -> None:
    stamp = patch.stamp(translation(37, 28) @ patch.at_origin(np.eye(3)), (30, 40))
    assert stamp is not None and (stamp.left, stamp.top, *stamp.size) == (37, 28, 2, 3)
    assert stamp.mask.tolist() == [[True, True, False]] * 2
    assert patch.stamp(translation(41, 0) @ patch.at_origin(np.eye(3)), (30, 40)) is None


def test_later_objects_hide_earlier_ones() -> None:
    own = np.zeros((1, 30, 40), bool)
    own[0, :10, :10] = True
    layout = empty_layout(own)
    layout.paste(block(10, 10, left=5), label=8, identity=1)
    layout.paste(block(10, 10, left=10), label=9, identity=2)
    seen = layout.visible(min_visible=0, min_area=1)
    masks = masks_of(seen)
    assert masks.sum(axis=(1, 2)).tolist() == [50, 50, 100]
    assert masks.sum(axis=0).max() == 1
    assert (seen.labels.tolist(), seen.ids.tolist()) == ([3, 8, 9], [0, 1, 2])
    assert seen.pasted.tolist() == [False, True, True]
    assert np.unique(np.nonzero(seen.layers[0] > seen.own)[1]).tolist() == list(range(5, 20))


def test_the_frames_own_masks_may_overlap() -> None:
    own = np.zeros((2, 30, 40), bool)
    own[0, :10, :10] = own[1, :10, 5:15] = True
    layout = empty_layout(own)
    np.testing.assert_array_equal(masks_of(layout.visible(min_visible=0.15, min_area=32)), own)
    # What is pasted hides both, also where they overlap.
    layout.paste(block(5, 40), label=0, identity=2)
    below = own.copy()
    below[:, :5] = False
    np.testing.assert_array_equal(masks_of(layout.visible(min_visible=0.15, min_area=20))[:2], below)


def test_more_objects_than_a_byte_can_number() -> None:
    own = np.zeros((253, 30, 40), bool)
    own.reshape(253, -1)[np.arange(253), np.arange(253)] = True
    layout = Layout(InstanceMap.from_masks(own), np.zeros(253, np.int64), room=4)
    for place in range(4):
        layout.paste(block(2, 2, left=2 * place, top=20), label=0, identity=253 + place)
    seen = layout.visible(min_visible=0, min_area=1)
    assert seen.ids.tolist() == list(range(257)) and masks_of(seen).sum() == 253 + 4 * 4


@pytest.mark.parametrize(("hidden_rows", "kept"), [(16, True), (17, True), (18, False)])
def test_what_is_mostly_hidden_is_no_target(hidden_rows: int, kept: bool) -> None:
    layout = empty_layout()
    layout.paste(block(20, 20), label=1, identity=0)
    layout.paste(block(hidden_rows, 20), label=1, identity=1)
    # Seventeen of twenty rows leave exactly the 15 % asked for.
    assert layout.visible(min_visible=0.15, min_area=32).ids.tolist() == ([0, 1] if kept else [1])


def test_what_is_too_small_is_no_target() -> None:
    layout = empty_layout()
    layout.paste(block(4, 8), label=1, identity=0)
    layout.paste(block(5, 6, left=20), label=1, identity=1)
    assert layout.visible(min_visible=0.15, min_area=32).ids.tolist() == [0]


def test_a_layout_knows_what_is_visible_now() -> None:
    layout = empty_layout()
    layout.paste(block(10, 10), label=1, identity=0)
    layout.paste(block(5, 10), label=1, identity=1)
    # Of the first block half is left; of the lower half, four of five rows are a loss of 80 %, five of all.
    assert layout.allows(block(4, 10, top=5), 0.85)
    assert not layout.allows(block(5, 10, top=5), 0.85)


def test_the_frames_own_objects_may_be_left_out_of_the_rule() -> None:
    own = np.zeros((1, 30, 40), bool)
    own[0, :10, :10] = True
    layout = empty_layout(own)
    assert not layout.allows(block(10, 10), 0.85)
    assert layout.allows(block(10, 10), 0.85, pasted_only=True)
