"""Every setting that stands for a part of the paper changes that part, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rise_engine.config import AugmentConfig, LoaderConfig, LossConfig, RiseConfig, SequenceConfig
from rise_engine.method.association import contrastive_queries, identities_by_score
from rise_engine.method.matching import Assignment
from rise_engine.method.supervised import segmented_objects, supervised_losses
from rise_engine.method.targets import Targets, boxes_of_masks
from rise_engine.method.teacher import predicting
from rise_engine.method.unsupervised import unsupervised_losses
from rise_engine.method.view_transfer import strong_view_targets, transfer_boxes
from rise_engine.model import build_segmenter
from rise_engine.project.frame import LabelledFrame, UnlabelledFrame
from rise_engine.pseudo_sequences.augment import sample_object, strong_augmentation
from rise_engine.pseudo_sequences.bank import CutOut, InstanceBank
from rise_engine.pseudo_sequences.geometry import warp_masks
from rise_engine.pseudo_sequences.sequence import SequenceMaker
from rise_engine.pseudo_sequences.views import PseudoSequence, View
from tests.rise_engine.tiny import KEEP_UNTRAINED, tiny_config

SIZE = (64, 96)
SETTINGS = (
    *KEEP_UNTRAINED,
    "pseudo_labels.ema=null",
    "pseudo_labels.teacher_scales=[1.0]",
    "schedule.steps=10",
)


def config_with(*settings: str) -> RiseConfig:
    return tiny_config(*SETTINGS, *settings)


@pytest.fixture(scope="module")
def model() -> Iterator[torch.nn.Module]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield build_segmenter(config_with().model).train()
    torch.set_num_threads(threads)


@pytest.fixture
def frame() -> LabelledFrame:
    masks = np.zeros((2, *SIZE), dtype=bool)
    masks[0, 8:30, 10:40] = True
    masks[1, 30:56, 50:90] = True
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return LabelledFrame("a", image, masks, np.array([0, 0]))


def red_bank(size: tuple[int, int] = (14, 18)) -> InstanceBank:
    bank = InstanceBank(4)
    for index in range(4):
        image = np.zeros((*size, 3), dtype=np.uint8)
        image[..., 0] = 255
        bank.add(CutOut(image, np.ones(size, bool), label=0, frame="b", instance=index))
    return bank


def make(frame: Any, *settings: str, bank: InstanceBank | None = None, seed: int = 5) -> PseudoSequence:
    config = config_with(*settings)
    maker = SequenceMaker(config.sequence, config.augment, config.loader)
    return maker.make(frame, bank or red_bank(), np.random.default_rng(seed))


def unlabelled(frame: LabelledFrame) -> UnlabelledFrame:
    return UnlabelledFrame(frame.name, frame.image)


def supervised(model: Any, frame: LabelledFrame, *settings: str) -> Any:
    config = config_with(*settings)
    return supervised_losses(
        model,
        [make(frame, *settings)],
        config,
        device=torch.device("cpu"),
        seed=0,
    )


def learnt(model: Any, sequence: PseudoSequence, *settings: str) -> Any:
    config = config_with(*settings)
    return unsupervised_losses(
        model,
        model,
        [sequence],
        config,
        step=1,
        device=torch.device("cpu"),
        seed=0,
    )


def pictures(model: Any, run: Callable[[], object]) -> list[int]:
    """How many images each forward pass of the network sees."""
    seen: list[int] = []
    hook = model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    run()
    hook.remove()
    return seen


def test_without_pseudo_sequences_one_view_learns_and_nothing_is_associated(model: Any, frame: LabelledFrame) -> None:
    off = "sequence.enabled=false"
    assert pictures(model, lambda: supervised(model, frame)) == [2]
    assert pictures(model, lambda: supervised(model, frame, off)) == [1]
    result = supervised(model, frame, off)
    assert float(result.association) == 0 and result.accuracy is None
    assert float(result.terms.total) > 0

    sequence = make(unlabelled(frame))
    assert pictures(model, lambda: learnt(model, sequence)) == [1, 2]
    assert pictures(model, lambda: learnt(model, sequence, "schedule.before_gradient=true")) == [1, 3]
    assert pictures(model, lambda: learnt(model, sequence, off)) == [1, 1]
    assert pictures(model, lambda: learnt(model, sequence, "loss.association=0")) == [1, 1]
    looks = "pseudo_labels.teacher_scales=[1.0, 1.25]"
    assert pictures(model, lambda: learnt(model, sequence, looks)) == [1, 1, 2]


def test_without_pasting_the_two_views_remain(frame: LabelledFrame) -> None:
    sequence = make(frame, "sequence.paste=false")
    assert not sequence.before.pasted.any() and not sequence.after.pasted.any()
    assert not torch.equal(sequence.before.image, sequence.after.image)
    assert sequence.before.ids.tolist() == sequence.after.ids.tolist() == [0, 1]


@pytest.mark.parametrize("protect", [True, False])
def test_a_labelled_object_may_be_hidden_only_when_it_is_not_protected(protect: bool) -> None:
    masks = np.zeros((1, *SIZE), dtype=bool)
    masks[0, 28:36, 44:52] = True
    small = LabelledFrame("a", np.zeros((*SIZE, 3), np.uint8), masks, np.array([0]))
    still = AugmentConfig(
        rotation=0, scale=(1, 1), shift=0, flip=False, object_scale=(1, 1), object_rotation=0, object_flip=False
    )
    config = SequenceConfig(min_pasted=1, max_pasted=1, max_added=0, protect_labelled=protect)
    maker = SequenceMaker(config, still, LoaderConfig(short_sides=(64,), crop=96))
    # It spans three quarters of the frame, so it covers the object in the middle wherever it lies.
    hidden = [
        0 not in maker.make(small, red_bank((48, 72)), np.random.default_rng(seed)).before.ids.tolist()
        for seed in range(4)
    ]
    assert hidden == [not protect] * 4


@pytest.mark.parametrize("name", ["colour_jitter", "planckian_jitter", "grayscale", "gaussian_blur"])
def test_a_single_strong_operation_can_be_chosen(name: str) -> None:
    image = torch.rand(3, 12, 14, generator=torch.Generator().manual_seed(1)) * 0.6 + 0.1
    config = AugmentConfig(strong_choices=(name,), strong_operations=2, strong_jitter=(0.5, 0.9))  # type: ignore[arg-type]
    strong = strong_augmentation(image, np.random.default_rng(2), config)
    grey = bool((strong[0] == strong[1]).all())
    green_kept = torch.equal(strong[1], image[1])
    smoother = float(strong.diff(dim=2).abs().mean()) < 0.8 * float(image.diff(dim=2).abs().mean())
    darker = float(strong.mean()) < 0.95 * float(image.mean())
    expected = {
        "colour_jitter": (False, False, True),
        "planckian_jitter": (False, True, False),
        "grayscale": (True, False, False),
        "gaussian_blur": (False, False, False),
    }
    assert (grey, green_kept, darker) == expected[name]
    assert smoother or name in ("planckian_jitter",)
    assert torch.equal(strong_augmentation(image, np.random.default_rng(2), AugmentConfig(strong_choices=())), image)


def test_objects_are_mirrored_only_when_they_may_be() -> None:
    with_flip, without = AugmentConfig(object_rotation=0), AugmentConfig(object_rotation=0, object_flip=False)
    for seed in range(20):
        allowed, kept = (sample_object(np.random.default_rng(seed), config) for config in (with_flip, without))
        assert kept.matrix[0, 0] > 0 and kept.matrix[1, 1] > 0
        assert np.allclose(np.abs(allowed.matrix), kept.matrix), "scale and turn are drawn as before"
        assert (allowed.brightness, allowed.contrast) == (kept.brightness, kept.contrast)


def test_reweakening_moves_the_strong_view_alone(frame: LabelledFrame) -> None:
    colours = "augment.strong_operations=0"
    plain = make(frame, colours, "augment.reweaken=false")
    moved = make(frame, colours, "augment.reweaken=true")
    assert plain.strong_motion is None and moved.strong_motion is not None
    assert torch.equal(plain.before.image, moved.before.image) and torch.equal(plain.after.image, moved.after.image)
    assert torch.equal(plain.strong, plain.before.image)
    assert not torch.equal(moved.strong, moved.before.image)
    ranges = (
        "augment.strong_rotation=0",
        "augment.strong_scale=[1,1]",
        "augment.strong_shift=0",
        "augment.strong_mirror=false",
    )
    still = make(frame, colours, "augment.reweaken=true", *ranges).strong_motion
    assert still is not None and torch.allclose(still, torch.eye(3)[:2], atol=1e-4), (
        "the strong view has its own ranges"
    )


LITTLE = ("augment.strong_rotation=4", "augment.strong_scale=[0.9,1.1]", "augment.strong_mirror=false")


@pytest.mark.parametrize("ranges", [LITTLE, ()], ids=["a little", "as recommended"])
def test_targets_move_with_the_reweakened_view(frame: LabelledFrame, ranges: tuple[str, ...]) -> None:
    sequence = make(unlabelled(frame), "augment.reweaken=true", "augment.strong_operations=0", *ranges)
    scene = sequence.before
    assert len(scene.masks) and sequence.strong_motion is not None
    known = Targets.from_masks(scene.masks, scene.labels, image_size=SIZE)
    targets, boxes = strong_view_targets([sequence], [known], known.boxes[None], [SIZE], config_with())
    assert targets[0] is not None
    assert torch.equal(targets[0].masks, warp_masks(scene.masks, sequence.strong_motion))
    whole = Targets.from_masks(targets[0].masks, targets[0].labels, image_size=SIZE)
    assert torch.equal(targets[0].boxes, whole.boxes)
    assert torch.equal(boxes[0], transfer_boxes(known.boxes, sequence.strong_motion, SIZE))


@pytest.mark.parametrize(("shift", "stays"), [(30.0, True), (38.0, False)])
def test_what_mostly_left_the_strong_view_is_no_target_of_it(frame: LabelledFrame, shift: float, stays: bool) -> None:
    """Twice as large, and out of the left edge: 20 of 80 columns stay, or 4 (5 %), which are enough pixels though."""
    masks = torch.zeros(1, *SIZE, dtype=torch.bool)
    masks[:, 10:30, :40] = True
    sequence = replace(
        make(unlabelled(frame), "augment.reweaken=true"),
        strong_motion=torch.tensor([[2.0, 0.0, -2 * shift], [0.0, 2.0, -10.0]]),
    )
    known = Targets.from_masks(masks, torch.zeros(1, dtype=torch.int64), image_size=SIZE)
    (moved,), _ = strong_view_targets([sequence], [known], known.boxes[None], [SIZE], config_with())
    assert (moved is not None) == stays
    if moved is not None:
        assert int(moved.masks.sum()) == 20 * 40


@pytest.mark.parametrize(("columns", "listed"), [(20, [4]), (16, [])])
def test_an_object_is_segmented_when_its_mask_has_half_of_it(columns: int, listed: list[int]) -> None:
    """The network shows 20 of 40 columns of the frame's object, or 16, and all of a pasted one, which never counts."""
    masks = torch.zeros(2, *SIZE, dtype=torch.bool)
    masks[0, :32, :40] = masks[1, 40:, 48:] = True
    scene = View(torch.zeros(3, *SIZE), masks, torch.zeros(2), torch.tensor([4, 9]), torch.tensor([False, True]))

    class Output:
        def masks(self, image: int, queries: torch.Tensor) -> torch.Tensor:
            shown = masks.clone()
            shown[0, :, columns:] = False
            return (shown[:, 2::4, 2::4].float() - 0.5)[queries]

    nothing = torch.zeros(0, dtype=torch.int64)
    assignment = Assignment(nothing, nothing, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool))
    targets = Targets.from_masks(masks, torch.zeros(2, dtype=torch.int64), image_size=SIZE)
    assert segmented_objects(Output(), 0, assignment, targets, scene) == listed  # type: ignore[arg-type]


