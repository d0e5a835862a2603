from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from torchvision.ops import box_convert, box_iou, generalized_box_iou

from rise_engine.config import LossConfig
from rise_engine.method.matching import (
    assign,
    assign_layers,
    hungarian,
    hungarian_costs,
    iou,
    resolve,
    simota,
    simota_costs,
)
from rise_engine.method.targets import Targets

CONFIG = LossConfig()


def targets_of(boxes: torch.Tensor, labels: torch.Tensor | None = None) -> Targets:
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else labels
    return Targets(labels, boxes, torch.zeros(len(boxes), 8, 8, dtype=torch.bool))


def random_case(
    seed: int, *, queries: int, targets: int, classes: int = 2
) -> tuple[torch.Tensor, torch.Tensor, Targets]:
    generator = torch.Generator().manual_seed(seed)
    wanted = torch.rand(targets, 4, generator=generator) * 0.4 + 0.3
    near = (
        wanted[torch.randint(targets, (queries,), generator=generator)]
        if targets
        else torch.rand(queries, 4, generator=generator)
    )
    boxes = near + 0.05 * torch.randn(queries, 4, generator=generator)
    labels = torch.randint(classes, (targets,), generator=generator)
    return torch.randn(queries, classes, generator=generator), boxes, targets_of(wanted, labels)


def slow_simota(logits: torch.Tensor, boxes: torch.Tensor, targets: Targets) -> set[tuple[int, int]]:
    """The matcher in loops over single numbers, from its description."""
    queries, count = len(boxes), len(targets)
    predicted, wanted = box_convert(boxes, "cxcywh", "xyxy"), box_convert(targets.boxes, "cxcywh", "xyxy")
    overlap, giou = box_iou(wanted, predicted), generalized_box_iou(wanted, predicted)
    cost = [[0.0] * queries for _ in range(count)]
    for q in range(queries):
        x, y = boxes[q, :2].tolist()
        near_some, good = False, []
        for g in range(count):
            x0, y0, x1, y1 = wanted[g].tolist()
            cx, cy = targets.boxes[g, :2].tolist()
            in_box = x0 < x < x1 and y0 < y < y1
            at_centre = abs(x - cx) < 2.5 / 32 and abs(y - cy) < 2.5 / 32
            near_some = near_some or in_box or at_centre
            good.append(in_box and at_centre)
        for g in range(count):
            p = 1 / (1 + math.exp(-float(logits[q, targets.labels[g]])))
            cost[g][q] = 0.25 * (1 - p) ** 2 * -math.log(p) - 0.75 * p**2 * -math.log(1 - p)
            cost[g][q] += -3 * float(giou[g, q]) + (0 if good[g] else 100) + (0 if near_some else 10_000)
    taken = {g: set() for g in range(count)}
    for g in range(count):
        k = max(1, int(sum(sorted(overlap[g].tolist(), reverse=True)[:10])))
        taken[g] = set(sorted(range(queries), key=lambda q, g=g: cost[g][q])[:k])

    def keep_cheapest(claims: dict[int, set[int]]) -> None:
        for q in range(queries):
            owners = [g for g in claims if q in claims[g]]
            for g in owners:
                if g != min(owners, key=lambda g, q=q: cost[g][q]):
                    claims[g].discard(q)

    keep_cheapest(taken)
    while any(not taken[g] for g in taken) and len(set().union(*taken.values())) < queries:
        free = set(range(queries)) - set().union(*taken.values())
        claims = {g: {min(free, key=lambda q, g=g: cost[g][q])} for g in taken if not taken[g]}
        keep_cheapest(claims)
        for g, claimed in claims.items():
            taken[g] |= claimed
    return {(g, q) for g in taken for q in taken[g]}


@pytest.mark.parametrize("seed", range(40))
def test_simota_equals_the_loops(seed: int) -> None:
    logits, boxes, targets = random_case(seed, queries=2 + seed % 5, targets=1 + seed % 2)
    match = simota(logits, boxes, targets, CONFIG)
    assert set(zip(match.targets.tolist(), match.queries.tolist(), strict=True)) == slow_simota(logits, boxes, targets)


