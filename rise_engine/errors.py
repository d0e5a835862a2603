"""The one exception that carries a sentence for the person."""

from __future__ import annotations


class RiseError(Exception):
    """Something the person can mend; the message says what is wrong, where, and what to do."""
