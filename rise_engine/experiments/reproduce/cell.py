"""Cell of a grid: one line of a table, with its number of labelled frames, settings and printed scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rise_engine.config import PresetName

ARMBENCH_TRAINING_FRAMES = 30_992
Scores = tuple[float | None, float | None, float | None]
"""AP, AP50 and AP75 in percent, as printed in the paper; None where it has none."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many of the labelled frames are used: a count, or a share of them.

    ``listed`` is the count that the paper prints for this share of ARMBench; rounding the share may differ from it.
    """

    label: str
    share: float | None = None
    count: int | None = None
    listed: int | None = None

    def frames(self, available: int) -> int:
        """The count, at least one."""
        if self.count is not None:
            return self.count
        if self.listed is not None and available == ARMBENCH_TRAINING_FRAMES:
            return self.listed
        return max(1, round((1.0 if self.share is None else self.share) * available))


def counted(count: int) -> Amount:
    """An amount of ``count`` labelled frames."""
    return Amount(f"{count} frames" if count > 1 else "1 frame", count=count)


ALL = Amount("100 %", share=1.0, listed=30_992)


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of a table, trained once per seed.

    ``settings`` are ``section.key=value``. ``for_paper`` are additional settings with the recipe ``paper``, when the
    text has values for this line only. ``paper`` has the printed scores by preset (that is, by backbone).
    """

    method: str
    amount: Amount
    settings: tuple[str, ...] = ()
    for_paper: tuple[str, ...] = ()
    paper: Mapping[PresetName, Scores] = field(default_factory=dict)
