"""Schedules of the class threshold, the mask threshold and the quantile level (paper, Sec. 3.3 and App. C)."""

from __future__ import annotations


def staircase(step: int, steps: int, start: float, peak: float, stairs: int) -> float:
    """gamma_t: a threshold that increases from ``start`` to ``peak`` in ``stairs`` equal intervals of the schedule.

    It is ``start`` in the first interval and ``peak`` in the last one. With twelve stairs and 12,000 steps it increases
    every 1,000 steps, as in the paper. Beyond the schedule it stays at ``peak``.
    """
    stair = min(stairs * step // steps, stairs - 1)
    return start + (peak - start) * stair / (stairs - 1)


def quantile_level(step: int, steps: int, start: float) -> float:
    """p_t = start (1 - step / steps), 0 beyond the schedule.

    It is the level of a quantile: scores below the p_t quantile are dropped, and the top 1 - p_t are kept. (The paper
    also writes "the top p_t are retained". That would tighten over time, against its Sec. 3.3 and Fig. 7.)
    """
    return start * max(0.0, 1 - step / steps)
