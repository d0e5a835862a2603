"""Stretches of time in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A stretch of time as a person says it."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