def test_a_box_moved_by_a_shift_is_shifted() -> None:
    motion = torch.tensor([[1.0, 0.0, 9.6], [0.0, 1.0, -6.4]])
    moved = transfer_boxes(torch.tensor([[0.5, 0.5, 0.2, 0.4]]), motion, SIZE)
    assert torch.allclose(moved, torch.tensor([[0.6, 0.4, 0.2, 0.4]]))


def turned(degrees: float, centre: tuple[float, float]) -> torch.Tensor:
    angle = math.radians(degrees)
    matrix = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    there = torch.tensor(centre)
    return torch.cat([matrix, (there - matrix @ there)[:, None]], dim=1)


def test_a_disc_turned_about_its_centre_keeps_its_box() -> None:
    """48 x 48 pixels in the middle of 96 x 64: half of the width and three quarters of the height."""
    box = torch.tensor([[0.5, 0.5, 48 / SIZE[1], 48 / SIZE[0]]])
    centre = (SIZE[1] / 2, SIZE[0] / 2)
    assert torch.allclose(transfer_boxes(box, turned(30, centre), SIZE), box, atol=1e-5)
    long = torch.tensor([[0.5, 0.5, 40 / SIZE[1], 20 / SIZE[0]]])
    upright = torch.tensor([[0.5, 0.5, 20 / SIZE[1], 40 / SIZE[0]]])
    assert torch.allclose(transfer_boxes(long, turned(90, centre), SIZE), upright, atol=1e-5)


