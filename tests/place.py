"""A workspace, a folder of runs and engines over them, with real processes: what the local executor's tests share."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from watched import PREPARE, RESULT, RUN, Watched, watching

from core.clock import SystemClock
from core.events import Gpu
from core.executor import Job
from core.executors.gpus import Slot
from core.executors.local import LocalExecutor
from core.ids import GpuId, RunId

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
UNTIL_GO = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n" + RESULT


def slots(count: int = 1) -> tuple[Slot, ...]:
    return tuple(Slot(Gpu(GpuId(f"cpu{index}"), "cpu"), cpus=None) for index in range(count))


def job(source: str, run: RunId = RUN) -> Job:
    return Job(run=run, source=source, seed=7, gpu_type="cpu")


class Place:
    def __init__(self, root: Path, warm: tuple[str, ...] = ()) -> None:
        self.warm = warm
        self.base, self.runs = root / "base", root / "runs"
        self.put("prepare.py", PREPARE)

    def put(self, path: str, body: bytes) -> None:
        """Into the workspace."""
        (self.base / path).parent.mkdir(parents=True, exist_ok=True)
        (self.base / path).write_bytes(body)

    @asynccontextmanager
    async def engine(self, *open_runs: RunId, places: int = 1, **changes: Any) -> AsyncIterator[Watched[LocalExecutor]]:
        settings: dict[str, Any] = {
            "base": self.base,
            "runs": self.runs,
            "slots": slots(places),
            "python": sys.executable,
            "prepare_digest": hashlib.sha256(PREPARE).hexdigest(),
            "timeout_s": 60,
            "grace_s": 0.3,
            "clock": SystemClock(),
            "warm": self.warm,
            "env": changes.pop("variables", {}),
        }
        async with watching(LocalExecutor(**settings | changes), open_runs) as watched:
            yield watched

    async def meanwhile(self, run: RunId) -> None:
        await until(lambda: (self.runs / run / "exit.json").exists())

    async def left(self) -> list[str]:
        return [*processes_in(self.runs), *(path.name for path in self.runs.glob(".*"))]

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


def processes_in(folder: Path) -> list[str]:
    """Those that work there, or write there."""
    found = (each for each in psutil.process_iter() if each.pid != os.getpid())
    return [f"process {each.pid}" for each in found if folder in _places_of(each)]


def _places_of(process: psutil.Process) -> set[Path]:
    try:
        files = [process.cwd(), *(file.path for file in process.open_files())]
    except psutil.Error:  # gone, or not ours
        return set()
    return {above for file in files for above in (Path(file), *Path(file).parents)}
