"""Pseudo-sequences: what the three views show, and how they belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from rise_engine.config import AugmentConfig, LoaderConfig, SequenceConfig
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.pseudo_sequences.bank import CutOut, InstanceBank
from rise_engine.pseudo_sequences.geometry import warp_masks
from rise_engine.pseudo_sequences.sequence import SequenceMaker
from rise_engine.pseudo_sequences.views import PseudoSequence, View

Maker = Callable[..., SequenceMaker]


def tensors(sequence: PseudoSequence) -> list[torch.Tensor]:
    """Everything a sequence holds, in a fixed order."""
    scenes = [getattr(scene, field.name) for scene in (sequence.before, sequence.after) for field in fields(View)]
    return [*scenes, sequence.strong, sequence.motion, sequence.covered]


def mask_of(scene: View, identity: int) -> torch.Tensor:
    return scene.masks[int((scene.ids == identity).nonzero())]


def black_with_dot(row: int, column: int) -> UnlabelledFrame:
    """A frame of 96 x 128 with one soft white spot, found again by its centre of mass."""
    rows, columns = np.mgrid[:96, :128]
    spot = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 2.0**2))
    return UnlabelledFrame("dot", np.repeat((spot * 255).astype(np.uint8)[..., None], 3, axis=2))


def centre_of_mass(image: torch.Tensor) -> np.ndarray:
    weights = image[0].double().numpy()
    y, x = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    return np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()


def test_the_motion_takes_a_dot_from_before_to_after(maker: Maker) -> None:
    moved = 0.0
    for seed in range(10):
        sequence = maker(AugmentConfig(brightness=0)).make(black_with_dot(60, 80), None, np.random.default_rng(seed))
        start, end = centre_of_mass(sequence.before.image), centre_of_mass(sequence.after.image)
        np.testing.assert_allclose(sequence.motion.numpy() @ [*start, 1], end, atol=0.1)
        moved = max(moved, float(np.abs(start - end).max()))
    assert moved > 3


def test_a_labelled_frames_masks_move_with_its_picture(noisy_frame: LabelledFrame, maker: Maker) -> None:
    for seed in range(5):
        sequence = maker().make(noisy_frame, None, np.random.default_rng(seed))
        warped = warp_masks(sequence.before.masks, sequence.motion)
        for identity in (0, 1):
            ours, expected = mask_of(sequence.after, identity), warped[identity]
            assert int((ours & expected).sum()) > 0.95 * int((ours | expected).sum())


def test_masks_mark_the_pixels_of_their_object(maker: Maker) -> None:
    image = np.zeros((96, 128, 3), dtype=np.uint8)
    masks = np.zeros((1, 96, 128), dtype=bool)
    masks[0, 10:70, 20:60] = True
    image[masks[0]] = 255
    frame = LabelledFrame("a", image, masks, np.array([0]))
    for seed in range(10):
        sequence = maker(AugmentConfig(brightness=0)).make(frame, None, np.random.default_rng(seed))
        for scene in (sequence.before, sequence.after):
            assert (((scene.image[0] > 0.5) != scene.masks[0]).sum()) < 0.01 * scene.masks[0].sum()


def test_a_still_maker_returns_the_frame(noisy_frame: LabelledFrame, maker: Maker, still: AugmentConfig) -> None:
    sequence = maker(still).make(noisy_frame, None, np.random.default_rng(0))
    expected = torch.from_numpy(noisy_frame.image).permute(2, 0, 1) / 255
    for image in (sequence.before.image, sequence.after.image, sequence.strong):
        torch.testing.assert_close(image, expected, atol=1e-4, rtol=0)
    for scene in (sequence.before, sequence.after):
        assert torch.equal(scene.masks, torch.from_numpy(noisy_frame.masks))
        assert (scene.labels.tolist(), scene.ids.tolist(), scene.pasted.tolist()) == ([2, 5], [0, 1], [False] * 2)
    assert sequence.name == "totes/a.jpg" and sequence.labelled
    torch.testing.assert_close(sequence.motion, torch.eye(3)[:2])


def test_an_unlabelled_frame_knows_only_what_was_pasted(
    noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker
) -> None:
    frame = UnlabelledFrame(noisy_frame.name, noisy_frame.image)
    for seed in range(10):
        sequence = maker().make(frame, bank, np.random.default_rng(seed))
        assert not sequence.labelled
        for scene in (sequence.before, sequence.after):
            assert scene.pasted.all() and set(scene.labels.tolist()) <= {7}
    assert len(sequence.before.ids)


def test_pasted_objects_are_disjoint_and_red(noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker) -> None:
    dark = UnlabelledFrame("dark", np.zeros_like(noisy_frame.image))
    augment = AugmentConfig(brightness=0, object_brightness=0)
    for seed in range(10):
        sequence = maker(augment, min_pasted=4).make(dark, bank, np.random.default_rng(seed))
        for scene in (sequence.before, sequence.after):
            red = scene.image[0] > 0.5
            assert int(scene.masks.sum(dim=0).max()) <= 1
            assert int((scene.masks.any(dim=0) != red).sum()) <= 0.1 * int(red.sum())
        assert not (sequence.after.masks.any(dim=0) & ~sequence.covered).any()
        assert int((sequence.covered ^ (sequence.after.image[0] > 0.5)).sum()) <= 0.05 * int(sequence.covered.sum())


def test_pasted_objects_are_cut_out_of_a_labelled_frames_own(
    noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker, still: AugmentConfig
) -> None:
    sequence = maker(still, min_pasted=4, min_visible=0).make(noisy_frame, bank, np.random.default_rng(0))
    before = sequence.before
    on_top = before.masks[before.pasted].any(dim=0)
    for mask, full in zip(before.masks[~before.pasted], torch.from_numpy(noisy_frame.masks), strict=True):
        assert torch.equal(mask, full & ~on_top)


@pytest.mark.parametrize(
    ("move", "remove", "kept", "moved"), [(0, 0, True, False), (1, 0, False, True), (0, 1, False, False)]
)
def test_objects_are_kept_moved_or_removed(
    noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker, move: float, remove: float, kept: bool, moved: bool
) -> None:
    frame = UnlabelledFrame("a", noisy_frame.image)
    build = maker(min_pasted=1, max_pasted=1, max_added=0, move_probability=move, remove_probability=remove)
    offsets = []
    for seed in range(12):
        sequence = build.make(frame, bank, np.random.default_rng(seed))
        assert sequence.before.ids.tolist() == [0]
        if not kept and not moved:
            assert len(sequence.after.ids) == 0 and not sequence.covered.any()
            continue
        if len(sequence.after.ids) == 0:  # shifted out of the picture by psi2
            continue
        place = warp_masks(sequence.before.masks, sequence.motion)[0]
        here = sequence.after.masks[0]
        offsets.append(int((place & here).sum()) / int(here.sum()))
    if kept:
        assert len(offsets) > 8 and min(offsets) > 0.85
    elif moved:
        assert len(offsets) == 12 and np.median(offsets) < 0.5


def test_a_moved_object_keeps_its_shape_and_identity(bank: InstanceBank, maker: Maker, still: AugmentConfig) -> None:
    frame = UnlabelledFrame("dark", np.zeros((96, 128, 3), dtype=np.uint8))
    build = maker(still, min_pasted=1, max_pasted=1, max_added=0, move_probability=1, remove_probability=0)
    for seed in range(6):
        sequence = build.make(frame, bank, np.random.default_rng(seed))
        crops = []
        for scene in (sequence.before, sequence.after):
            rows, columns = scene.masks[0].nonzero(as_tuple=True)
            crops.append(scene.masks[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
        assert torch.equal(crops[0], crops[1])
        assert sequence.before.ids.tolist() == sequence.after.ids.tolist() == [0]


def test_added_objects_have_new_identities(noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker) -> None:
    build = maker(min_pasted=2, max_pasted=2, max_added=2, move_probability=0, remove_probability=1)
    added = set()
    for seed in range(20):
        sequence = build.make(noisy_frame, bank, np.random.default_rng(seed))
        assert set(sequence.before.ids.tolist()) <= {0, 1, 2, 3}
        new = set(sequence.after.ids.tolist()) - {0, 1}
        assert new <= {4, 5}
        added.add(len(new))
    assert added == {0, 1, 2}


def test_identities_are_unique_and_persist(noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker) -> None:
    for seed in range(20):
        sequence = maker().make(noisy_frame, bank, np.random.default_rng(seed))
        labels: dict[int, int] = {}
        for scene in (sequence.before, sequence.after):
            ids = scene.ids.tolist()
            assert len(set(ids)) == len(ids) == len(scene.masks) == len(scene.labels) == len(scene.pasted)
            for identity, label, pasted in zip(ids, scene.labels.tolist(), scene.pasted.tolist(), strict=True):
                assert labels.setdefault(identity, label) == label
                assert pasted == (identity >= 2)
        assert labels[0] == 2 and labels[1] == 5


def test_k_is_drawn_between_its_bounds(bank: InstanceBank, maker: Maker) -> None:
    frame = UnlabelledFrame("a", np.zeros((96, 128, 3), dtype=np.uint8))
    build = maker(min_pasted=1, max_pasted=3, max_overlap=1, min_visible=0, min_area=1)
    counts = [len(build.make(frame, bank, np.random.default_rng(seed)).before.ids) for seed in range(60)]
    assert set(counts) == {1, 2, 3}


@pytest.mark.parametrize("empty", [None, InstanceBank(5)])
def test_nothing_is_pasted_without_a_bank(noisy_frame: LabelledFrame, maker: Maker, empty: InstanceBank | None) -> None:
    sequence = maker().make(noisy_frame, empty, np.random.default_rng(0))
    assert not sequence.before.pasted.any() and not sequence.after.pasted.any() and not sequence.covered.any()


def test_nothing_is_pasted_when_switched_off(noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker) -> None:
    sequence = maker(enabled=False).make(noisy_frame, bank, np.random.default_rng(0))
    assert not sequence.before.pasted.any() and not sequence.after.pasted.any() and not sequence.covered.any()
    assert not torch.equal(sequence.before.image, sequence.after.image)
    assert not torch.equal(sequence.before.image, sequence.strong)


def test_an_object_that_would_hide_another_is_skipped(maker: Maker, still: AugmentConfig) -> None:
    # The object spans nearly the whole frame wherever it is put, and the one below it is small and central.
    masks = np.zeros((1, 96, 128), dtype=bool)
    masks[0, 44:52, 60:68] = True
    frame = LabelledFrame("a", np.zeros((96, 128, 3), np.uint8), masks, np.array([0]))
    large = InstanceBank(1)
    large.add(CutOut(np.full((72, 96, 3), 255, np.uint8), np.ones((72, 96), bool), label=1, frame="b"))
    for seed in range(5):
        sequence = maker(still, min_pasted=4, max_added=2).make(frame, large, np.random.default_rng(seed))
        assert sequence.before.ids.tolist() == sequence.after.ids.tolist() == [0]
        assert torch.equal(sequence.before.masks[0], torch.from_numpy(masks[0]))
    free = maker(still, min_pasted=4, max_overlap=1).make(frame, large, np.random.default_rng(0))
    assert free.before.pasted.any() and 0 not in free.before.ids.tolist()


def test_cut_outs_of_a_larger_frame_shrink_with_it(maker: Maker, still: AugmentConfig) -> None:
    frame = UnlabelledFrame("a", np.zeros((96, 128, 3), np.uint8))
    cut_out = CutOut(np.full((40, 60, 3), 255, np.uint8), np.ones((40, 60), bool), 0, "b", frame_side=192)
    areas = []
    for side in (192, 96, None):
        bank = InstanceBank(1)
        bank.add(replace(cut_out, frame_side=side))
        build = maker(still, min_pasted=1, max_pasted=1)
        areas.append(int(build.make(frame, bank, np.random.default_rng(0)).before.masks.sum()))
    assert areas == [20 * 30, 40 * 60, 40 * 60]


def test_a_cut_out_larger_than_the_scene_is_shrunk_to_fit(maker: Maker, still: AugmentConfig) -> None:
    bank = InstanceBank(1)
    bank.add(CutOut(np.full((50, 400, 3), 255, np.uint8), np.ones((50, 400), bool), 0, "b"))
    frame = UnlabelledFrame("a", np.zeros((96, 128, 3), np.uint8))
    build = maker(still, min_pasted=1, max_pasted=1)
    mask = build.make(frame, bank, np.random.default_rng(0)).before.masks[0]
    assert int(mask.any(dim=0).sum()) == 96 and int(mask.any(dim=1).sum()) == 12


def test_the_same_seed_makes_the_same_sequence(noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker) -> None:
    torch.manual_seed(0)
    first = maker().make(noisy_frame, bank, np.random.default_rng(11))
    torch.manual_seed(1)
    second = maker().make(noisy_frame, bank, np.random.default_rng(11))
    other = maker().make(noisy_frame, bank, np.random.default_rng(12))
    assert all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))
    assert not torch.equal(first.before.image, other.before.image)


def test_making_a_sequence_leaves_frame_and_bank_alone(
    noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker
) -> None:
    image, masks = noisy_frame.image.copy(), noisy_frame.masks.copy()
    patches = [cut_out.image.copy() for cut_out in bank]
    noisy_frame.image.setflags(write=False)
    for seed in range(5):
        maker().make(noisy_frame, bank, np.random.default_rng(seed))
    np.testing.assert_array_equal(noisy_frame.image, image)
    np.testing.assert_array_equal(noisy_frame.masks, masks)
    for cut_out, patch in zip(bank, patches, strict=True):
        np.testing.assert_array_equal(cut_out.image, patch)


def test_the_strong_view_has_the_geometry_of_before(maker: Maker) -> None:
    # Grey, so that no change of colour moves the centre of mass; the whole range of values, so that none saturates.
    augment = AugmentConfig(strong_operations=4)
    for seed in range(10):
        sequence = maker(augment).make(black_with_dot(50, 40), None, np.random.default_rng(seed))
        contrast = sequence.strong[1:2] - sequence.strong[1].min()
        np.testing.assert_allclose(centre_of_mass(contrast), centre_of_mass(sequence.before.image), atol=0.2)


def test_views_are_resized_and_cropped(noisy_frame: LabelledFrame, bank: InstanceBank) -> None:
    loader = LoaderConfig(short_sides=(64, 72), crop=80)
    maker = SequenceMaker(SequenceConfig(), AugmentConfig(), loader)
    sizes = set()
    for seed in range(12):
        sequence = maker.make(noisy_frame, bank, np.random.default_rng(seed))
        shape = tuple(sequence.before.image.shape[1:])
        sizes.add(shape)
        for tensor in (sequence.after.image, sequence.strong, sequence.before.masks, sequence.after.masks):
            assert tuple(tensor.shape[-2:]) == shape
        assert tuple(sequence.covered.shape) == shape
    assert sizes == {(64, 80), (72, 80)}


def test_a_portrait_frame_is_cropped_in_height(still: AugmentConfig) -> None:
    # Rows count up from 0, so a row of the view tells where the crop began.
    image = np.repeat(np.arange(200, dtype=np.uint8)[:, None, None], 64, axis=1).repeat(3, axis=2)
    maker = SequenceMaker(SequenceConfig(), still, LoaderConfig(short_sides=(64,), crop=100))
    starts = []
    for seed in range(20):
        view = maker.make(UnlabelledFrame("a", image), None, np.random.default_rng(seed)).before.image
        assert view.shape == (3, 100, 64)
        rows = (view[0, :, 0] * 255).round()
        assert torch.equal(rows - rows[0], torch.arange(100.0))
        starts.append(int(rows[0]))
    assert min(starts) < 20 and max(starts) > 80 and max(starts) <= 100


def test_no_black_corners(maker: Maker) -> None:
    frame = UnlabelledFrame("grey", np.full((96, 128, 3), 128, np.uint8))
    strongest = AugmentConfig(rotation=30, scale=(0.5, 0.6), brightness=0)
    sequence = maker(strongest).make(frame, None, np.random.default_rng(0))
    assert sequence.before.image.min() > 0.5 and sequence.after.image.min() > 0.5


def test_a_much_larger_frame_is_reduced_without_aliasing(still: AugmentConfig) -> None:
    # Pixel-fine noise must average to grey and the mask must stay where it was.
    image = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (640, 800, 1)).repeat(3, axis=2)
    masks = np.zeros((1, 640, 800), dtype=bool)
    masks[0, 160:320, 400:560] = True
    maker = SequenceMaker(SequenceConfig(), still, LoaderConfig(short_sides=(64,), crop=80))
    sequence = maker.make(LabelledFrame("a", image, masks, np.array([0])), None, np.random.default_rng(0))
    # A hundred pixels make one: a deviation of 0.05 or less; four that bilinear sampling sees would leave 0.25.
    assert sequence.before.image.std() < 0.06
    expected = torch.zeros(64, 80, dtype=torch.bool)
    expected[16:32, 40:56] = True
    assert torch.equal(sequence.before.masks[0], expected)


def test_a_frame_marked_empty_works(noisy_frame: LabelledFrame, bank: InstanceBank, maker: Maker) -> None:
    empty = replace(noisy_frame, masks=np.zeros((0, 96, 128), bool), categories=np.zeros(0, np.int64))
    sequence = maker().make(empty, bank, np.random.default_rng(0))
    assert sequence.labelled and sequence.before.pasted.all()
    assert sequence.before.masks.dtype == torch.bool and sequence.before.labels.dtype == torch.int64


def test_masks_end_where_the_frame_ends(maker: Maker) -> None:
    masks = np.ones((1, 96, 128), dtype=bool)
    frame = LabelledFrame("full", np.full((96, 128, 3), 128, np.uint8), masks, np.array([0]))
    halved = AugmentConfig(rotation=0, scale=(0.5, 0.5), shift=0, flip=False)
    before = maker(halved).make(frame, None, np.random.default_rng(0)).before.masks[0]
    expected = torch.zeros(96, 128, dtype=torch.bool)
    expected[24:72, 32:96] = True
    assert torch.equal(before, expected)


def test_both_views_are_mirrored_or_neither(maker: Maker, still: AugmentConfig) -> None:
    frame = black_with_dot(48, 30)
    for flip, expected in ((True, {30, 97}), (False, {30})):
        build = maker(still.model_copy(update={"flip": flip}))
        columns = set()
        for seed in range(12):
            sequence = build.make(frame, None, np.random.default_rng(seed))
            found = {int(view[0].amax(dim=0).argmax()) for view in (sequence.before.image, sequence.after.image)}
            assert len(found) == 1
            columns |= found
        assert columns == expected


def test_the_second_brightness_comes_on_top_of_the_first(maker: Maker, still: AugmentConfig) -> None:
    frame = UnlabelledFrame("grey", np.full((96, 128, 3), 128, np.uint8))
    build = maker(still.model_copy(update={"brightness": 0.3}))
    steps = []
    for seed in range(25):
        sequence = build.make(frame, None, np.random.default_rng(seed))
        before, after = sequence.before.image.mean().item(), sequence.after.image.mean().item()
        assert 0.69 < before / 0.502 < 1.31
        steps.append(after / before)
    assert 0.69 < min(steps) < 0.85 and 1.15 < max(steps) < 1.31
