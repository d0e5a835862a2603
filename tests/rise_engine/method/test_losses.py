from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from rise_engine.config import LossConfig
from rise_engine.method.batch import at_least_one
from rise_engine.method.losses import Criterion, LossTerms, focal_loss, mask_losses, sample_masks
from rise_engine.method.targets import Targets

PLAIN = LossConfig(classification=1, l1=1, giou=1, mask_focal=1, dice=1)
LN2 = math.log(2)


@dataclass
class Layer:
    class_logits: Tensor
    boxes: Tensor
    mask_logits: Tensor
    asked: list[tuple[int, list[int]]] = field(default_factory=list)

    def masks(self, image: int, queries: Tensor) -> Tensor:
        self.asked.append((image, queries.tolist()))
        return self.mask_logits[image, queries]


@dataclass
class Output:
    layers: list[Layer]

    @property
    def class_logits(self) -> Tensor:
        return self.layers[-1].class_logits

    @property
    def boxes(self) -> Tensor:
        return self.layers[-1].boxes

    @property
    def embeddings(self) -> Tensor:
        return self.boxes

    @property
    def mask_logits(self) -> Tensor:
        return self.layers[-1].mask_logits

    def masks(self, image: int, queries: Tensor) -> Tensor:
        return self.layers[-1].masks(image, queries)


SIZE = (16, 24)
QUARTERS = [[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5], [0.75, 0.25, 0.5, 0.5]]
"""Three boxes of half a side: upper left, lower right, upper right."""


def targets_of(*quarters: int, classes: int = 1) -> Targets:
    """Targets filling their box, on a 16 x 24 image without padding."""
    masks = torch.zeros(len(quarters), *SIZE, dtype=torch.bool)
    for index, quarter in enumerate(quarters):
        x, y = (int(QUARTERS[quarter][axis] > 0.5) for axis in (0, 1))
        masks[index, 8 * y : 8 * y + 8, 12 * x : 12 * x + 12] = True
    labels = torch.arange(len(quarters)) % classes
    return Targets.from_masks(masks, labels, image_size=SIZE)


def output_of(images: int = 1, *, layers: int = 1, classes: int = 1) -> Output:
    """Three queries exactly on the quarters, undecided about class and mask."""
    return Output(
        [
            Layer(
                class_logits=torch.zeros(images, 3, classes, requires_grad=True),
                boxes=torch.tensor(QUARTERS).repeat(images, 1, 1).requires_grad_(),
                mask_logits=torch.zeros(images, 3, 4, 6, requires_grad=True),
            )
            for _ in range(layers)
        ]
    )


def values(terms: LossTerms) -> list[float]:
    return [float(term.detach()) for term in (terms.classification, terms.l1, terms.giou, terms.mask_focal, terms.dice)]


def test_one_target_by_hand() -> None:
    output = output_of()
    terms, (match,) = Criterion(PLAIN)(output, [targets_of(1)])
    assert match.queries.tolist() == [1] and match.best.tolist() == [1]
    # undecided: a quarter of ln 2 each, weighted 0.25 for the matched query and 0.75 for the two others
    classification = (0.25 + 2 * 0.75) * 0.25 * LN2
    # a quarter of the 24 sampled pixels belongs to the object
    mask_focal = (0.25 * 0.25 + 0.75 * 0.75) * 0.25 * LN2
    dice = 1 - (2 * 3 + 1) / (12 + 6 + 1)
    assert values(terms) == pytest.approx([classification, 0, 0, mask_focal, dice], abs=1e-6)
    assert float(terms.total.detach()) == pytest.approx(classification + mask_focal + dice, abs=1e-6)
    assert output.layers[0].asked == [(0, [1])], "masks are computed for matched queries only"


def test_box_losses_by_hand() -> None:
    output = output_of()
    with torch.no_grad():
        output.layers[0].boxes[0, 0] = torch.tensor([0.35, 0.25, 0.3, 0.5])
    terms, (match,) = Criterion(PLAIN)(output, [targets_of(0)])
    assert match.queries.tolist() == [0]
    assert float(terms.l1.detach()) == pytest.approx(0.1 + 0.2, abs=1e-6)
    # inside the target, three fifths of its area
    assert float(terms.giou.detach()) == pytest.approx(1 - 0.6, abs=1e-5)
    # a second, perfect pair halves both
    terms, _ = Criterion(PLAIN)(output, [targets_of(0, 1)])
    assert [float(terms.l1.detach()), float(terms.giou.detach())] == pytest.approx([0.15, 0.2], abs=1e-5)


def test_terms_are_divided_by_the_matched_queries_of_the_batch() -> None:
    alone, _ = Criterion(PLAIN)(output_of(), [targets_of(0)])
    both, matches = Criterion(PLAIN)(output_of(2), [targets_of(0), targets_of(0, 1)])
    assert [len(match.queries) for match in matches] == [1, 2]
    # equal masks and boxes, so that the means stay; 3 of 6 queries are matched
    assert float(both.dice.detach()) == pytest.approx(float(alone.dice.detach()), abs=1e-6)
    assert float(both.classification.detach()) == pytest.approx((3 * 0.25 + 3 * 0.75) * 0.25 * LN2 / 3, abs=1e-6)


