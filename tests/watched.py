"""An executor, whichever it is, and all that it has reported; the scripts that tests have it run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

from core.executor import Ended, Executor, FleetObserved, Job, Observation, Synced
from core.ids import RunId

PREPARE = b"TIME_BUDGET = 300\n"
RESULT = "print('---\\nval_bpb: 1.25\\ntraining_seconds: 2.0')\n"
STEP = "print('step 00001 (50.0%) | loss: 2.5 | tok/sec: 1,000', flush=True)\n"
FOREVER = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
RUN, OTHER = RunId("e1-1"), RunId("e2-1")
Seen = TypeVar("Seen", bound=Observation)
Kind = TypeVar("Kind", bound=Executor)


class Watched(Generic[Kind]):
    def __init__(self, executor: Kind) -> None:
        self.executor = executor
        self.seen: list[Observation] = []
        self._news = asyncio.Condition()
        self._failure: Exception | None = None

    async def collect(self, open_runs: tuple[RunId, ...]) -> None:
        try:
            async for observation in self.executor.watch(open_runs):
                self.seen.append(observation)
                await self._wake()
        except Exception as error:
            self._failure = error
            await self._wake()
            raise

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    def of(self, kind: type[Seen], run: RunId = RUN) -> list[Seen]:
        """Of this run, or of none."""
        return [seen for seen in self.seen if isinstance(seen, kind) and getattr(seen, "run", run) == run]

    async def first(self, kind: type[Seen], run: RunId = RUN, seconds: float = 40) -> Seen:
        await self.until(lambda: self.of(kind, run), seconds)
        return self.of(kind, run)[0]

    async def until(self, claim: Callable[[], object], seconds: float = 40) -> None:
        """`claim` is asked again with every observation. Raises what `watch` raised."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: self._failure or claim())
        if self._failure is not None:
            raise self._failure

    @property
    def gpu_type(self) -> str:
        fleet = self.of(FleetObserved)[0]
        return next(gpu.type for gpu in fleet.gpus if not gpu.held_by)

    async def launch(self, source: str, run: RunId = RUN) -> None:
        await self.executor.launch(Job(run=run, source=source, seed=7, gpu_type=self.gpu_type))

    async def run(self, source: str, run: RunId = RUN) -> Ended:
        await self.launch(source, run)
        return await self.first(Ended, run)


@asynccontextmanager
async def watching(executor: Kind, open_runs: tuple[RunId, ...]) -> AsyncIterator[Watched[Kind]]:
    """As an engine does that knows of these runs: from the first observation until it goes."""
    async with executor:
        watched = Watched(executor)
        task = asyncio.create_task(watched.collect(open_runs), name="collect")
        try:
            await watched.first(Synced)
            yield watched
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Leaving(Protocol):
    async def left(self) -> list[str]:
        """What there is now of runs that have ended, besides what is kept of them."""
        ...


async def eventually(claim: Callable[[], Awaitable[Any]], seconds: float = 20) -> bool:
    """Whether it comes true, at the latest after a while; for what nothing tells of."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not await claim():  # noqa: ASYNC110  other processes and machines
                await asyncio.sleep(0.1)
            return True
    return False


async def is_clean(bench: Leaving) -> bool:
    async def nothing() -> bool:
        return not await bench.left()

    return await eventually(nothing)
