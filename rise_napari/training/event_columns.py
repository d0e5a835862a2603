"""Events of one kind, and their numbers as columns that grow without being built anew."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import fields
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rise_engine.training.events import Event

Kind = TypeVar("Kind", bound=Event)
FIRST_ROOM = 256


class Columns(Generic[Kind]):
    """A list of events, in the order of their steps, whose numeric fields can be read as arrays."""

    def __init__(self, kind: type[Kind]) -> None:
        self._events: list[Kind] = []
        self._steps: list[int] = []
        self._names = [field.name for field in fields(kind)]
        self._values = np.empty((len(self._names), FIRST_ROOM))

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._events)

    def __getitem__(self, index: int) -> Kind:
        return self._events[index]

    def append(self, event: Kind) -> None:
        """Adds one event; a missing number, or a field that is none, counts as not a number."""
        count = len(self._events)
        if count == self._values.shape[1]:
            self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=1)
        values = [getattr(event, name) for name in self._names]
        self._values[:, count] = [value if isinstance(value, int | float) else np.nan for value in values]
        self._events.append(event)
        self._steps.append(event.step)

    def clear(self) -> None:
        """Forgets everything."""
        self._events.clear()
        self._steps.clear()

    @property
    def steps(self) -> NDArray[np.float64]:
        """The steps, (N,)."""
        return self.column("step")

    def column(self, name: str) -> NDArray[np.float64]:
        """A field of all events, (N,), nan where it is missing."""
        return self._values[self._names.index(name), : len(self._events)]

    def nearest(self, step: int) -> Kind | None:
        """The event whose step is nearest to the one given; None without any."""
        if not self._events:
            return None
        place = bisect_left(self._steps, step)
        around = [index for index in (place - 1, place) if 0 <= index < len(self._steps)]
        return self._events[min(around, key=lambda index: abs(self._steps[index] - step))]
