"""Events of one type with their numeric fields as arrays, for the plots."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import fields
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rise_engine.training.events import Event

EventType = TypeVar("EventType", bound=Event)
INITIAL_CAPACITY = 256


class EventColumns(Generic[EventType]):
    """A list of events in the order of their steps; each numeric field is also an array."""

    def __init__(self, event_type: type[EventType]) -> None:
        self._events: list[EventType] = []
        self._steps: list[int] = []
        self._names = [field.name for field in fields(event_type)]
        self._values = np.empty((len(self._names), INITIAL_CAPACITY))

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._events)

    def __getitem__(self, index: int) -> EventType:
        return self._events[index]

    def append(self, event: EventType) -> None:
        """Adds one event. A missing number or a field that is not a number becomes nan."""
        count = len(self._events)
        if count == self._values.shape[1]:
            self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=1)
        values = [getattr(event, name) for name in self._names]
        self._values[:, count] = [value if isinstance(value, int | float) else np.nan for value in values]
        self._events.append(event)
        self._steps.append(event.step)

    def clear(self) -> None:
        """Removes all events."""
        self._events.clear()
        self._steps.clear()

    @property
    def steps(self) -> NDArray[np.float64]:
        """The steps of the events, (N,)."""
        return self.column("step")

    def column(self, name: str) -> NDArray[np.float64]:
        """A field of all events, (N,), with nan for missing values."""
        return self._values[self._names.index(name), : len(self._events)]

    def nearest(self, step: int) -> EventType | None:
        """The event nearest to a step; None without events."""
        if not self._events:
            return None
        position = bisect_left(self._steps, step)
        around = [index for index in (position - 1, position) if 0 <= index < len(self._steps)]
        return self._events[min(around, key=lambda index: abs(self._steps[index] - step))]
