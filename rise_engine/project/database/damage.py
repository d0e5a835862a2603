"""A project file whose values are not what this program writes: a sentence instead of a strange error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rise_engine.errors import RiseError


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Around (or on a function of) code that takes stored values apart; ``what`` they are, in the plural.

    Raises RiseError where one of them is of a wrong kind.
    """
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RiseError(
            f"The project holds {what} that cannot be read ({type(error).__name__}: {error}): its file is damaged or "
            "was changed by another program; restore it from a backup."
        ) from error
