"""A network and its losses on frames that are rare but happen: each gives finite losses, and gradients everywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rise_engine.config import LossConfig, ModelConfig
from rise_engine.method.losses import Criterion
from rise_engine.method.matching import assign
from rise_engine.method.targets import Targets
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter

CANVAS = (64, 96)
MATCHINGS = ["simota", "hungarian", "iou"]


def network(queries: int) -> DeformableSegmenter:
    torch.manual_seed(0)
    model = build_segmenter(
        ModelConfig(
            backbone="test_resnet", num_classes=2, hidden_dim=32, encoder_layers=1, decoder_layers=2,
            num_queries=queries, num_heads=4, num_points=2, feedforward_dim=32, dropout=0.0,
        )
    )  # fmt: skip
    assert isinstance(model, DeformableSegmenter)
    # Fresh heads end in zeros, which stop the gradient on its way down once.
    for head in [*model.class_head, *(head.layers[-1] for head in model.box_head)]:
        torch.nn.init.normal_(head.weight, std=0.1)
    return model.train()


def rectangles(*corners: tuple[int, int, int, int], size: tuple[int, int] = CANVAS, labels: int = 0) -> Targets:
    """Instances that fill x0, y0, x1, y1 of an image of ``size`` at the canvas's top left."""
    masks = torch.zeros(len(corners), *CANVAS, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, corners, strict=True):
        mask[y0:y1, x0:x1] = True
    return Targets.from_masks(masks, torch.full((len(corners),), labels), image_size=size)


def padding(*sizes: tuple[int, int]) -> Tensor:
    mask = torch.ones(len(sizes), *CANVAS, dtype=torch.bool)
    for row, (height, width) in zip(mask, sizes, strict=True):
        row[:height, :width] = False
    return mask


EVERYWHERE = (0, 0, 96, 64)
CASES: dict[str, tuple[list[Targets], Tensor | None]] = {
    "no targets": ([rectangles()], None),
    "no targets in any of two": ([rectangles(), rectangles()], None),
    "more targets than queries": ([rectangles(*((x, 8, x + 12, 30) for x in range(0, 84, 6)))], None),
    "one pixel": ([rectangles((17, 33, 18, 34))], None),
    "one pixel between the samples of the mask": ([rectangles((16, 32, 17, 33))], None),
    "the last pixel": ([rectangles((95, 63, 96, 64))], None),
    "duplicates": ([rectangles(*[(20, 20, 50, 40)] * 4)], None),
    "everywhere": ([rectangles(EVERYWHERE)], None),
    "one empty, one full": ([rectangles(), rectangles(EVERYWHERE, (0, 0, 48, 32), (48, 32, 96, 64), labels=1)], None),
    "padded and not square": ([rectangles((0, 0, 20, 31), size=(32, 64))], padding((32, 64))),
    "padded differently": (
        [rectangles((3, 4, 9, 60), size=(64, 10)), rectangles((0, 0, 96, 7), size=(8, 96))],
        padding((64, 10), (8, 96)),
    ),
}


@pytest.mark.parametrize("queries", [3, 12])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_finite_and_reach_every_parameter(case: str, queries: int) -> None:
    targets, mask = CASES[case]
    model = network(queries)
    generator = torch.Generator().manual_seed(1)
    output = model(torch.rand(len(targets), 3, *CANVAS, generator=generator), mask)
    terms, matches = Criterion(LossConfig())(output, targets)
    for match, known in zip(matches, targets, strict=True):
        assert len(set(match.queries.tolist())) == len(match.queries)
        assert len(set(match.targets.tolist())) == min(queries, len(known))
    assert terms.total.isfinite()
    # The association loss reaches the embeddings, which this criterion does not see.
    (terms.total + output.embeddings.sum() * 0).backward()
    trained = {name: part.grad for name, part in model.named_parameters() if part.requires_grad}
    assert [name for name, gradient in trained.items() if gradient is None] == []
    assert [name for name, gradient in trained.items() if not gradient.isfinite().all()] == []


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("case", CASES)
def test_matching_the_same_twice_gives_the_same(case: str, matching: str) -> None:
    targets = CASES[case][0][-1]
    generator = torch.Generator().manual_seed(2)
    # Ten of twelve queries are alike, so that nearly every comparison is a tie.
    logits = torch.zeros(12, 2)
    boxes = torch.rand(12, 4, generator=generator) * 0.5 + 0.25
    boxes[2:] = boxes[1]
    first, second = (assign(logits, boxes, targets, LossConfig(matching=matching)) for _ in range(2))
    for name in ("queries", "targets", "best", "ignored"):
        assert torch.equal(getattr(first, name), getattr(second, name))


def test_equal_targets_may_be_named_in_any_order() -> None:
    """Which of several equal boxes a query answers for cannot matter: the losses are the same."""
    totals = []
    for order in ([0, 1, 2], [2, 0, 1]):
        targets = rectangles((20, 20, 50, 40), (20, 20, 50, 40), (60, 5, 90, 60)).select(torch.tensor(order))
        terms, _ = Criterion(LossConfig())(network(12)(torch.full((1, 3, *CANVAS), 0.5)), [targets])
        totals.append(terms.total.detach())
    torch.testing.assert_close(totals[0], totals[1])


def test_an_instance_without_a_pixel_is_no_target() -> None:
    masks = torch.zeros(3, *CANVAS, dtype=torch.bool)
    masks[1, 5, 5] = True
    targets = Targets.from_masks(masks, torch.tensor([0, 1, 0]), image_size=CANVAS)
    assert targets.labels.tolist() == [1]
    torch.testing.assert_close(targets.boxes, torch.tensor([[5.5 / 96, 5.5 / 64, 1 / 96, 1 / 64]]))


@pytest.mark.parametrize("change", [lambda boxes: boxes * 0, lambda boxes: boxes.new_full(boxes.shape, torch.inf)])
def test_boxes_without_area_or_bounds_are_matched(change: Callable[[Tensor], Tensor]) -> None:
    targets = rectangles((20, 20, 50, 40), (0, 0, 5, 5))
    match = assign(torch.zeros(6, 2), change(torch.rand(6, 4)), targets, LossConfig())
    assert set(match.targets.tolist()) == {0, 1}
    assert len(set(match.queries.tolist())) == len(match.queries)