def test_one_to_many_divides_by_queries_not_targets() -> None:
    output = output_of()
    with torch.no_grad():
        output.layers[0].boxes[0, 2] = output.layers[0].boxes[0, 0]
    terms, (match,) = Criterion(PLAIN)(output, [targets_of(0)])
    assert match.queries.tolist() == [0, 2]
    assert float(terms.classification.detach()) == pytest.approx((2 * 0.25 + 0.75) * 0.25 * LN2 / 2, abs=1e-6)


def test_layers_are_matched_and_added_up() -> None:
    one, _ = Criterion(PLAIN)(output_of(), [targets_of(0)])
    output = output_of(layers=3)
    with torch.no_grad():  # in the first layer another query sits on the target
        output.layers[0].boxes[0] = output.layers[0].boxes[0].flip(0)
    three, (match,) = Criterion(PLAIN)(output, [targets_of(0)])
    assert values(three) == pytest.approx([3 * value for value in values(one)], abs=1e-6)
    assert output.layers[0].asked == [(0, [2])]
    assert match.queries.tolist() == [0], "the last layer's assignment is returned"


def test_weights_multiply_their_own_term() -> None:
    plain, _ = Criterion(PLAIN)(output_of(), [targets_of(0, 1)])
    config = LossConfig(classification=2, l1=3, giou=5, mask_focal=7, dice=11)
    weighted, _ = Criterion(config)(output_of(), [targets_of(0, 1)])
    expected = [value * weight for value, weight in zip(values(plain), (2, 3, 5, 7, 11), strict=True)]
    assert values(weighted) == pytest.approx(expected, abs=1e-6)


def test_class_of_the_target_is_the_one_taught() -> None:
    output = output_of(classes=3)
    terms, _ = Criterion(PLAIN)(output, [targets_of(0, 1, classes=3)])
    terms.total.backward()
    gradient = output.layers[0].class_logits.grad[0]
    assert (gradient < 0).nonzero().tolist() == [[0, 0], [1, 1]]


def test_ignored_queries_are_no_negatives_but_matched_ones_count() -> None:
    ignore = torch.tensor([True, False, True])
    output = output_of()
    terms, _ = Criterion(PLAIN)(output, [targets_of(0)], ignore=[ignore])
    assert float(terms.classification.detach()) == pytest.approx((0.25 + 0.75) * 0.25 * LN2, abs=1e-6)
    terms.total.backward()
    assert output.layers[0].class_logits.grad[0, 2].abs().sum() == 0
    same, _ = Criterion(PLAIN)(output_of(2), [targets_of(0), targets_of(0)], ignore=[None, ignore])
    assert float(same.classification.detach()) == pytest.approx((2 * 0.25 + 3 * 0.75) * 0.25 * LN2 / 2, abs=1e-6)


def test_ring_of_iou_matching_is_no_negative() -> None:
    output = output_of()
    with torch.no_grad():  # half of the target
        output.layers[0].boxes[0, 2] = torch.tensor([0.25, 0.25, 0.5, 0.25])
    terms, _ = Criterion(LossConfig(matching="iou", classification=1))(output, [targets_of(0)])
    assert float(terms.classification.detach()) == pytest.approx((0.25 + 0.75) * 0.25 * LN2, abs=1e-6)


def test_an_image_without_targets_teaches_background_and_none_teaches_nothing() -> None:
    alone, _ = Criterion(PLAIN)(output_of(), [targets_of(0)])
    empty, _ = Criterion(PLAIN)(output_of(2), [targets_of(0), targets_of()])
    assert float(empty.classification - alone.classification) == pytest.approx(3 * 0.75 * 0.25 * LN2, abs=1e-6)
    output = output_of(2)
    unknown, matches = Criterion(PLAIN)(output, [targets_of(0), None])
    assert values(unknown) == pytest.approx(values(alone), abs=1e-6)
    assert len(matches[1].queries) == 0
    unknown.total.backward()
    assert output.layers[0].class_logits.grad[1].abs().sum() == 0


@pytest.mark.parametrize(("known", "classification"), [(targets_of(), 3 * 0.75 * 0.25 * LN2), (None, 0.0)])
def test_without_any_target_every_prediction_still_has_a_gradient(known: Targets | None, classification: float) -> None:
    output = output_of(layers=2)
    terms, _ = Criterion(PLAIN)(output, [known])
    assert values(terms) == pytest.approx([2 * classification, 0, 0, 0, 0], abs=1e-6)
    terms.total.backward()
    for layer in output.layers:
        for prediction in (layer.class_logits, layer.boxes, layer.mask_logits):
            assert prediction.grad is not None and prediction.grad.isfinite().all()


def test_more_targets_than_queries() -> None:
    masks = torch.ones(5, *SIZE, dtype=torch.bool)
    targets = Targets.from_masks(masks, torch.zeros(5), image_size=SIZE)
    terms, (match,) = Criterion(PLAIN)(output_of(), [targets])
    assert sorted(match.queries.tolist()) == [0, 1, 2]
    assert all(math.isfinite(value) for value in values(terms))


