"""Eq. 9 by hand: which of lambda_3 and lambda_4 applies to which loss."""

from __future__ import annotations

import pytest
import torch

from rise_engine.config import LossConfig
from rise_engine.method.losses import LossTerms
from rise_engine.method.objective import total_loss

CONFIG = LossConfig(association=0.1, unsupervised=0.25)


def terms() -> LossTerms:
    """Five terms that are 15 in total."""
    return LossTerms(*(torch.tensor(float(value), requires_grad=True) for value in (1, 2, 3, 4, 5)))


@pytest.mark.parametrize(("labelled", "segmentation"), [(True, 15.0), (False, 0.25 * 15.0)])
def test_equation_9_by_hand(labelled: bool, segmentation: float) -> None:
    loss = total_loss(terms(), torch.tensor(7.0), CONFIG, labelled=labelled)
    assert float(loss.segmentation.total.detach()) == pytest.approx(segmentation)
    assert float(loss.association) == pytest.approx(0.7)
    assert float(loss.value.detach()) == pytest.approx(segmentation + 0.7)


def test_a_share_of_the_frames_has_that_share_of_the_loss_and_of_its_gradient() -> None:
    parts, embed = terms(), torch.tensor(7.0, requires_grad=True)
    loss = total_loss(parts, embed, CONFIG, labelled=False, share=0.5)
    assert float(loss.value.detach()) == pytest.approx(0.5 * (0.25 * 15 + 0.7))
    loss.value.backward()
    assert parts.dice.grad is not None and float(parts.dice.grad) == pytest.approx(0.5 * 0.25)
    assert embed.grad is not None and float(embed.grad) == pytest.approx(0.5 * 0.1)
