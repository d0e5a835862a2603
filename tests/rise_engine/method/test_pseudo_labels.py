from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from rise_engine.config import PseudoLabelConfig, RecipeName, RiseConfig
from rise_engine.method.pseudo_labels import (
    CascadeCounts,
    PseudoLabels,
    binary_masks,
    ignore_queries,
    make_pseudo_labels,
    mask_iou,
    merge_with_known,
    multi_label_matching,
    select,
)
from rise_engine.method.targets import Targets

SCORES = torch.tensor([0.2, 0.9, 0.6, 0.55, 0.7, 0.1])
CANVAS = (64, 96)
SIZE = (60, 80)


@dataclass
class Output:
    """A teacher whose masks are the given rectangles (y0, y1, x0, x1) in cells of four pixels."""

    scores: Tensor
    rectangles: list[tuple[int, int, int, int]]
    boxes: Tensor
    asked: list[int] = field(default_factory=list)
    confidence: float = 8.0

    @property
    def class_logits(self) -> Tensor:
        return torch.logit(self.scores)[None]

    @property
    def embeddings(self) -> Tensor:
        return self.boxes

    @property
    def layers(self) -> list[Output]:
        return [self]

    @property
    def mask_logits(self) -> Tensor:
        return self.masks(0, torch.arange(len(self.rectangles)))[None]

    def masks(self, image: int, queries: Tensor) -> Tensor:
        assert image == 0
        self.asked += queries.tolist()
        logits = torch.full((len(queries), CANVAS[0] // 4, CANVAS[1] // 4), -self.confidence)
        for row, query in enumerate(queries.tolist()):
            y0, y1, x0, x1 = self.rectangles[query]
            logits[row, y0:y1, x0:x1] = self.confidence
        return logits


def teacher(
    scores: list[float], rectangles: list[tuple[int, int, int, int]], labels: list[int] | None = None
) -> Output:
    classes = torch.full((len(scores), 2), 0.01)
    classes[torch.arange(len(scores)), torch.tensor(labels or [0] * len(scores))] = torch.tensor(scores)
    boxes = torch.rand(1, len(scores), 4, generator=torch.Generator().manual_seed(0))
    return Output(classes, rectangles, boxes)


def make(output: Output, config: PseudoLabelConfig, *, step: int = 1000, steps: int = 1000) -> PseudoLabels:
    return make_pseudo_labels(output, 0, image_size=SIZE, canvas=CANVAS, config=config, step=step, steps=steps)


def test_cascade_takes_the_quantile_of_the_survivors() -> None:
    chosen = select(SCORES, gamma=0.5, level=0.5, strategy="cascade")
    assert chosen.kept.tolist() == [1, 4], "the upper half of four"
    assert (chosen.after_threshold, chosen.after_quantile) == (4, 2)
    assert chosen.cut == pytest.approx(0.7)


def test_quantile_first_takes_the_quantile_of_all() -> None:
    chosen = select(SCORES, gamma=0.65, level=0.5, strategy="quantile_first")
    assert chosen.kept.tolist() == [1, 4], "of the upper three, 0.6 falls to the threshold"
    assert (chosen.after_threshold, chosen.after_quantile) == (2, 3)
    assert select(SCORES, gamma=0.65, level=0.5, strategy="cascade").kept.tolist() == [1]


def test_threshold_alone_and_quantile_alone() -> None:
    assert select(SCORES, gamma=0.5, level=0.995, strategy="threshold").kept.tolist() == [1, 4, 2, 3]
    assert select(SCORES, gamma=0.95, level=0.5, strategy="quantile").kept.tolist() == [1, 4, 2]


@pytest.mark.parametrize(
    ("level", "kept"), [(0.995, 1), (0.76, 1), (0.75, 1), (0.74, 2), (0.25, 3), (0.2, 4), (0.0, 4)]
)
def test_share_of_four_survivors_is_rounded_up_and_at_least_one(level: float, kept: int) -> None:
    assert len(select(SCORES, gamma=0.5, level=level, strategy="cascade").kept) == kept


def test_a_whole_share_is_not_rounded_up_by_floating_point() -> None:
    assert len(select(torch.rand(200), gamma=0.0, level=0.995, strategy="cascade").kept) == 1


@pytest.mark.parametrize("strategy", ["cascade", "quantile_first", "threshold"])
def test_nothing_above_the_threshold_keeps_nothing(strategy: str) -> None:
    chosen = select(SCORES, gamma=0.9, level=0.5, strategy=strategy)
    assert chosen.kept.tolist() == []
    assert chosen.cut is None
    assert select(SCORES[:0], gamma=0.5, level=0.5, strategy="quantile").kept.tolist() == []


def test_equal_scores_keep_their_order() -> None:
    assert select(torch.full((5,), 0.8), gamma=0.5, level=0.4, strategy="cascade").kept.tolist() == [0, 1, 2]


def test_only_survivors_masks_are_computed_and_bounded() -> None:
    output = teacher([0.3, 0.95, 0.9], [(0, 4, 0, 4), (2, 6, 5, 15), (8, 10, 1, 4)], labels=[0, 1, 0])
    pseudo = make(output, PseudoLabelConfig())
    assert output.asked == [1, 2]
    assert pseudo.queries.tolist() == [1, 2] and pseudo.labels.tolist() == [1, 0]
    assert pseudo.scores.tolist() == pytest.approx([0.95, 0.9])
    assert pseudo.masks.shape == (2, *CANVAS)
    # rows 8..24 and columns 20..60: x and y have different extents
    assert pseudo.masks[0, 8:24, 20:60].float().mean() > 0.99
    expected = torch.tensor([[40 / 80, 16 / 60, 40 / 80, 16 / 60], [10 / 80, 36 / 60, 12 / 80, 8 / 60]])
    torch.testing.assert_close(pseudo.boxes, expected)
    counts = (
        pseudo.counts.predictions,
        pseudo.counts.after_threshold,
        pseudo.counts.after_quantile,
        pseudo.counts.after_matching,
    )
    assert counts == (3, 2, 2, 2)
    assert (pseudo.counts.gamma_cls, pseudo.counts.quantile_level, pseudo.counts.gamma_mask) == pytest.approx(
        (0.85, 0.0, 0.5)
    )
    assert pseudo.counts.cut == pytest.approx(0.9)


def test_early_in_the_schedule_the_best_survivor_is_kept() -> None:
    output = teacher([0.6, 0.8, 0.7, 0.4], [(0, 4, 0, 4), (4, 8, 0, 4), (8, 12, 0, 4), (0, 4, 8, 12)])
    pseudo = make(output, PseudoLabelConfig(), step=0)
    assert pseudo.queries.tolist() == [1]
    assert (pseudo.counts.after_threshold, pseudo.counts.after_quantile) == (3, 1)
    assert (pseudo.counts.gamma_cls, pseudo.counts.quantile_level) == pytest.approx((0.5, 0.995))


def test_masks_end_where_the_padding_begins() -> None:
    pseudo = make(teacher([0.9], [(12, 16, 16, 24)]), PseudoLabelConfig())
    assert not pseudo.masks[0, SIZE[0] :].any() and not pseudo.masks[0, :, SIZE[1] :].any()
    torch.testing.assert_close(pseudo.boxes, torch.tensor([[72 / 80, 54 / 60, 16 / 80, 12 / 60]]))


def test_empty_and_tiny_masks_are_dropped() -> None:
    output = teacher([0.9, 0.95, 0.92], [(0, 0, 0, 0), (0, 1, 0, 1), (15, 16, 20, 24)])
    pseudo = make(output, PseudoLabelConfig())
    assert len(pseudo) == 0 and pseudo.masks.shape == (0, *CANVAS) and pseudo.boxes.shape == (0, 4)
    assert (pseudo.counts.after_quantile, pseudo.counts.after_matching) == (3, 0)
    nothing = make(teacher([0.1], [(0, 8, 0, 8)]), PseudoLabelConfig())
    assert len(nothing) == 0 and nothing.masks.shape == (0, *CANVAS) and nothing.counts.cut is None


def test_predicted_boxes_are_taken_when_mask_to_box_is_off() -> None:
    output = teacher([0.9, 0.95], [(0, 4, 0, 4), (8, 12, 8, 12)])
    pseudo = make(output, PseudoLabelConfig(mask_to_box=False))
    torch.testing.assert_close(pseudo.boxes, output.boxes[0, [1, 0]])


def test_mask_threshold_follows_its_own_staircase() -> None:
    output = teacher([0.95], [(4, 8, 4, 8)])
    output.confidence = math.log(0.8 / 0.2)
    config = PseudoLabelConfig(mask_threshold_peak=0.85)
    assert len(make(output, config, step=0)) == 1
    assert len(make(output, config, step=1000)) == 0, "0.8 is below the peak"
    assert len(make(output, PseudoLabelConfig(), step=1000)) == 1


def test_logits_are_enlarged_between_their_centres() -> None:
    logits = torch.tensor([[[-1.0, 3.0]]])
    # columns 2..5 go from -0.5 up to 2.5 by ones; -1 and 3 reach to the borders
    found = binary_masks(logits, threshold=0.5, image_size=(4, 8), canvas=(4, 8))
    assert found[0, 0].tolist() == [False, False, False, True, True, True, True, True]
    odd = binary_masks(logits, threshold=0.5, image_size=(5, 7), canvas=(5, 9))
    assert odd.shape == (1, 5, 9)
    assert odd[0, 3].tolist() == [False, False, False, True, True, True, True, False, False]


def rectangle(y0: int, y1: int, x0: int, x1: int) -> Tensor:
    mask = torch.zeros(CANVAS, dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_the_border_moves_towards_an_edge_of_the_picture_that_is_near() -> None:
    picture = torch.full((3, 24, 48), 0.2)
    picture[:, :, 20:] = 0.8
    logits = torch.full((1, 6, 12), 4.0)
    logits[:, :, 6:] = -4.0
    size = {"threshold": 0.5, "image_size": (24, 48), "canvas": (24, 48)}
    coarse = binary_masks(logits, **size)
    assert coarse[0, 12].nonzero().max() == 23
    sharp = binary_masks(logits, **size, image=picture, edge_reach=8)
    assert 19 <= sharp[0, 12].nonzero().max() <= 21, "half of the way to the edge between columns 19 and 20, or more"
    flat = binary_masks(logits, **size, image=torch.full((3, 24, 48), 0.5), edge_reach=8)
    assert flat.equal(coarse), "without an edge the border stays"


def test_mask_iou_by_hand() -> None:
    first = torch.stack([rectangle(0, 10, 0, 10), rectangle(0, 0, 0, 0)])
    second = torch.stack([rectangle(0, 10, 5, 15), rectangle(0, 10, 0, 10), rectangle(0, 0, 0, 0)])
    torch.testing.assert_close(mask_iou(first, second), torch.tensor([[1 / 3, 1.0, 0.0], [0.0, 0.0, 0.0]]))


def test_multi_label_matching_caps_overlapping_ones_of_a_class() -> None:
    same, beside = rectangle(0, 10, 0, 10), rectangle(20, 30, 0, 10)
    masks = torch.stack([same, same, beside, same, same, same])
    labels = torch.tensor([0, 0, 0, 0, 1, 0])
    assert multi_label_matching(masks, labels, most=3).tolist() == [0, 1, 2, 3, 4]
    assert multi_label_matching(masks, labels, most=1).tolist() == [0, 2, 4]
    assert multi_label_matching(masks[:0], labels[:0], most=3).tolist() == []


def test_duplicates_are_kept_by_multi_label_matching_and_suppressed_by_nms() -> None:
    output = teacher([0.9, 0.95, 0.97, 0.99, 0.98], [(0, 8, 0, 8)] * 4 + [(9, 12, 0, 8)])
    assert make(output, PseudoLabelConfig()).queries.tolist() == [3, 4, 2, 1]
    pseudo = make(output, PseudoLabelConfig(multi_label_matching=False))
    assert pseudo.queries.tolist() == [3, 4]
    assert pseudo.counts.after_quantile == 5


def pseudo_of(*masks: Tensor, boxes: Tensor | None = None) -> PseudoLabels:
    count = len(masks)
    stacked = torch.stack(masks) if masks else torch.zeros(0, *CANVAS, dtype=torch.bool)
    bounding = Targets.from_masks(stacked, torch.zeros(count), image_size=SIZE).boxes
    return PseudoLabels(
        masks=stacked,
        boxes=bounding if boxes is None else boxes,
        labels=torch.ones(count, dtype=torch.int64),
        scores=torch.linspace(0.9, 0.8, count),
        queries=torch.arange(count),
        counts=CascadeCounts([], 100, count, count, count, cut=None, gamma_cls=0.5, quantile_level=0.0, gamma_mask=0.5),
    )


def known_of(*masks: Tensor) -> Targets:
    stacked = torch.stack(masks) if masks else torch.zeros(0, *CANVAS, dtype=torch.bool)
    return Targets.from_masks(stacked, torch.zeros(len(masks)), image_size=SIZE)


def test_known_objects_come_first_and_replace_what_repeats_them() -> None:
    known = known_of(rectangle(0, 20, 0, 20))
    # IoU 20 / 26, although 120 of its pixels stick out
    pseudo = pseudo_of(rectangle(0, 20, 0, 26), rectangle(30, 40, 0, 30))
    merged = merge_with_known(pseudo, known, image_size=SIZE)
    assert merged.labels.tolist() == [0, 1]
    assert torch.equal(merged.masks[0], known.masks[0]) and torch.equal(merged.boxes[0], known.boxes[0])
    assert torch.equal(merged.masks[1], pseudo.masks[1])


def test_known_pixels_are_cut_out_and_the_rest_is_boxed_anew() -> None:
    known = known_of(rectangle(0, 20, 0, 20), rectangle(0, 60, 70, 80))
    pseudo = pseudo_of(rectangle(10, 20, 10, 50))
    merged = merge_with_known(pseudo, known, image_size=SIZE)
    assert merged.masks.sum(0).max() == 1, "disjoint"
    assert torch.equal(merged.masks[2], rectangle(10, 20, 20, 50))
    torch.testing.assert_close(merged.boxes[2], torch.tensor([35 / 80, 15 / 60, 30 / 80, 10 / 60]))


def test_pseudo_masks_of_which_little_is_left_go() -> None:
    # IoU with the known one is below 0.7, yet 31 pixels remain of the first and 32 of the second
    known = known_of(rectangle(0, 60, 0, 40))
    pseudo = pseudo_of(rectangle(0, 31, 39, 41), rectangle(0, 32, 39, 41))
    merged = merge_with_known(pseudo, known, image_size=SIZE)
    assert torch.equal(merged.masks[1:], rectangle(0, 32, 40, 41)[None])


def test_a_rim_of_less_than_half_a_pseudo_mask_is_no_object() -> None:
    known = known_of(rectangle(0, 60, 0, 40))
    half, rim = rectangle(0, 20, 30, 50), rectangle(30, 50, 30, 49)  # 10 of 20 and 9 of 19 columns are left
    merged = merge_with_known(pseudo_of(half, rim), known, image_size=SIZE)
    assert torch.equal(merged.masks[1:], rectangle(0, 20, 40, 50)[None])


def test_pseudo_labels_keep_their_predicted_box() -> None:
    """Without Mask-to-Box; the second one loses a third of its pixels, its box stays what the teacher said."""
    boxes = torch.tensor([[0.5, 0.5, 0.1, 0.1], [0.4, 0.4, 0.1, 0.1]])
    pseudo = pseudo_of(rectangle(30, 40, 0, 30), rectangle(0, 10, 0, 30), boxes=boxes)
    merged = merge_with_known(pseudo, known_of(rectangle(0, 10, 20, 60)), image_size=SIZE)
    assert int(merged.masks[2].sum()) == 10 * 20
    assert torch.equal(merged.boxes[1:], boxes)


def test_merging_with_nothing() -> None:
    alone = merge_with_known(pseudo_of(rectangle(0, 8, 0, 8)), known_of(), image_size=SIZE)
    assert alone.labels.tolist() == [1]
    only_known = merge_with_known(pseudo_of(), known_of(rectangle(0, 8, 0, 8)), image_size=SIZE)
    assert only_known.labels.tolist() == [0]
    assert len(merge_with_known(pseudo_of(), known_of(), image_size=SIZE)) == 0


def test_queries_on_half_believed_predictions_are_ignored() -> None:
    output = teacher([0.9, 0.6, 0.2], [(0, 8, 0, 8), (8, 12, 0, 8), (0, 8, 10, 20)])
    output.boxes = torch.tensor([[[0.2, 0.2, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2]]])
    config = PseudoLabelConfig(ignore_unkept=0.3)
    pseudo = make(output, config)
    assert pseudo.queries.tolist() == [0]
    student = torch.tensor(
        [
            [0.2, 0.2, 0.2, 0.2],  # on the pseudo-label
            [0.5, 0.5, 0.2, 0.11],  # on the half believed one, IoU 0.55
            [0.5, 0.5, 0.2, 0.09],  # IoU 0.45
            [0.8, 0.8, 0.2, 0.2],  # on one that nobody believes
        ]
    )
    assert ignore_queries(student, output, 0, pseudo, None, config).tolist() == [False, True, False, False]
    assert ignore_queries(student, output, 0, pseudo, None, PseudoLabelConfig(ignore_unkept=None)) is None
    assert not ignore_queries(student, output, 0, pseudo, None, PseudoLabelConfig(ignore_unkept=0.7)).any()


def test_a_second_prediction_of_a_target_excuses_no_query() -> None:
    """Three predictions of one object, of which one is kept, and a half believed one elsewhere."""
    output = teacher([0.9, 0.8, 0.7, 0.4], [(0, 8, 0, 8), (0, 8, 0, 8), (0, 8, 1, 9), (8, 12, 0, 8)])
    output.boxes = torch.tensor(
        [[[0.2, 0.2, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2], [0.21, 0.2, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2]]]
    )
    config = PseudoLabelConfig(ignore_unkept=0.05, max_overlapping=1, quantile_start=0.0)
    pseudo = make(output, config)
    assert pseudo.queries.tolist() == [0]
    target = Targets(labels=torch.tensor([0]), boxes=torch.tensor([[0.2, 0.2, 0.2, 0.2]]), masks=pseudo.masks)
    student = output.boxes[0]
    assert ignore_queries(student, output, 0, pseudo, target, config).tolist() == [False, False, False, True]
    assert ignore_queries(student, output, 0, pseudo, None, config).tolist() == [True, True, True, True]


@pytest.mark.parametrize("recipe", ["recommended", "paper", "idol"])
def test_a_mask_that_most_queries_show_does_not_take_the_place_of_the_others(recipe: RecipeName) -> None:
    """What would collapse: nine queries of twelve see one thing, and are surer of it than the rest of theirs."""
    crowd = [(0, 8, 0, 10)] * 9
    others = [(9, 14, 0, 6), (9, 14, 7, 12), (0, 6, 12, 18)]
    output = teacher([0.99] * 9 + [0.95, 0.94, 0.93], crowd + others)
    config = RiseConfig.preset("laptop", recipe).pseudo_labels
    config.quantile_start = 0.0
    pseudo = make(output, config)
    shown = [int(query) for query in pseudo.queries]
    assert sum(query < 9 for query in shown) == config.max_overlapping < 9
    assert set(shown) >= {9, 10, 11}
