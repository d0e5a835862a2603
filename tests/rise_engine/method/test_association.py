from __future__ import annotations

import math

import pytest
import torch

from rise_engine.config import LossConfig
from rise_engine.method.association import (
    association_accuracy,
    association_loss,
    association_scores,
    contrastive_queries,
)
from rise_engine.method.matching import simota
from rise_engine.method.targets import Targets


def embeddings(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


def index(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


def test_scores_by_hand() -> None:
    first = torch.tensor([[math.log(2.0), 0.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 5.0]])
    # products ln 2, 0, ln 4; alone in its column each is certain
    expected = torch.tensor([[(2 / 7 + 1) / 2, (1 / 7 + 1) / 2, (4 / 7 + 1) / 2]])
    torch.testing.assert_close(association_scores(first, second), expected)


def test_scores_are_means_of_two_distributions() -> None:
    first, second = embeddings(5, 0), embeddings(7, 1)
    scores = association_scores(first, second)
    assert scores.shape == (5, 7)
    assert ((scores > 0) & (scores <= 1)).all()
    assert float(scores.sum()) == pytest.approx((5 + 7) / 2, abs=1e-5)
    torch.testing.assert_close(association_scores(second, first), scores.T)


def test_one_positive_is_equation_4() -> None:
    anchors, others = embeddings(3, 0), embeddings(9, 1)
    positives = [index(0), index(4), index(8)]
    negatives = [index(1, 2, 3), index(0, 8), index(5)]
    terms = []
    for v, positive, negative in zip(anchors, positives, negatives, strict=True):
        good = math.exp(float(v @ others[positive[0]]))
        bad = sum(math.exp(float(v @ others[n])) for n in negative)
        terms.append(-math.log(good / (good + bad)))
    loss = association_loss(anchors, others, positives, negatives)
    assert float(loss) == pytest.approx(sum(terms) / 3, rel=1e-5)


def test_several_positives_are_the_sum_over_pairs() -> None:
    anchors, others = embeddings(1, 2), embeddings(6, 3)
    positive, negative = index(0, 3), index(1, 2, 5)
    pairs = sum(math.exp(float(anchors[0] @ (others[n] - others[p]))) for p in positive for n in negative)
    loss = association_loss(anchors, others, [positive], [negative])
    assert float(loss) == pytest.approx(math.log1p(pairs), rel=1e-5)


def test_large_products_neither_overflow_nor_lose_the_gradient() -> None:
    anchors = torch.full((1, 4), 100.0, requires_grad=True)
    others = torch.tensor([[-100.0] * 4, [100.0] * 4], requires_grad=True)
    loss = association_loss(anchors, others, [index(0)], [index(1)])
    assert float(loss) == pytest.approx(80_000)
    loss.backward()
    assert anchors.grad.isfinite().all() and others.grad.abs().sum() > 0


@pytest.mark.parametrize("auxiliary", [0.0, 1.5])
def test_objects_without_views_add_nothing(auxiliary: float) -> None:
    anchors, others = embeddings(2, 4).requires_grad_(), embeddings(5, 5).requires_grad_()
    for lists in (([], []), ([index(), index()], [index(), index()])):
        rows = anchors[: len(lists[0])]
        loss = association_loss(rows, others, *lists, auxiliary=auxiliary)
        assert float(loss) == 0
        gradients = torch.autograd.grad(loss, (anchors, others))
        assert all(float(gradient.abs().sum()) == 0 for gradient in gradients)
    one = association_loss(anchors[:1], others, [index(0)], [index(1)])
    half = association_loss(anchors, others, [index(0), index()], [index(1), index(2)])
    assert float(half) == pytest.approx(float(one) / 2)
    (gradient,) = torch.autograd.grad(half, anchors)
    assert gradient.isfinite().all()


def test_auxiliary_term_by_hand() -> None:
    anchors = torch.tensor([[2.0, 0.0]])
    others = torch.tensor([[3.0, 4.0], [0.0, 7.0], [-5.0, 0.0]])
    plain = association_loss(anchors, others, [index(0)], [index(1, 2)])
    loss = association_loss(anchors, others, [index(0)], [index(1, 2)], auxiliary=2.0)
    # cosines 0.6, 0 and -1 against 1, 0 and 0
    assert float(loss - plain) == pytest.approx(2 * (0.16 + 0 + 1) / 3, rel=1e-4)


def test_auxiliary_term_draws_ten_negatives_a_positive() -> None:
    anchors = torch.tensor([[1.0, 0.0]])
    others = torch.cat((torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]).repeat(40, 1)))
    negatives = [torch.arange(1, 41)]
    plain = association_loss(anchors, others, [index(0)], negatives)
    generator = torch.Generator().manual_seed(3)
    loss = association_loss(anchors, others, [index(0)], negatives, auxiliary=1.0, generator=generator)
    # every one of the eleven is off by 1, whichever are drawn
    assert float(loss - plain) == pytest.approx(1.0, rel=1e-4)
    varied = torch.cat((others[:1], embeddings(40, 6)[:, :2]))
    drawn = [
        float(
            association_loss(
                anchors,
                varied,
                [index(0)],
                negatives,
                auxiliary=1.0,
                generator=torch.Generator().manual_seed(seed),
            )
        )
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def crowded() -> tuple[torch.Tensor, torch.Tensor, Targets]:
    generator = torch.Generator().manual_seed(0)
    wanted = torch.tensor([[0.3, 0.3, 0.3, 0.4], [0.7, 0.6, 0.4, 0.3]])
    boxes = wanted.repeat(60, 1) + 0.04 * torch.randn(120, 4, generator=generator)
    targets = Targets(index(0, 0), wanted, torch.zeros(2, 8, 8, dtype=torch.bool))
    return torch.randn(120, 1, generator=generator), boxes, targets


def test_positive_views_are_simota_s_and_a_ring_around_them_is_left_out() -> None:
    logits, boxes, targets = crowded()
    positives, negatives = contrastive_queries(logits, boxes, targets, LossConfig())
    match = simota(logits, boxes, targets, LossConfig())
    for target in range(2):
        assert positives[target].tolist() == match.queries[match.targets == target].tolist()
        mine, others = set(positives[target].tolist()), set(negatives[target].tolist())
        assert not mine & others
        assert len(mine | others) < 120, "the ring"
        assert set(positives[1 - target].tolist()) <= others, "another object's views are negatives"


def test_views_by_iou() -> None:
    target = Targets(index(0), torch.tensor([[0.5, 0.5, 0.4, 0.4]]), torch.zeros(1, 8, 8, dtype=torch.bool))
    heights = (0.4, 0.3, 0.2, 0.1, 0.02)
    boxes = torch.tensor([[0.5, 0.5, 0.4, height] for height in heights])
    positives, negatives = contrastive_queries(torch.zeros(5, 1), boxes, target, LossConfig(matching="iou"))
    assert [views.tolist() for views in positives] == [[0, 1]]
    assert [views.tolist() for views in negatives] == [[3, 4]]
    positives, negatives = contrastive_queries(torch.zeros(3, 1), boxes[2:], target, LossConfig(matching="iou"))
    assert [views.tolist() for views in positives] == [[0]], "the best one when none is good"
    assert [views.tolist() for views in negatives] == [[1, 2]]


def test_no_targets_have_no_views() -> None:
    none = Targets(index(), torch.zeros(0, 4), torch.zeros(0, 8, 8, dtype=torch.bool))
    assert contrastive_queries(torch.zeros(3, 1), torch.rand(3, 4), none, LossConfig()) == ([], [])


def test_fewer_queries_than_candidates() -> None:
    targets = Targets(index(0), torch.tensor([[0.5, 0.5, 0.2, 0.2]]), torch.zeros(1, 8, 8, dtype=torch.bool))
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
    positives, negatives = contrastive_queries(torch.zeros(2, 1), boxes, targets, LossConfig())
    assert positives[0].tolist() == [0] and negatives[0].tolist() == [1]


def test_training_on_the_loss_teaches_to_recognise() -> None:
    first, second = embeddings(4, 7).requires_grad_(), embeddings(12, 8).requires_grad_()
    positives = [index(3 * row) for row in range(4)]
    negatives = [torch.tensor([q for q in range(12) if q != 3 * row]) for row in range(4)]
    optimiser = torch.optim.Adam([first, second], lr=0.1)
    for _ in range(40):
        optimiser.zero_grad()
        association_loss(first, second, positives, negatives).backward()
        optimiser.step()
    assert association_accuracy(first.detach(), second[::3].detach()) == 1.0


def test_accuracy_counts_the_right_best_matches() -> None:
    first = 5 * torch.eye(4)
    assert association_accuracy(first, first) == 1.0
    assert association_accuracy(first, first[[0, 1, 3, 2]]) == 0.5
    assert math.isnan(association_accuracy(first[:0], first[:0]))
