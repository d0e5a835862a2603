"""Scenes planned while the network learns from earlier ones: frames are read and decided upon in other threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Plan = TypeVar("Plan")


class PlanPrefetcher(Generic[Key, Plan]):
    """Plans follow from their keys alone, so that it changes nothing but the waiting who makes them, and when.

    Without a pool each plan is made when it is asked for.
    """

    def __init__(self, plan: Callable[[Key], Plan], pool: ThreadPoolExecutor | None) -> None:
        self._plan = plan
        self._pool = pool
        self._waiting: dict[Key, Future[Plan]] = {}

    def take(self, wanted: Sequence[Key], *, soon: Sequence[Key] = ()) -> list[Plan]:
        """The plans of the keys ``wanted``, while those of the keys ``soon`` are begun, and no others are kept.

        What planning raises is raised when its plan is wanted.
        """
        if self._pool is None:
            return [self._plan(key) for key in wanted]
        made = [self._begun(self._pool, key) for key in wanted]
        waiting = {key: self._begun(self._pool, key) for key in soon}
        self.forget()
        self._waiting = waiting
        return [future.result() for future in made]

    def forget(self) -> None:
        """Nothing planned so far is wanted any more."""
        for future in self._waiting.values():
            future.cancel()
        self._waiting = {}

    def _begun(self, pool: ThreadPoolExecutor, key: Key) -> Future[Plan]:
        return self._waiting.pop(key, None) or pool.submit(self._plan, key)