@pytest.mark.parametrize("seed", range(5))
def test_simota_equals_the_loops_with_many_queries(seed: int) -> None:
    logits, boxes, targets = random_case(seed, queries=60, targets=12)
    match = simota(logits, boxes, targets, CONFIG)
    assert set(zip(match.targets.tolist(), match.queries.tolist(), strict=True)) == slow_simota(logits, boxes, targets)
    assert len(match.queries) > len(targets), "one-to-many"


def test_simota_cost_by_hand() -> None:
    targets = targets_of(torch.tensor([[0.5, 0.5, 0.4, 0.2]]))
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.2], [0.65, 0.5, 0.4, 0.2], [0.9, 0.9, 0.1, 0.1]])
    cost, overlap = simota_costs(torch.zeros(1, 3, 1), boxes[None], targets, CONFIG)[:, 0, 0]
    classification = (0.25 - 0.75) * 0.25 * math.log(2)
    # shifted by 0.15 of 0.4: overlap 0.25, union 0.55, hull equals the union
    shifted = 0.25 / 0.55
    # hull of the far box: x 0.3..0.95, y 0.4..0.95
    far = 0 - (0.65 * 0.55 - 0.08 - 0.01) / (0.65 * 0.55)
    expected = [-3.0, -3 * shifted + 100, -3 * far + 100 + 10_000]
    torch.testing.assert_close(cost, torch.tensor(expected) + classification, rtol=1e-6, atol=2e-3)
    torch.testing.assert_close(overlap, torch.tensor([1.0, shifted, 0.0]))


@pytest.mark.parametrize("matching", ["simota", "iou", "hungarian"])
@pytest.mark.parametrize(("queries", "count"), [(1, 1), (3, 3), (5, 8), (6, 0), (9, 2), (40, 7)])
def test_everyone_gets_a_query_while_there_are_enough(matching: str, queries: int, count: int) -> None:
    logits, boxes, targets = random_case(queries + count, queries=queries, targets=count)
    config = LossConfig(matching=matching)
    match = assign(logits, boxes, targets, config)
    assert len(set(match.queries.tolist())) == len(match.queries)
    assert len(set(match.targets.tolist())) == min(queries, count)
    assert match.best.shape == (count,)
    pairs = set(zip(match.targets.tolist(), match.queries.tolist(), strict=True))
    for target in set(match.targets.tolist()):
        assert (target, int(match.best[target])) in pairs
    again = assign(logits, boxes, targets, config)
    assert torch.equal(match.queries, again.queries) and torch.equal(match.targets, again.targets)


def test_duplicate_targets_share_the_queries_and_ties_go_to_the_lower_index() -> None:
    box = torch.tensor([0.5, 0.5, 0.2, 0.2])
    match = simota(torch.zeros(5, 1), box.repeat(5, 1), targets_of(box.repeat(3, 1)), CONFIG)
    # every target wants all five; the first keeps them and the others take what it can spare, in turn
    assert sorted(match.queries.tolist()) == [0, 1, 2, 3, 4]
    assert set(match.targets.tolist()) == {0, 1, 2}


def test_best_is_the_cheapest_of_the_target_s_own() -> None:
    box = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    logits = torch.tensor([[0.0], [3.0], [1.0]])
    match = simota(logits, box.repeat(3, 1), targets_of(box), CONFIG)
    assert match.queries.tolist() == [0, 1, 2]
    assert match.best.tolist() == [1]


def test_a_wanted_query_stays_with_the_cheapest_and_the_loser_takes_a_free_one() -> None:
    cost = np.array([[1.0, 5.0, 9.0], [2.0, 8.0, 7.0]], dtype=np.float32)
    taken = np.array([[True, False, False], [True, False, False]])
    assert resolve(taken, cost).tolist() == [[True, False, False], [False, False, True]]


def test_conflicts_among_losers_are_counted_anew() -> None:
    # all three want query 0; the two losers both want query 1 next, and only one may have it
    cost = np.array([[1.0, 2.0, 9.0, 9.0], [2.0, 3.0, 5.0, 9.0], [3.0, 4.0, 9.0, 5.0]], dtype=np.float32)
    taken = np.zeros((3, 4), dtype=bool)
    taken[:, 0] = True
    assert resolve(taken, cost).argmax(1).tolist() == [0, 1, 3]
    assert resolve(taken, cost).sum(0).tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("seed", range(10))
