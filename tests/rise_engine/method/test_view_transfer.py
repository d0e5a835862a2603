"""Pseudo-labels of the before view in the after view, on squares that can be counted by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from rise_engine.config import RiseConfig
from rise_engine.method.pseudo_labels import CascadeCounts, PseudoLabels
from rise_engine.method.targets import Targets
from rise_engine.method.teacher import TeacherPass
from rise_engine.method.view_transfer import after_view_targets, pseudo_labels_in_after_view
from rise_engine.pseudo_sequences.views import PseudoSequence, View

SIZE, CANVAS = (40, 60), (64, 96)
MOTION = torch.tensor([[1.0, 0.0, 8.0], [0.0, 1.0, -4.0]])
"""Eight pixels to the right and four up."""


def square(top: int, left: int, side: int = 10, *, within: tuple[int, int] = SIZE) -> Tensor:
    mask = torch.zeros(within, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def scene(*masks: Tensor) -> View:
    return View(
        image=torch.zeros(3, *SIZE),
        masks=torch.stack(masks) if masks else torch.zeros(0, *SIZE, dtype=torch.bool),
        labels=torch.zeros(len(masks), dtype=torch.int64),
        ids=torch.arange(len(masks)),
        pasted=torch.ones(len(masks), dtype=torch.bool),
    )


def sequence(
    *, before: tuple[Tensor, ...] = (), after: tuple[Tensor, ...] = (), motion: Tensor = MOTION
) -> PseudoSequence:
    """What is pasted into either view; nothing else is known."""
    seen = scene(*after)
    return PseudoSequence(
        "a", scene(*before), seen, torch.zeros(3, *SIZE), motion, covered=seen.masks.any(0), labelled=False
    )


def pseudo(*masks: Tensor, labels: tuple[int, ...] | None = None) -> PseudoLabels:
    on_canvas = torch.zeros(len(masks), *CANVAS, dtype=torch.bool)
    for row, mask in enumerate(masks):
        on_canvas[row, : SIZE[0], : SIZE[1]] = mask
    return PseudoLabels(
        masks=on_canvas,
        # A box of its own, half as large as the picture, to be told from that of the mask.
        boxes=torch.tensor([[0.5, 0.5, 0.5, 0.5]]).repeat(len(masks), 1),
        labels=torch.tensor(labels or [0] * len(masks), dtype=torch.int64),
        scores=torch.linspace(0.9, 0.5, len(masks)),
        queries=torch.arange(len(masks)),
        counts=CascadeCounts(
            [], 12, len(masks), len(masks), len(masks), cut=None, gamma_cls=0.5, quantile_level=0.0, gamma_mask=0.5
        ),
    )


def on_canvas(*masks: Tensor) -> Targets:
    return Targets.from_masks(pseudo(*masks).masks, torch.zeros(len(masks), dtype=torch.int64), image_size=SIZE)


def after(
    staged: PseudoSequence, labels: PseudoLabels, pasted: tuple[Tensor, ...] = (), *settings: str
) -> tuple[list[int], Tensor]:
    config = RiseConfig().with_settings(settings)
    rows, masks = pseudo_labels_in_after_view(staged, labels, on_canvas(*pasted), config.sequence)
    return rows.tolist(), masks


def test_a_square_moves_as_the_view_did() -> None:
    rows, masks = after(sequence(), pseudo(square(10, 10), square(0, 0)))
    assert rows == [0, 1]
    assert torch.equal(masks[0], square(6, 18))
    # The other one's four upper rows have left the picture.
    wanted = torch.zeros(SIZE, dtype=torch.bool)
    wanted[0:6, 8:18] = True
    assert torch.equal(masks[1], wanted)


def test_a_turn_is_about_the_pictures_own_pixels_and_not_about_the_padded_ones() -> None:
    # Half a turn about the centre of the 60 x 40 picture: (x, y) to (60 - x, 40 - y).
    half_turn = torch.tensor([[-1.0, 0.0, 60.0], [0.0, -1.0, 40.0]])
    _, masks = after(sequence(motion=half_turn), pseudo(square(10, 10)))
    assert torch.equal(masks[0], square(20, 40))


def test_what_an_object_pasted_into_the_after_view_hides_is_not_seen() -> None:
    # The square arrives at rows 6..15 and columns 18..27. Columns 22 on are hidden: 40 of its 100 pixels stay.
    hiding = square(0, 22, 30)
    rows, masks = after(sequence(after=(hiding,)), pseudo(square(10, 10)))
    assert rows == [0] and torch.equal(masks[0], square(6, 18) & ~hiding) and int(masks.sum()) == 40


@pytest.mark.parametrize(("hidden_from", "seen"), [(18, 0), (21, 0), (22, 1)])
def test_fewer_than_32_pixels_are_too_few(hidden_from: int, seen: int) -> None:
    # Columns 18..(hidden_from - 1) stay visible, ten pixels each.
    rows, _ = after(sequence(after=(square(0, hidden_from, 30),)), pseudo(square(10, 10)))
    assert len(rows) == seen


def test_a_visible_share_too_small_goes_however_many_pixels_it_has() -> None:
    # 30 x 30 at rows 1..30, columns 18..47 of the after view: 4 of 30 columns are 120 pixels, 13 %; 5 are 17 %.
    large = square(5, 10, 30)
    for columns, seen in ((4, 0), (5, 1)):
        rows, _ = after(sequence(after=(square(0, 18 + columns, 40),)), pseudo(large))
        assert len(rows) == seen
    rows, _ = after(sequence(after=(square(0, 22, 40),)), pseudo(large), (), "sequence.min_visible=0.1")
    assert len(rows) == 1


def test_one_that_shows_a_pasted_object_is_left_out() -> None:
    # IoU 90 / 110 = 0.82 with the object pasted into the before view, wherever that is now; the other one is its own.
    staged = sequence(before=(square(10, 10),))
    rows, masks = after(staged, pseudo(square(10, 11), square(10, 30)), (square(10, 10),))
    assert rows == [1] and torch.equal(masks[0], square(6, 38))


def test_pixels_of_a_pasted_object_are_nobody_elses() -> None:
    # A 20 x 20 prediction spread over a 10 x 10 pasted object in its upper left corner, which was then taken away.
    pasted = square(10, 10)
    _, masks = after(sequence(before=(pasted,)), pseudo(square(10, 10, 20)), (pasted,))
    assert torch.equal(masks[0], square(6, 18, 20) & ~square(6, 18))


def reference(labels: PseudoLabels, boxes: Tensor | None = None) -> TeacherPass:
    """A teacher with these pseudo-labels, and boxes (1, Q, 4)."""
    output: Any = SimpleNamespace(boxes=torch.zeros(1, 12, 4) if boxes is None else boxes)
    return TeacherPass(output, [labels], (SIZE,), CANVAS)


def targets(staged: PseudoSequence, labels: PseudoLabels, pasted: tuple[Tensor, ...], *settings: str) -> Targets | None:
    config = RiseConfig().with_settings(settings)
    return after_view_targets([staged], reference(labels), [on_canvas(*pasted)], config).targets[0]


def test_targets_are_what_is_pasted_and_what_was_learnt_on_the_padded_canvas() -> None:
    pasted = square(20, 40)
    staged = sequence(after=(pasted,))
    labels = pseudo(square(10, 10), labels=(3,))
    found = targets(staged, labels, ())
    assert found is not None and found.labels.tolist() == [0, 3]
    assert found.masks.shape == (2, *CANVAS) and not found.masks[:, :, 60:].any() and not found.masks[:, 40:].any()
    # Half-open boxes as a share of 60 x 40, not of the canvas: columns 40..49 and rows 20..29; 18..27 and 6..15.
    wanted = torch.tensor([[45 / 60, 25 / 40, 10 / 60, 10 / 40], [23 / 60, 11 / 40, 10 / 60, 10 / 40]])
    assert torch.allclose(found.boxes, wanted)
    alone = targets(staged, labels, (), "pseudo_labels.pasted_targets=false")
    assert alone is not None and alone.labels.tolist() == [3]
    assert targets(sequence(), pseudo(), ()) is None, "an empty view would teach that everything is background"


def test_without_mask_to_box_the_predicted_box_moves() -> None:
    found = targets(sequence(), pseudo(square(10, 10)), (), "pseudo_labels.mask_to_box=false")
    # (0.5, 0.5) +- 0.25 of 60 x 40 is 15..45 by 10..30, and then 23..53 by 6..26.
    assert found is not None
    assert torch.allclose(found.boxes, torch.tensor([[38 / 60, 16 / 40, 30 / 60, 20 / 40]]))


def test_the_teachers_boxes_move_along_for_the_places_in_doubt() -> None:
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.5], [0.9, 0.5, 0.2, 0.2]]])
    moved = after_view_targets([sequence()], reference(pseudo(), boxes), [on_canvas()], RiseConfig()).teacher_boxes
    # The second one spans columns 48..60: moved by eight it ends at the picture's edge, 56..60.
    wanted = torch.tensor([[[38 / 60, 16 / 40, 30 / 60, 20 / 40], [58 / 60, 16 / 40, 4 / 60, 8 / 40]]])
    assert torch.allclose(moved, wanted, atol=1e-6)
