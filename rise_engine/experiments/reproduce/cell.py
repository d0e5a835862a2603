"""A cell of a grid of trainings: how many labelled frames, and which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rise_engine.config import PresetName

ARMBENCH_TRAINING_FRAMES = 30_992
Scores = tuple[float | None, float | None, float | None]
"""AP, AP50 and AP75 in percent, as printed in the paper; None where it has none."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many of the labelled frames teach: a count, or a share of them.

    ``listed`` is the count that the paper gives for the share of ARMBench, which its rounding does not always give.
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
    """So many labelled frames."""
    return Amount(f"{count} frames" if count > 1 else "1 frame", count=count)


ALL = Amount("100 %", share=1.0, listed=30_992)


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of a table, trained once a seed.

    ``settings`` are ``section.key=value``; ``for_paper`` come on top with the recipe ``paper``, where the text gives
    values for this line alone. ``paper`` holds the printed scores by the preset whose backbone they belong to.
    """

    method: str
    amount: Amount
    settings: tuple[str, ...] = ()
    for_paper: tuple[str, ...] = ()
    paper: Mapping[PresetName, Scores] = field(default_factory=dict)
