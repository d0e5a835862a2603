"""The exceptions that carry a sentence for the person."""

from __future__ import annotations


class RiseError(Exception):
    """Something the person can mend; the message says what is wrong, where, and what to do."""


class DeviceError(RiseError):
    """The device asked for is not there."""


class WeightsError(RiseError):
    """The weights that a training should start from cannot be had."""
