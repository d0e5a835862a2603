"""How long something takes, in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A stretch of time as a person says it: ``45 s``, ``4 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
