"""How strict the choice of pseudo-labels is at each step (paper, Sec. 3.3 and App. C)."""

from __future__ import annotations


def staircase(step: int, steps: int, start: float, peak: float, stairs: int) -> float:
    """A threshold that climbs from ``start`` to ``peak`` in ``stairs`` equal stretches of the schedule.

    The first stretch has ``start``, the last ``peak``; with twelve stairs and 12,000 steps it rises every 1,000 steps
    as in the paper. Beyond the schedule it stays at ``peak``.
    """
    stair = min(stairs * step // steps, stairs - 1)
    return start + (peak - start) * stair / (stairs - 1)


def quantile_level(step: int, steps: int, start: float) -> float:
    """p_t = start (1 - step / steps), 0 beyond the schedule.

    It is the level of a quantile: scores below the p_t quantile go, so that the top 1 - p_t are kept. (The paper's
    "top p_t are retained" would loosen where its text and Fig. 7 tighten, and the other way round.)
    """
    return start * max(0.0, 1 - step / steps)
