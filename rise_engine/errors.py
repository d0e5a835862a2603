"""Exceptions with a message for the user."""

from __future__ import annotations


class RiseError(Exception):
    """An error that the user can fix; the message has the problem, its place, and what to do."""


class DeviceError(RiseError):
    """The requested device is not available."""


class WeightsError(RiseError):
    """The initial weights of a training are not available."""
