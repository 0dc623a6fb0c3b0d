"""Runs that are not run: a seeded fleet on which every job takes its time, in the session's clock, and meets its fate.

Jobs wait for a free GPU of their type, first come, first served, and are noted in a file, so that an engine that comes
back finds them as it left them. Everything is reported as a real executor would. Knows nothing of verdicts.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from core.clock import Clock
from core.errors import NothingRuns
from core.events import Gpu
from core.executor import Absent, Ended, FleetObserved, Job, Observation, Progressed, Reported, Started, Synced
from core.executors.simulator_fleet import Fates
from core.executors.simulator_notes import Note, Notes
from core.ids import GpuId, RunId
from core.transcript import Progress, Summary

REPORTS = 20  # of progress, per run
IDENTITY_S = 0.5  # after its start a run says what it computes
CORPUS = "simulated"


@dataclass
class _Life:
    """A run that has not ended. `said`: the engine knows of its progress until then."""

    note: Note
    said: float = -math.inf
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Simulator:
    """`gpus`: the fleet. `fates`: what becomes of a job. `queue_s`: what a cluster takes to place one."""

    def __init__(self, *, gpus: tuple[Gpu, ...], fates: Fates, file: Path, clock: Clock, queue_s: float = 0.0) -> None:
        self._gpus, self._fates, self._clock, self._queue_s = gpus, fates, clock, queue_s
        self._notes = Notes(file)
        self._lives: dict[RunId, _Life] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken: set[GpuId] = set()
        self._waiting: list[_Life] = []
        self._news: deque[Observation] = deque()
        self._wake = asyncio.Event()
        self._broken: BaseException | None = None  # what ended the life of a run before its time

    async def __aenter__(self) -> Self:
        self._notes.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._notes.close()

    async def launch(self, job: Job) -> None:
        if job.run in self._notes.known:
            return
        if all(gpu.type != job.gpu_type for gpu in self._gpus):
            here = ", ".join(dict.fromkeys(gpu.type for gpu in self._gpus))
            raise NothingRuns(f"There is no {job.gpu_type} in the simulated fleet, only {here}: change --fleet.")
        note = Note(run=job.run, gpu_type=job.gpu_type, fate=self._fates(job), launched_at=self._clock.now())
        self._notes.keep(note)
        self._begin(_Life(note))

    async def cancel(self, run: RunId) -> None:
        if life := self._lives.get(run):
            self._end(life, self._clock.now(), cancelled=True)

    async def watch(self, open_runs: Collection[RunId]) -> AsyncIterator[Observation]:
        """For one reader at a time. What was noted and is not open is forgotten: it is another session's, or done.

        Raises what broke the simulation, such as OSError for a full disk.
        """
        yield FleetObserved(self._gpus)
        for name in list(self._notes.known):
            if name not in open_runs and name not in self._lives:
                self._notes.forget(name)
        self._revive(open_runs)
        for name in open_runs:
            yield self._recall(name)
        yield Synced()
        while True:
            while self._news:
                yield self._news.popleft()
            if self._broken is not None:
                raise self._broken
            self._wake.clear()
            await self._wake.wait()

    # --- an engine comes back

    def _revive(self, open_runs: Collection[RunId]) -> None:
        """Those that had begun get their GPUs back before any other is placed."""
        known = [note for name in open_runs if (note := self._notes.known.get(name)) and name not in self._lives]
        going = [note for note in known if note.ended_at is None]
        for note in sorted(going, key=lambda note: note.started_at is None):
            self._begin(_Life(note, said=self._clock.now()))

    def _recall(self, name: RunId) -> Observation:
        said_here = (seen for seen in self._news if isinstance(seen, Started | Ended) and seen.run == name)
        for seen in list(said_here):
            self._news.remove(seen)
        note = self._notes.known.get(name)
        if note is None:
            return Absent(name)
        if note.ended_at is not None:
            return _ended(note)
        return Absent(name) if note.started_at is None else Started(name, note.gpu, note.started_at)

    # --- one run

    def _begin(self, life: _Life) -> None:
        self._lives[life.note.run] = life
        if life.note.gpu:
            self._taken.add(life.note.gpu)
        life.task = asyncio.create_task(self._live(life), name=f"simulated {life.note.run}")
        self._tasks.add(life.task)
        life.task.add_done_callback(self._bury)

    async def _live(self, life: _Life) -> None:
        if life.note.started_at is None:
            await self._until(life.note.launched_at + self._queue_s)
            self._waiting.append(life)
            self._place()
            await life.placed.wait()
        note, fate = life.note, life.note.fate
        start = note.started_at or 0.0
        await self._until(start + IDENTITY_S)
        self._report(Reported(note.run, start + IDENTITY_S, fate.fingerprint, params_m=fate.params_m))
        for report in range(1, REPORTS + 1):
            at = start + fate.startup_s + fate.training_s * report / REPORTS
            if at < start + fate.seconds and at > life.said:
                await self._until(at)
                self._report(Progressed(note.run, at, _progress(note, report / REPORTS)))
        await self._until(start + fate.seconds)
        self._end(life, start + fate.seconds)

    def _bury(self, task: asyncio.Task[None]) -> None:
        """A life that broke can report nothing more, so `watch` says it."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._broken = self._broken or error
            self._wake.set()

    async def _until(self, moment: float) -> None:
        if (left := moment - self._clock.now()) > 0:
            await self._clock.sleep(left)

    def _place(self) -> None:
        """Gives free GPUs to those who wait, oldest first."""
        for life in list(self._waiting):
            free = (gpu.id for gpu in self._gpus if gpu.type == life.note.gpu_type and gpu.id not in self._taken)
            if gpu := next(free, None):
                self._waiting.remove(life)
                self._taken.add(gpu)
                life.note = msgspec.structs.replace(life.note, gpu=gpu, started_at=self._clock.now())
                self._notes.keep(life.note)
                self._report(Started(life.note.run, gpu, self._clock.now()))
                life.placed.set()

    def _end(self, life: _Life, at: float, *, cancelled: bool = False) -> None:
        note = msgspec.structs.replace(life.note, ended_at=at, cancelled=cancelled)
        del self._lives[note.run]
        if life in self._waiting:
            self._waiting.remove(life)
        self._taken.discard(note.gpu)
        if cancelled and life.task is not None:
            life.task.cancel()
        self._notes.keep(note)
        self._report(_ended(note))
        self._place()

    def _report(self, seen: Observation) -> None:
        self._news.append(seen)
        self._wake.set()