def test_a_one_pixel_target_missed_by_the_stride_is_finite() -> None:
    masks = torch.zeros(1, *SIZE, dtype=torch.bool)
    masks[0, 5, 9] = True
    terms, _ = Criterion(PLAIN)(output_of(), [Targets.from_masks(masks, torch.zeros(1), image_size=SIZE)])
    assert all(math.isfinite(value) for value in values(terms))


def test_half_precision_predictions_are_computed_in_full() -> None:
    output = output_of()
    plain, _ = Criterion(PLAIN)(output, [targets_of(0, 1)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer = output.layers[0]
        half = Output([Layer(layer.class_logits.bfloat16(), layer.boxes.bfloat16(), layer.mask_logits.bfloat16())])
        terms, _ = Criterion(PLAIN)(half, [targets_of(0, 1)])
    assert all(term.dtype == torch.float32 for term in (terms.classification, terms.l1, terms.giou, terms.total))
    assert values(terms) == pytest.approx(values(plain), abs=1e-6)


def test_gradient_descent_reaches_the_targets() -> None:
    output = output_of(layers=2)
    parameters = [part for layer in output.layers for part in (layer.class_logits, layer.boxes, layer.mask_logits)]
    optimiser = torch.optim.Adam(parameters, lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        terms, _ = Criterion(PLAIN)(output, [targets_of(0, 1)])
        terms.total.backward()
        optimiser.step()
    last = output.layers[-1]
    assert last.class_logits[0, :, 0].sigmoid().gt(0.5).tolist() == [True, True, False]
    wanted = sample_masks(targets_of(0, 1).masks, size=(4, 6)) > 0.5
    assert torch.equal(last.mask_logits[0, :2] > 0, wanted)


def test_terms_scale_and_add_up() -> None:
    terms, _ = Criterion(PLAIN)(output_of(), [targets_of(0, 1)])
    expected = [0.5 * value for value in values(terms)]
    assert values(terms * 0.5) == pytest.approx(expected)
    assert float((terms * 0.5).total) == pytest.approx(sum(expected))


def test_targets_must_be_given_for_each_image() -> None:
    with pytest.raises(ValueError, match="1 targets for 2 images"):
        Criterion(PLAIN)(output_of(2), [targets_of(0)])


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.5)])
def test_focal_loss_is_torchvision_s(alpha: float, gamma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 10 * torch.randn(200, 3, generator=generator, dtype=torch.float64)
    wanted = (torch.rand(200, 3, generator=generator) < 0.3).double()
    expected = sigmoid_focal_loss(logits, wanted, alpha=alpha, gamma=gamma)
    torch.testing.assert_close(focal_loss(logits, wanted, alpha=alpha, gamma=gamma), expected)


def test_perfect_and_reversed_masks() -> None:
    wanted = sample_masks(targets_of(0).masks, size=(4, 6))
    logits = torch.cat((wanted, 1 - wanted)) * 200 - 100
    focal, dice = mask_losses(logits, wanted.repeat(2, 1, 1), alpha=0.25, gamma=2)
    assert focal.tolist() == pytest.approx([0, 100 * (0.25 * 0.25 + 0.75 * 0.75)], rel=1e-4)
    assert dice.tolist() == pytest.approx([0, 1 - 1 / (18 + 6 + 1)], rel=1e-4)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (17, 23), (18, 27), (13, 30)])
def test_mask_samples_fit_the_logits_of_odd_canvases(height: int, width: int) -> None:
    masks = torch.ones(2, height, width, dtype=torch.bool)
    size = (math.ceil(height / 4), math.ceil(width / 4))
    sampled = sample_masks(masks, size=size)
    assert sampled.shape == (2, *size)
    assert sampled[:, : height // 4, : width // 4].all()


def test_mask_samples_lie_in_the_middle_of_their_block() -> None:
    masks = torch.zeros(1, 8, 12, dtype=torch.bool)
    masks[0, 6, 10] = True
    assert sample_masks(masks, size=(2, 3)).nonzero().tolist() == [[0, 1, 2]]


def test_few_targets_weigh_less_when_divided_by_more() -> None:
    torch.manual_seed(0)
    layer = Layer(torch.randn(1, 6, 1), torch.rand(1, 6, 4) * 0.4 + 0.3, torch.randn(1, 6, 16, 24))
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[:, 8:40, 8:40] = True
    targets = [Targets.from_masks(masks, torch.zeros(1), image_size=(64, 96))]
    criterion = Criterion(PLAIN.model_copy(update={"matching": "hungarian"}))
    alone, matched = criterion(Output([layer]), targets)
    assert len(matched[0].queries) == 1
    beside_many, _ = criterion(Output([layer]), targets, divisors=lambda matched: [max(8, count) for count in matched])
    assert float(beside_many.total) == pytest.approx(float(alone.total) / 8, rel=1e-5)
    assert float(criterion(Output([layer]), targets, divisors=at_least_one)[0].total) == float(alone.total)
    assert at_least_one([0, 1, 3]) == [1, 1, 3]
