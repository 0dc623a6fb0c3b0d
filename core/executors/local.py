"""Runs on this machine, one per slot, each a process of its own under a supervisor that outlives the engine.

What is known of a run is in its folder, so an engine that comes back finds its runs again: those that ended meanwhile and
those that still go on, whose folders it watches as it cannot hear their supervisor. Knows nothing of verdicts or the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from core.clock import Clock
from core.errors import NothingRuns
from core.executor import Absent, Ended, FleetObserved, Job, Observation, Progressed, Started, Synced
from core.executors import local_folder
from core.executors.gpus import Slot
from core.executors.local_environment import base_environment, run_environment
from core.executors.local_log import Log
from core.executors.local_outcome import Limits, ended
from core.executors.local_supervisor import Supervisor, kill_leftovers
from core.ids import GpuId, RunId

TICK = 0.1  # s between looks at logs, and at the folders of runs whose supervisor is not ours


@dataclass
class _Run:
    """One that has not ended. "ordered": the supervisor was told; "foreign": another engine's supervisor has it."""

    id: RunId
    folder: Path
    log: Log
    stage: Literal["building", "queued", "ordered", "running", "foreign"]
    gpu: GpuId | None = None  # the slot that it holds
    is_started: bool = False  # has been reported
    job: Job | None = field(default=None, repr=False)


class LocalExecutor:
    def __init__(
        self,
        *,
        base: Path,
        runs: Path,
        slots: tuple[Slot, ...],
        python: str,
        prepare_digest: str,
        timeout_s: float,
        clock: Clock,
        time_budget: float | None = None,
        output_mb: float = 64,
        memory_mb: int = 0,
        grace_s: float = 5.0,
        warm: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        links: tuple[Path, ...] = (),
        keep_files: bool = False,
    ) -> None:
        """`base`: the workspace's files, copied for each run. `prepare_digest`: sha256; "" if there is no prepare.py."""
        self._base, self._folders, self._links = base, runs.absolute(), links
        self._slots, self._python = slots, python
        self._prepare_digest, self._keep_files = prepare_digest, keep_files
        self._limits = Limits(timeout_s=timeout_s, output_mb=output_mb, memory_mb=memory_mb)
        self._grace_s = grace_s
        self._clock = clock
        self._env = base_environment(os.environ, env or {}, time_budget)
        self._runs: dict[RunId, _Run] = {}
        self._ended: set[RunId] = set()
        self._news: deque[Observation] = deque()
        self._wake = asyncio.Event()
        self._tidying: set[asyncio.Future[None]] = set()
        self._supervisor = Supervisor(
            python=python,
            warm=warm,
            env=self._env,
            log=self._folders / "supervisor.log",
            heard=self._hear,
            died=self._mourn,
        )

    async def __aenter__(self) -> Self:
        self._folders.mkdir(parents=True, exist_ok=True)
        self._supervisor.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._supervisor.let_go(idle=not any(run.stage in ("ordered", "running") for run in self._runs.values()))
        await asyncio.gather(*self._tidying)
        for run in self._runs.values():
            run.log.close()

    async def launch(self, job: Job) -> None:
        if job.run in self._runs or job.run in self._ended:
            return
        if all(slot.gpu.type != job.gpu_type for slot in self._slots):
            here = ", ".join(sorted({slot.gpu.type for slot in self._slots}))
            raise NothingRuns(f"There is no {job.gpu_type} on this machine, only {here}: change the tier's GPU types.")
        run = self._track(job.run, "building", job)
        if local_folder.state(run.folder) == "absent":
            await self._build(run, job)
        else:  # launched by an engine that did not live to hear of it
            run.stage = "foreign"
            self._inspect(run)
        self._dispatch()

    async def cancel(self, run: RunId) -> None:
        known = self._runs.get(run)
        if known and known.stage in ("building", "queued") and self._end_unstarted(known, "stopped", ""):
            return
        folder = self._folders / run
        if known or local_folder.state(folder) == "alive":
            with contextlib.suppress(OSError):
                (folder / "stop").touch()
            self._supervisor.send(op="stop", run=run)

    async def watch(self, open_runs: Collection[RunId]) -> AsyncIterator[Observation]:
        """For one reader at a time; while nobody asks for the next observation, nothing is looked at."""
        yield FleetObserved(tuple(slot.gpu for slot in self._slots))
        for name in open_runs:
            yield self._recall(name)
        yield Synced()
        while True:
            while self._news:
                yield self._news.popleft()
            await self._pause()
            self._look()

    # --- what the folders say

    def _recall(self, name: RunId) -> Observation:
        run = self._runs.get(name) or self._track(name, "foreign")
        if run.stage == "foreign":
            self._inspect(run)
        mine = [seen for seen in self._news if not isinstance(seen, FleetObserved | Synced) and seen.run == name]
        for seen in mine:
            self._news.remove(seen)
        if mine:
            return mine[-1]
        if run.is_started and run.gpu is not None:
            return Started(name, run.gpu, self._clock.now())
        return Absent(name)

    def _inspect(self, run: _Run) -> None:
        """Of a run whose supervisor we cannot hear."""
        match local_folder.state(run.folder):
            case "absent":
                del self._runs[run.id]
            case "alive":
                self._note_start(run)
            case "ended":
                self._end(run, local_folder.read_json(run.folder / "exit.json"))
            case "dead":
                kill_leftovers(run.folder)
                self._lose(run, "its supervisor died")
