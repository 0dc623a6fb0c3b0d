"""A workspace, a folder of runs and engines over them, with real processes: what the local executor's tests share."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from core.clock import SystemClock
from core.events import Gpu
from core.executor import Ended, Job, Observation, Synced
from core.executors.gpus import Slot
from core.executors.local import LocalExecutor
from core.ids import GpuId, RunId

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
Seen = TypeVar("Seen", bound=Observation)
PREPARE = b"TIME_BUDGET = 300\n"
RESULT = "print('---\\nval_bpb: 1.25\\ntraining_seconds: 2.0')\n"
FOREVER = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
UNTIL_GO = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n" + RESULT
RUN = RunId("e1-1")


def slots(count: int = 1) -> tuple[Slot, ...]:
    return tuple(Slot(Gpu(GpuId(f"cpu{index}"), "cpu"), cpus=None) for index in range(count))


def job(source: str, run: RunId = RUN) -> Job:
    return Job(run=run, source=source, seed=7, gpu_type="cpu")


class Watched:
    """An executor, and all that it has reported."""

    def __init__(self, executor: LocalExecutor) -> None:
        self.executor = executor
        self.seen: list[Observation] = []
        self._news = asyncio.Condition()

    async def collect(self, open_runs: tuple[RunId, ...]) -> None:
        async for observation in self.executor.watch(open_runs):
            async with self._news:
                self.seen.append(observation)
                self._news.notify_all()

    def of(self, kind: type[Seen], run: RunId) -> list[Seen]:
        return [seen for seen in self.seen if isinstance(seen, kind) and getattr(seen, "run", "") == run]

    async def first(self, kind: type[Seen], run: RunId = RUN) -> Seen:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: self.of(kind, run))
        return self.of(kind, run)[0]

    async def synced(self) -> None:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: any(isinstance(seen, Synced) for seen in self.seen))

    async def run(self, source: str, run: RunId = RUN) -> Ended:
        await self.executor.launch(job(source, run))
        return await self.first(Ended, run)


class Place:
    def __init__(self, root: Path) -> None:
        self.base, self.runs = root / "base", root / "runs"
        self.base.mkdir()
        (self.base / "prepare.py").write_bytes(PREPARE)

    @asynccontextmanager
    async def engine(self, *open_runs: RunId, **changes: Any) -> AsyncIterator[Watched]:
        settings: dict[str, Any] = {
            "base": self.base,
            "runs": self.runs,
            "slots": slots(),
            "python": sys.executable,
            "prepare_digest": hashlib.sha256(PREPARE).hexdigest(),
            "timeout_s": 60,
            "grace_s": 0.3,
            "clock": SystemClock(),
        }
        async with LocalExecutor(**settings | changes) as executor:
            watched = Watched(executor)
            task = asyncio.create_task(watched.collect(open_runs), name="collect")
            try:
                await watched.synced()
                yield watched
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def log(self, run: RunId = RUN) -> str:
        return (self.runs / run / "run.log").read_text()


async def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  other processes tell us nothing
            await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def supervisor_of(folder: Path) -> int:
    return int((folder / "claim").read_text().split()[0])
