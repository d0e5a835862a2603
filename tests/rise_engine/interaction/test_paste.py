"""Objects rendered and pasted, and what stays visible."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rise_engine.interaction.augment import ObjectAugmentation
from rise_engine.interaction.bank import CutOut
from rise_engine.interaction.geometry import rotation, scaling, translation
from rise_engine.interaction.paste import Canvas, ObjectPatch, Stamp

PLAIN = ObjectAugmentation(np.eye(3), 1.0, 1.0)


def block(height: int, width: int, *, left: int = 0, top: int = 0, colour: float = 1.0) -> Stamp:
    return Stamp(torch.full((3, height, width), colour), torch.ones(height, width), left, top)


def empty_canvas(masks: torch.Tensor | None = None) -> Canvas:
    masks = torch.zeros(0, 30, 40, dtype=torch.bool) if masks is None else masks
    return Canvas(torch.zeros(3, 30, 40), masks, torch.arange(len(masks)) + 3, room=4)


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
    stamp = patch.render(patch.at_origin(np.eye(3)), (30, 40))
    assert stamp is not None and stamp.size == (4, 6) and (stamp.left, stamp.top) == (0, 0)
    expected = torch.zeros(4, 6, dtype=torch.bool)
    expected[:, :2] = expected[3] = True
    assert torch.equal(stamp.mask, expected)
    torch.testing.assert_close(stamp.colours[:, 3, 5] * 255, torch.tensor([200.0, 100, 50]), atol=0.5, rtol=0)


def test_a_quarter_turn_swaps_the_sides(patch: ObjectPatch) -> None:
    pose = translation(10, 5) @ patch.at_origin(rotation(90))
    assert patch.extent(pose) == pytest.approx((10, 5, 14, 11))
    stamp = patch.render(pose, (30, 40))
    assert stamp is not None and (stamp.left, stamp.top, *stamp.size) == (10, 5, 6, 4)
    expected = torch.zeros(6, 4, dtype=torch.bool)
    expected[:2] = expected[:, 0] = True
    assert torch.equal(stamp.mask, expected)


def test_scaling_scales_the_area(patch: ObjectPatch) -> None:
    stamp = patch.render(patch.at_origin(scaling(3, 3)), (30, 40))
    assert stamp is not None and stamp.size == (12, 18)
    assert int(stamp.mask.sum()) == pytest.approx(9 * 12, rel=0.05)


def test_a_patch_is_cut_at_the_scenes_edge_and_absent_beyond_it(patch: ObjectPatch) -> None:
    stamp = patch.render(translation(37, 28) @ patch.at_origin(np.eye(3)), (30, 40))
    assert stamp is not None and (stamp.left, stamp.top, *stamp.size) == (37, 28, 2, 3)
    assert stamp.mask.tolist() == [[True, True, False]] * 2
    assert patch.render(translation(41, 0) @ patch.at_origin(np.eye(3)), (30, 40)) is None


def test_the_background_of_a_cut_out_is_not_pasted(patch: ObjectPatch) -> None:
    canvas = empty_canvas()
    stamp = patch.render(patch.at_origin(np.eye(3)), canvas.size)
    assert stamp is not None
    canvas.paste(stamp.moved_to(10, 10), label=1, identity=0)
    image = canvas.scene(brightness=1, min_visible=0, min_area=1).image
    torch.testing.assert_close(image[:, 13, 14] * 255, torch.tensor([200.0, 100, 50]), atol=0.5, rtol=0)
    assert image[:, 10, 14].max() < 0.01
    assert image.sum(dim=0).count_nonzero() == 12


def test_later_objects_hide_earlier_ones() -> None:
    own = torch.zeros(1, 30, 40, dtype=torch.bool)
    own[0, :10, :10] = True
    canvas = empty_canvas(own)
    canvas.paste(block(10, 10, left=5, colour=0.5), label=8, identity=1)
    canvas.paste(block(10, 10, left=10, colour=0.9), label=9, identity=2)
    scene = canvas.scene(brightness=1, min_visible=0, min_area=1)
    assert scene.masks.sum(dim=(1, 2)).tolist() == [50, 50, 100]
    assert int(scene.masks.sum(dim=0).max()) == 1
    assert (scene.labels.tolist(), scene.ids.tolist()) == ([3, 8, 9], [0, 1, 2])
    assert scene.pasted.tolist() == [False, True, True]
    assert scene.image[0, 0, [4, 5, 10]].tolist() == pytest.approx([0, 0.5, 0.9])
    assert torch.equal(canvas.covered().nonzero()[:, 1].unique(), torch.arange(5, 20))


def test_the_frames_own_masks_may_overlap() -> None:
    own = torch.zeros(2, 30, 40, dtype=torch.bool)
    own[0, :10, :10] = own[1, :10, 5:15] = True
    scene = empty_canvas(own).scene(brightness=1, min_visible=0.15, min_area=32)
    assert torch.equal(scene.masks, own)


@pytest.mark.parametrize(("hidden_rows", "kept"), [(16, True), (17, True), (18, False)])
def test_what_is_mostly_hidden_is_no_target(hidden_rows: int, kept: bool) -> None:
    canvas = empty_canvas()
    canvas.paste(block(20, 20), label=1, identity=0)
    canvas.paste(block(hidden_rows, 20), label=1, identity=1)
    # Seventeen of twenty rows leave exactly the 15 % asked for.
    scene = canvas.scene(brightness=1, min_visible=0.15, min_area=32)
    assert scene.ids.tolist() == ([0, 1] if kept else [1])


def test_what_is_too_small_is_no_target() -> None:
    canvas = empty_canvas()
    canvas.paste(block(4, 8), label=1, identity=0)
    canvas.paste(block(5, 6, left=20), label=1, identity=1)
    assert canvas.scene(brightness=1, min_visible=0.15, min_area=32).ids.tolist() == [0]


def test_brightness_multiplies_and_clamps() -> None:
    canvas = empty_canvas()
    canvas.paste(block(10, 10, colour=0.8), label=1, identity=0)
    canvas.paste(block(10, 10, left=20, colour=0.5), label=1, identity=1)
    image = canvas.scene(brightness=1.5, min_visible=0, min_area=1).image
    assert image[0, 0, [0, 20]].tolist() == pytest.approx([1, 0.75])


def test_a_canvas_knows_what_is_visible_now() -> None:
    canvas = empty_canvas()
    canvas.paste(block(10, 10), label=1, identity=0)
    canvas.paste(block(5, 10), label=1, identity=1)
    # Of the first block half is left; of the lower half, four of five rows are a loss of 80 %, five of all.
    assert canvas.allows(block(4, 10, top=5), 0.85)
    assert not canvas.allows(block(5, 10, top=5), 0.85)