def test_known_objects_are_boxed_by_their_moved_masks_and_predicted_boxes_are_moved(frame: LabelledFrame) -> None:
    """The first target's box bounds its mask, the second one's was predicted a quarter too wide."""
    masks = torch.zeros(2, *SIZE, dtype=torch.bool)
    masks[0, 20:40, 30:50] = masks[1, 10:20, 60:80] = True
    known = Targets.from_masks(masks, torch.zeros(2, dtype=torch.int64), image_size=SIZE)
    predicted = known.boxes * torch.tensor([[1.0, 1, 1, 1], [1, 1, 1.25, 1]])
    motion = turned(20, (SIZE[1] / 2, SIZE[0] / 2))
    sequence = replace(make(unlabelled(frame), "augment.reweaken=true"), strong_motion=motion)
    (moved,), _ = strong_view_targets(
        [sequence], [replace(known, boxes=predicted)], predicted[None], [SIZE], config_with()
    )
    assert moved is not None and len(moved) == 2
    assert torch.equal(moved.boxes[0], boxes_of_masks(moved.masks, image_size=SIZE)[0])
    assert torch.equal(moved.boxes[1], transfer_boxes(predicted, motion, SIZE)[1])


def test_pasted_objects_are_no_targets_when_switched_off(model: Any, frame: LabelledFrame) -> None:
    # Without a pseudo-label and without pasted targets, nothing is left to learn from: L_u is zero.
    nothing_kept = ("pseudo_labels.threshold_start=1.0", "pseudo_labels.threshold_peak=1.0")
    sequence = make(unlabelled(frame))
    assert sequence.before.pasted.any()
    assert float(learnt(model, sequence, *nothing_kept).terms.total) > 0
    off = learnt(model, sequence, *nothing_kept, "pseudo_labels.pasted_targets=false")
    assert float(off.terms.total) == 0
    assert float(off.association) == float(learnt(model, sequence, *nothing_kept).association)


