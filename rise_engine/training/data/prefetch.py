"""Pseudo-sequences planned ahead: other threads read frames while the network is trained on earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Plan = TypeVar("Plan")


class PlanPrefetcher(Generic[Key, Plan]):
    """Makes plans in the threads of a pool. A plan follows from its key alone: prefetching affects latency only.

    Without a pool each plan is made on demand.
    """

    def __init__(self, plan: Callable[[Key], Plan], pool: ThreadPoolExecutor | None) -> None:
        self._plan = plan
        self._pool = pool
        self._waiting: dict[Key, Future[Plan]] = {}

    def take(self, wanted: Sequence[Key], *, soon: Sequence[Key] = ()) -> list[Plan]:
        """The plans of the keys ``wanted``. Those of the keys ``soon`` are started, and no others are kept.

        An error of planning is raised when its plan is wanted.
        """
        if self._pool is None:
            return [self._plan(key) for key in wanted]
        made = [self._started(self._pool, key) for key in wanted]
        waiting = {key: self._started(self._pool, key) for key in soon}
        self.forget()
        self._waiting = waiting
        return [future.result() for future in made]

    def forget(self) -> None:
        """Discards all plans made so far."""
        for future in self._waiting.values():
            future.cancel()
        self._waiting = {}

    def _started(self, pool: ThreadPoolExecutor, key: Key) -> Future[Plan]:
        return self._waiting.pop(key, None) or pool.submit(self._plan, key)
