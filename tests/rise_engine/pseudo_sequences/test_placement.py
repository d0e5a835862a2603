"""Where objects may go: Eq. 2 and the overlap rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rise_engine.pseudo_sequences.placement import allowed, hidden_share, sample_corner


def test_corners_follow_the_beta_law_and_keep_the_object_inside(rng: np.random.Generator) -> None:
    frame, obj = (3000, 5000), (400, 1000)
    corners = np.array([sample_corner(rng, frame, obj, 0.5, 0.5) for _ in range(4000)])
    feasible = np.array([4000, 2600])
    assert corners.min() >= 0 and np.all(corners <= feasible)
    for axis in range(2):
        assert stats.kstest(corners[:, axis] / feasible[axis], stats.beta(0.5, 0.5).cdf).pvalue > 0.01
    # Two independent draws, not one draw along the diagonal.
    assert abs(np.corrcoef(corners.T)[0, 1]) < 0.1


def test_other_parameters_give_another_law(rng: np.random.Generator) -> None:
    u = np.array([sample_corner(rng, (10_000, 10_000), (0, 0), 2.0, 5.0)[0] for _ in range(2000)]) / 10_000
    assert stats.kstest(u, stats.beta(2, 5).cdf).pvalue > 0.01


def test_an_object_as_large_as_the_frame_has_one_place(rng: np.random.Generator) -> None:
    assert sample_corner(rng, (20, 30), (20, 30), 0.5, 0.5) == (0, 0)
    with pytest.raises(ValueError, match="does not fit"):
        sample_corner(rng, (20, 30), (21, 30), 0.5, 0.5)


AREAS = np.array([100, 20, 0])
"""Of a block of 10 x 10, a row of 20 pixels, and an object already hidden."""


def test_hidden_share_counts_what_is_lost_of_what_is_visible() -> None:
    assert hidden_share(np.array([72, 0, 0]), AREAS).tolist() == pytest.approx([0.72, 0, 0])


@pytest.mark.parametrize(("lost", "fine"), [(85, True), (86, False), (100, False)])
def test_more_than_85_percent_of_any_object_is_refused(lost: int, fine: bool) -> None:
    assert allowed(np.array([lost, 17, 0]), AREAS, max_overlap=0.85) is fine
    assert not allowed(np.array([0, 18, 0]), AREAS, max_overlap=0.85)


def test_with_nothing_known_everything_is_allowed() -> None:
    nothing = np.zeros(0, np.int64)
    assert allowed(nothing, nothing, max_overlap=0.85)