# --- what a run says --------------------------------------------------------------------------------------------------


def _progress(note: Note, fraction: float) -> Progress:
    fate = note.fate
    loss = fate.loss(fraction)
    return Progress(
        step=round(fate.steps * fraction),
        fraction=fraction,
        loss=round(loss, 4) if math.isfinite(loss) else None,
        tokens_per_s=round(fate.tokens_m * 1e6 / fate.training_s),
        dt_ms=round(1000 * fate.training_s / fate.steps, 1),
    )


def _ended(note: Note) -> Ended:
    fate, at = note.fate, note.ended_at or 0.0
    if note.cancelled:
        return Ended(run=note.run, at=at, outcome="cancelled", fingerprint=fate.fingerprint)
    if fate.crash is not None:
        return Ended(
            run=note.run,
            at=at,
            outcome="crashed",
            fingerprint=fate.fingerprint,
            exit_code=1,
            reason=fate.crash.reason,
            tail=fate.crash.tail,
        )
    return Ended(
        run=note.run, at=at, outcome="finished", summary=_summary(note), fingerprint=fate.fingerprint, corpus=CORPUS
    )


def _summary(note: Note) -> Summary:
    fate = note.fate
    return Summary(
        val_bpb=round(fate.val_bpb, 6),
        training_s=round(fate.training_s, 1),
        total_s=round(fate.seconds, 1),
        peak_vram_mb=round(fate.memory_mb, 1),
        total_tokens_M=round(fate.tokens_m, 3),
        num_steps=fate.steps,
        num_params_M=round(fate.params_m, 2),
        extra={"startup_seconds": round(fate.startup_s, 1), "eval_seconds": round(fate.evaluation_s, 1)},
    )
