from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rise_engine.model.deformable_detr.dropout import dropout, kept, relu_dropout


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_each_element_is_kept_with_the_complement_of_the_rate(rate: float) -> None:
    torch.manual_seed(0)
    mask = kept(torch.empty(401, 1003), rate)
    deviation = (rate * (1 - rate) / mask.numel()) ** 0.5
    assert mask.float().mean().item() == pytest.approx(1 - rate, abs=4 * deviation)
    # Four neighbours come from one random number, and must know nothing of each other.
    for distance in (1, 2, 3, 4):
        both = (mask[:, distance:] & mask[:, :-distance]).float().mean().item()
        assert both == pytest.approx((1 - rate) ** 2, abs=8 * deviation)


def test_the_generator_decides() -> None:
    torch.manual_seed(3)
    first, other = kept(torch.empty(7, 9), 0.5), kept(torch.empty(7, 9), 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, kept(torch.empty(7, 9), 0.5))
    assert not torch.equal(first, other)


def test_what_is_kept_grows_so_that_the_mean_stays() -> None:
    torch.manual_seed(0)
    features = torch.ones(3, 50, requires_grad=True)
    result = dropout(features, 0.25, True)
    assert result.unique().tolist() == pytest.approx([0, 4 / 3])
    result.sum().backward()
    assert features.grad is not None
    torch.testing.assert_close(features.grad, result.detach())


def with_relu(features: Tensor) -> Tensor:
    torch.manual_seed(5)
    return relu_dropout(features, 0.25, True)


def test_relu_and_dropout_in_one_are_both() -> None:
    features = torch.linspace(-3, 3, 60, dtype=torch.double, requires_grad=True)
    torch.manual_seed(5)
    expected = dropout(features.relu(), 0.25, True)
    torch.testing.assert_close(with_relu(features), expected)
    assert torch.autograd.gradcheck(with_relu, [features])


def test_nothing_is_dropped_outside_of_training_or_at_rate_zero() -> None:
    features = torch.randn(4, 5)
    assert dropout(features, 0.5, False) is features
    assert dropout(features, 0.0, True) is features
    torch.testing.assert_close(relu_dropout(features, 0.5, False), features.relu())
    torch.testing.assert_close(relu_dropout(features, 0.0, True), features.relu())
