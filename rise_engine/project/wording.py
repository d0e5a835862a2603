"""Numbers in messages: counts with their noun, and durations."""

from __future__ import annotations


def number_of(count: int, noun: str) -> str:
    """A count with its noun: ``1 frame``, ``2,000 frames``, ``2 categories``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"


def duration(seconds: float) -> str:
    """A duration, rounded for reading: ``45 s``, ``4 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