def test_identities_by_score_take_the_best_match_above_a_half() -> None:
    first = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.1, 0.1]])
    second = torch.tensor([[0.0, 4.0], [4.0, 0.0]])
    rows, columns = identities_by_score(first, second)
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0]
    assert [len(part) for part in identities_by_score(first[:0], second)] == [0, 0]


def test_predicted_identities_change_the_association_alone(model: Any, frame: LabelledFrame) -> None:
    known, predicted = supervised(model, frame), supervised(model, frame, "loss.identities=predicted")
    assert float(known.terms.total) == float(predicted.terms.total) and known.accuracy == predicted.accuracy
    assert float(known.association) != float(predicted.association)


def test_ten_best_matches_are_positive_and_the_rest_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted = torch.tensor([[0.3, 0.3, 0.3, 0.4]])
    boxes = wanted.repeat(60, 1) + 0.05 * torch.randn(60, 4, generator=generator)
    target = Targets(torch.zeros(1, dtype=torch.int64), wanted, torch.zeros(1, 8, 8, dtype=torch.bool))
    positives, negatives = contrastive_queries(torch.zeros(60, 1), boxes, target, LossConfig(views="top_ten"))
    assert len(positives[0]) == 10 and len(negatives[0]) == 50
    assert set(positives[0].tolist()).isdisjoint(negatives[0].tolist())


def test_the_mode_of_the_network_is_left_alone(model: Any, frame: LabelledFrame) -> None:
    with predicting(model):
        assert not model.training
    assert model.training


def test_the_after_view_learns_from_pseudo_labels_where_asked(model: Any, frame: LabelledFrame) -> None:
    bare = ("sequence.paste=false", "loss.association=0")
    sequence = make(unlabelled(frame), *bare)
    off, on = (learnt(model, sequence, *bare, f"pseudo_labels.after_view={value}") for value in ("false", "true"))
    assert len(off.pseudo_labels[0]) and len(off.pseudo_labels[0]) == len(on.pseudo_labels[0])
    assert float(off.terms.total) > 0 and float(on.terms.total) != float(off.terms.total)
    asked = pictures(model, lambda: learnt(model, sequence, *bare, "pseudo_labels.after_view=true"))
    assert asked == [1, 2], "the before view once for the teacher, then strong and after"
    single = ("sequence.enabled=false", "pseudo_labels.after_view=true")
    assert pictures(model, lambda: learnt(model, sequence, *single)) == [1, 1], "no after view without sequences"
