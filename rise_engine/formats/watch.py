"""Observers of long imports: they show the progress or cancel the import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Watch(Protocol):
    """Passes ``total`` items on; ``doing`` describes the work in a word or two.

    An exception that it raises cancels the import, which then changes nothing.
    """

    def __call__(self, items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]: ...


def unwatched(items: Iterable[Item], *, total: int, doing: str) -> Iterator[Item]:
    """An observer that does nothing."""
    return iter(items)
