"""Whoever looks on while much is read or stored: to show how far it is, or to end it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Watch(Protocol):
    """Passes ``items`` on, of which there are ``total``; ``doing`` says in a word or two what happens to them.

    What it raises ends the work, which then leaves nothing behind.
    """

    def __call__(self, items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]: ...


def unwatched(items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]:
    """The ``Watch`` that does nothing."""
    return iter(items)
