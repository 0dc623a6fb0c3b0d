"""Runs on this machine, one per slot, each a process of its own under a supervisor that outlives the engine.

What is known of a run is in its folder, so an engine that comes back finds its runs again: those that ended meanwhile,
and those that still go on, whose folders it watches as it cannot hear their supervisor. Knows nothing of verdicts.
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

import msgspec

from core.clock import Clock
from core.errors import NothingRuns
from core.executor import Absent, Ended, FleetObserved, Job, Observation, Progressed, Started, Synced, reported
from core.executors import local_folder
from core.executors.gpus import Slot
from core.executors.local_environment import base_environment, run_environment
from core.executors.local_log import Log
from core.executors.local_outcome import Begin, Exit, Limits, Note, ended, note
from core.executors.local_supervisor import Supervisor, kill_leftovers
from core.ids import GpuId, RunId
from core.refusals import refusal, refused
from core.transcript import clean

Stage = Literal["building", "queued", "ordered", "running", "foreign"]
OVERDUE_S = 10.0  # beyond the limits of a run, until its supervisor is given up
TICK = 0.1  # s between looks at logs, and at the folders of runs whose supervisor is not ours


@dataclass
class _Run:
    """One that has not ended. "ordered": the supervisor was told; "foreign": another engine's supervisor has it."""

    id: RunId
    folder: Path
    log: Log
    stage: Stage
    job: Job | None = field(default=None, repr=False)
    gpu: GpuId | None = None  # the slot that it holds
    cancelled_at: float | None = None
    started_at: float | None = None  # set once it was reported


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
        """`base` holds the workspace's files, copied for each run. `prepare_digest`: sha256; "": it is not checked."""
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
        self._refused: NothingRuns | None = None  # this machine, so that no run could work
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
        if known and known.cancelled_at is None:
            known.cancelled_at = self._clock.now()
        if known or local_folder.state(folder) == "alive":
            with contextlib.suppress(OSError):
                (folder / "stop").touch()
            self._supervisor.send(op="stop", run=run)

    async def watch(self, open_runs: Collection[RunId]) -> AsyncIterator[Observation]:
        """For one reader at a time; while nobody asks for the next observation, nothing is looked at.

        Raises NothingRuns once a supervisor has said that the disk is full.
        """
        yield FleetObserved(tuple(slot.gpu for slot in self._slots))
        for name in open_runs:
            yield self._recall(name)
        yield Synced()
        while True:
            while self._news:
                yield self._news.popleft()
            if self._refused is not None:
                raise self._refused
            await self._pause()
            self._look()

    # --- what the folders say

    def _recall(self, name: RunId) -> Observation:
        run = self._runs.get(name) or self._track(name, "foreign")
        if run.stage == "foreign":
            self._inspect(run)
        news = [seen for seen in self._news if isinstance(seen, Started | Ended) and seen.run == name]
        for seen in news:
            self._news.remove(seen)
        if news:
            return news[-1]
        return Absent(name) if run.started_at is None else Started(name, run.gpu or GpuId(""), run.started_at)

    def _inspect(self, run: _Run) -> None:
        """A run whose supervisor we cannot hear."""
        match local_folder.state(run.folder):
            case "absent" if run.started_at is None:
                del self._runs[run.id]
            case "absent":
                self._lose(run, "its folder is gone")
            case "alive":
                if run.started_at is None and (begin := self._read(run, "started.json", Begin)):
                    self._start(run, GpuId(clean(begin.gpu, 40)), begin.at)
            case "ended" if end := self._read(run, "exit.json", Exit):
                self._end(run, end)
            case "ended" | "dead":
                kill_leftovers(run.folder)
                self._lose(run, "its supervisor died")

    def _read(self, run: _Run, name: str, kind: type[Note]) -> Note | None:
        return note(kind, local_folder.read(run.folder / name, local_folder.NOTE))

    # --- what the supervisor says

    def _hear(self, message: dict[str, Any]) -> None:
        run = self._runs.get(message.get("run", ""))
        if run is None or run.stage == "foreign":
            return
        match message["kind"]:
            case "started":
                run.stage = "running"
                self._start(run, run.gpu or GpuId(""), message["at"])
            case "ended":
                self._end(run, msgspec.convert(message, Exit))
            case "claimed":
                run.stage = "foreign"
                self._inspect(run)

    def _mourn(self) -> None:
        """The supervisor died: what it had not begun is ordered again, the rest is what the folders say."""
        for run in self._runs.values():
            if run.stage in ("ordered", "running"):
                begun = local_folder.state(run.folder) != "absent"
                run.stage = "foreign" if begun else "queued"
                run.gpu = run.gpu if begun else None
        self._wake.set()

    # --- one run

    def _track(self, name: RunId, stage: Stage, job: Job | None = None) -> _Run:
        folder = self._folders / name
        run = _Run(name, folder, Log(folder / "run.log"), stage, job)
        self._runs[name] = run
        self._wake.set()
        return run

    async def _build(self, run: _Run, job: Job) -> None:
        try:
            await asyncio.to_thread(
                local_folder.build, run.folder, base=self._base, source=job.source, links=self._links
            )
        except OSError as error:
            if told := refusal(error):
                self._runs.pop(run.id, None)  # it was never launched
                raise told from error
            if run.id in self._runs:
                self._lose(run, f"its folder could not be made: {error.strerror or error}")
        if run.id in self._runs:  # neither lost nor cancelled meanwhile
            run.stage = "queued"
            if self._is_void(run):
                self._end_unstarted(
                    run, "void", "prepare.py is not the one that this session started with: nothing was run"
                )

    def _dispatch(self) -> None:
        """Orders queued runs, oldest first, as far as there are free slots."""
        if not self._supervisor.is_up:
            return
        taken = {run.gpu for run in self._runs.values()}
        for run in self._runs.values():
            if run.stage == "queued" and run.job and (slot := self._free(run.job.gpu_type, taken)):
                run.stage, run.gpu = "ordered", slot.gpu.id
                taken.add(slot.gpu.id)
                self._supervisor.send(**self._order(run, run.job, slot))

    def _free(self, gpu_type: str, taken: Collection[GpuId | None]) -> Slot | None:
        return next((slot for slot in self._slots if slot.gpu.type == gpu_type and slot.gpu.id not in taken), None)

    def _order(self, run: _Run, job: Job, slot: Slot) -> dict[str, object]:
        return {
            "op": "launch",
            "run": run.id,
            "folder": str(run.folder),
            "gpu": slot.gpu.id,
            "argv": [self._python, "train.py"],
            "script": "train.py",
            "env": run_environment(self._env, slot, job.seed),
            "cpus": slot.cpus,
            "warm": self._supervisor.warm,
            "timeout_s": self._limits.timeout_s,
            "grace_s": self._grace_s,
            "output_bytes": int(self._limits.output_mb * 1_000_000),
            "memory_mb": self._limits.memory_mb,
        }

    def _start(self, run: _Run, gpu: GpuId, at: float) -> None:
        run.gpu, run.started_at = gpu, at
        self._report(Started(run.id, gpu, at))
        self._dispatch()  # an adopted run may hold another slot than the one meant for it

    def _end(self, run: _Run, end: Exit) -> None:
        reader = run.log.finish()
        if run.started_at is not None:  # a short run may have ended between two looks
            self._tell_identity(run, end.at)
        self._refused = self._refused or (refused(end.reason) if end.cause == "disk" else None)
        self._conclude(run, ended(run.id, end, reader, self._limits, is_void=self._is_void(run)))

    def _lose(self, run: _Run, reason: str) -> None:
        tail = run.log.finish().tail()
        self._conclude(run, Ended(run=run.id, at=self._clock.now(), outcome="lost", reason=reason, tail=tail))

    def _end_unstarted(self, run: _Run, cause: str, reason: str) -> bool:
        """Takes the claim itself, so that nobody ever starts it. False if somebody has."""
        end = Exit(self._clock.now(), cause=cause, reason=reason)
        with contextlib.suppress(OSError):
            run.folder.mkdir(exist_ok=True)
            try:
                fd = local_folder.claim(run.folder, "")
            except FileExistsError:
                return False
            try:
                local_folder.write_json(run.folder / "exit.json", msgspec.to_builtins(end))
            finally:
                os.close(fd)
        self._end(run, end)
        return True

    def _conclude(self, run: _Run, end: Ended) -> None:
        del self._runs[run.id]
        self._ended.add(run.id)
        self._report(end)
        self._dispatch()
        if not self._keep_files:
            tidying = asyncio.get_running_loop().run_in_executor(None, local_folder.clear, run.folder)
            self._tidying.add(tidying)
            tidying.add_done_callback(self._tidying.discard)

    def _is_void(self, run: _Run) -> bool:
        return bool(self._prepare_digest) and local_folder.digest(run.folder / "prepare.py") != self._prepare_digest

    def _is_overdue(self, run: _Run) -> bool:
        """The supervisor should have ended it long ago."""
        if run.stage != "running" or run.started_at is None:
            return False
        ends = [run.started_at + self._limits.timeout_s, *filter(None, [run.cancelled_at])]
        return self._clock.now() > min(ends) + self._grace_s + OVERDUE_S

    # --- news

    def _report(self, seen: Observation) -> None:
        self._news.append(seen)
        self._wake.set()

    async def _pause(self) -> None:
        """Until there is news, or time to look around."""
        idle = self._supervisor.is_up and not self._runs
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if idle else TICK):
                await self._wake.wait()
        self._wake.clear()

    def _look(self) -> None:
        if self._supervisor.restart_if_due():
            self._dispatch()
        if any(self._is_overdue(run) for run in self._runs.values()):
            self._supervisor.kill()  # it does not look after its runs: stopped, or stuck
        for run in list(self._runs.values()):
            if run.stage == "foreign":
                self._inspect(run)
            if run.started_at is not None and run.id in self._runs:
                now = self._clock.now()
                progress = run.log.follow(now)
                self._tell_identity(run, now)
                if progress:
                    self._report(Progressed(run.id, now, progress))

    def _tell_identity(self, run: _Run, now: float) -> None:
        if said := run.log.identity():
            self._report(reported(run.id, now, said))
