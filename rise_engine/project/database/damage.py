"""Damaged databases: an unreadable stored value becomes a clear message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rise_engine.errors import RiseError


@contextmanager
def reading(what: str) -> Iterator[None]:
    """A context manager and decorator for code that parses stored values; ``what`` names them, in the plural.

    Raises RiseError when one of them cannot be parsed.
    """
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RiseError(
            f"The project holds {what} that cannot be read ({type(error).__name__}: {error}): its file is damaged or "
            "was changed by another program; restore it from a backup."
        ) from error
