"""What `watch` is to yield, in order, for one reader; and what ends it. Knows no hosts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from core.executor import Ended, FleetObserved, Observation, Started
from core.ids import RunId


class News:
    def __init__(self) -> None:
        self._waiting: deque[Observation] = deque()
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()

    def tell(self, seen: Observation) -> None:
        self._waiting.append(seen)
        self._wake.set()

    def fail(self, error: BaseException) -> None:
        """The reader is told by an exception, once it has heard the rest."""
        self._failure = self._failure or error
        self._wake.set()

    def ended(self, task: asyncio.Task[Any]) -> None:
        """Of a task that ends by an error alone."""
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)

    def forget_fleets(self) -> None:
        """The reader knows a later one."""
        self._waiting = deque(seen for seen in self._waiting if not isinstance(seen, FleetObserved))

    def take(self, run: RunId) -> Observation | None:
        """The last that is to be told of its start and its end; neither is told again."""
        found = [seen for seen in self._waiting if isinstance(seen, Started | Ended) and seen.run == run]
        for seen in found:
            self._waiting.remove(seen)
        return found[-1] if found else None

    async def stream(self) -> AsyncIterator[Observation]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._failure is not None:
                raise self._failure
            await self._wake.wait()
            self._wake.clear()