def test_hungarian_is_the_cheapest_of_all_permutations(seed: int) -> None:
    logits, boxes, targets = random_case(seed, queries=6, targets=3)
    cost = hungarian_costs(logits[None], boxes[None], targets, CONFIG)[0, 0]
    match = hungarian(logits, boxes, targets, CONFIG)
    cheapest = min(sum(float(cost[g, q]) for g, q in enumerate(chosen)) for chosen in permutations(range(6), 3))
    assert float(cost[match.targets, match.queries].sum()) == pytest.approx(cheapest, abs=1e-5)
    assert match.best.tolist() == match.queries.tolist()


def test_hungarian_cost_by_hand() -> None:
    targets = targets_of(torch.tensor([[0.5, 0.5, 0.4, 0.2]]))
    boxes = torch.tensor([[[0.65, 0.5, 0.4, 0.2]]])
    cost = hungarian_costs(torch.zeros(1, 1, 1), boxes, targets, CONFIG)[0]
    expected = 2 * -0.5 * 0.25 * math.log(2) + 5 * 0.15 - 2 * 0.25 / 0.55
    assert float(cost) == pytest.approx(expected, abs=1e-5)


def test_iou_matching_has_positives_ignored_and_negatives() -> None:
    targets = targets_of(torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]]))
    boxes = torch.tensor(
        [
            [0.5, 0.5, 0.4, 0.4],  # IoU 1 with the first
            [0.5, 0.5, 0.4, 0.3],  # 0.75
            [0.5, 0.5, 0.4, 0.2],  # 0.5: neither
            [0.5, 0.5, 0.4, 0.1],  # 0.25
            [0.1, 0.1, 0.1, 0.06],  # 0.6 with the second, its best
            [0.9, 0.9, 0.1, 0.1],  # 0
        ]
    )
    match = iou(torch.zeros(6, 1), boxes, targets, CONFIG)
    assert match.queries.tolist() == [0, 1, 4]
    assert match.targets.tolist() == [0, 0, 1]
    assert match.best.tolist() == [0, 4]
    assert match.ignored.tolist() == [False, False, True, False, False, False]


def test_only_iou_matching_ignores() -> None:
    logits, boxes, targets = random_case(1, queries=30, targets=4)
    assert not simota(logits, boxes, targets, CONFIG).ignored.any()
    assert not hungarian(logits, boxes, targets, CONFIG).ignored.any()


def test_layers_and_images_are_matched_on_their_own() -> None:
    cases = [random_case(seed, queries=12, targets=count) for seed, count in enumerate((3, 0, 5, 2))]
    logits = torch.stack([torch.stack([cases[0][0], cases[1][0]]), torch.stack([cases[2][0], cases[3][0]])])
    boxes = torch.stack([torch.stack([cases[0][1], cases[1][1]]), torch.stack([cases[2][1], cases[3][1]])])
    for wanted in ([cases[0][2], cases[2][2]], [None, cases[2][2]], [cases[1][2], cases[3][2]], [None, None]):
        together = assign_layers(logits, boxes, wanted, CONFIG)
        for layer in range(2):
            for image in range(2):
                known = wanted[image]
                if known is None:
                    assert len(together[layer][image].queries) == len(together[layer][image].best) == 0
                    continue
                alone = assign(logits[layer, image], boxes[layer, image], known, CONFIG)
                assert torch.equal(together[layer][image].queries, alone.queries)
                assert torch.equal(together[layer][image].targets, alone.targets)
                assert torch.equal(together[layer][image].best, alone.best)


@pytest.mark.parametrize("matching", ["simota", "iou", "hungarian"])
def test_a_diverged_network_is_still_matched(matching: str) -> None:
    _, _, targets = random_case(0, queries=4, targets=2)
    match = assign(torch.full((4, 2), torch.nan), torch.full((4, 4), torch.nan), targets, LossConfig(matching=matching))
    assert set(match.targets.tolist()) == {0, 1}
