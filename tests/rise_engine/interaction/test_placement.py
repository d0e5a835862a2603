"""Where objects may go: Eq. 2 and the overlap rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from rise_engine.interaction.placement import allowed, draw_corner, hidden_share, pixel_counts


def test_corners_follow_the_beta_law_and_keep_the_object_inside(rng: np.random.Generator) -> None:
    frame, obj = (3000, 5000), (400, 1000)
    corners = np.array([draw_corner(rng, frame, obj, 0.5, 0.5) for _ in range(4000)])
    feasible = np.array([4000, 2600])
    assert corners.min() >= 0 and np.all(corners <= feasible)
    for axis in range(2):
        assert stats.kstest(corners[:, axis] / feasible[axis], stats.beta(0.5, 0.5).cdf).pvalue > 0.01
    # Two independent draws, not one draw along the diagonal.
    assert abs(np.corrcoef(corners.T)[0, 1]) < 0.1


def test_other_parameters_give_another_law(rng: np.random.Generator) -> None:
    u = np.array([draw_corner(rng, (10_000, 10_000), (0, 0), 2.0, 5.0)[0] for _ in range(2000)]) / 10_000
    assert stats.kstest(u, stats.beta(2, 5).cdf).pvalue > 0.01


def test_an_object_as_large_as_the_frame_has_one_place(rng: np.random.Generator) -> None:
    assert draw_corner(rng, (20, 30), (20, 30), 0.5, 0.5) == (0, 0)
    with pytest.raises(ValueError, match="does not fit"):
        draw_corner(rng, (20, 30), (21, 30), 0.5, 0.5)


@pytest.fixture
def visible() -> torch.Tensor:
    """A block of 10 x 10 at (20, 10), a row of 20 pixels, and an object already hidden."""
    masks = torch.zeros(3, 40, 50, dtype=torch.bool)
    masks[0, 10:20, 20:30] = True
    masks[1, 30, 0:20] = True
    return masks


def test_hidden_share_counts_only_what_lies_beneath(visible: torch.Tensor) -> None:
    mask = torch.ones(8, 10, dtype=torch.bool)
    mask[:, 0] = False
    shares = hidden_share(visible, pixel_counts(visible), mask, left=20, top=10)
    assert shares.tolist() == pytest.approx([0.72, 0, 0])


@pytest.mark.parametrize(("rows", "fine"), [(8, True), (9, False), (10, False)])
def test_more_than_85_percent_of_any_object_is_refused(visible: torch.Tensor, rows: int, fine: bool) -> None:
    mask = torch.ones(rows, 10, dtype=torch.bool)
    assert allowed(visible, pixel_counts(visible), mask, left=20, top=10, max_overlap=0.85) is fine


def test_the_rule_looks_at_what_is_visible_now(visible: torch.Tensor) -> None:
    # Five of ten rows are hidden already; hiding the other five is a loss of everything, though half of the whole.
    visible[0, 10:15] = False
    mask = torch.ones(5, 10, dtype=torch.bool)
    assert not allowed(visible, pixel_counts(visible), mask, left=20, top=15, max_overlap=0.85)


def test_with_nothing_known_everything_is_allowed() -> None:
    visible = torch.zeros(0, 40, 50, dtype=torch.bool)
    mask = torch.ones(8, 10, dtype=torch.bool)
    assert allowed(visible, pixel_counts(visible), mask, left=0, top=0, max_overlap=0.85)


def test_pixel_counts(visible: torch.Tensor) -> None:
    assert pixel_counts(visible).tolist() == [100, 20, 0]
