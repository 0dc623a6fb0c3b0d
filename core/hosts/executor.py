"""Runs on hosts that are reached over SSH. The protocol is that of `core.executor`.

Each host is attended by a `Post`; here is decided which host gets a run, when a run counts as lost, and what is
reported. A run that was given up never counts again, whatever comes of it. Knows nothing of verdicts.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from core.clock import Clock
from core.errors import NothingRuns
from core.events import Gpu, Outcome
from core.executor import (
    Absent,
    Ended,
    FleetObserved,
    Found,
    Job,
    Lost,
    Observation,
    Progressed,
    Started,
    Synced,
    Waiting,
    reported,
)
from core.executors.local_outcome import Begin, Exit, ended
from core.hosts.campaign import Campaign
from core.hosts.late import keep_late, lost_runs
from core.hosts.news import News
from core.hosts.places import Places
from core.hosts.post import Post
from core.hosts.run import Pin, Run, pin, pinned, run_in, unpin
from core.hosts.settings import HostSettings, named
from core.ids import GpuId, RunId
from core.refusals import refusal
from core.transcript import clean

TICK_S = 0.5
FIRST_SIGHT_S = 20.0  # for hosts to answer at the start
RECALL_S = 10.0  # for a host that answers to tell of an open run
UNBEGUN_S = 15.0  # after which a run that its host took and never began is ordered again
FAREWELL_S = 15.0  # a cancelled run on a host that is gone is let go after this


class SshExecutor:
    def __init__(
        self, *, hosts: Collection[HostSettings], campaign: Campaign, runs: Path, clock: Clock, slots: int | None = None
    ) -> None:
        """`runs`: folder of the runs' logs on this machine. `slots`: GPUs used at a time; None: all."""
        self._campaign, self._folders, self._clock = campaign, runs.absolute(), clock
        self._posts = {host.name: Post(host, campaign.session, clock, self) for host in hosts}
        self._places = Places(self._posts, clock, slots)
        self._runs: dict[RunId, Run] = {}
        self._ended: set[RunId] = set()
        self._news = News()
        self._observed: tuple[Gpu, ...] = ()
        self._is_lost = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Raises NothingRuns if no host has anything to run on."""
        self._folders.mkdir(parents=True, exist_ok=True)
        for run, where in lost_runs(self._folders):
            self._ended.add(run.id)
            if post := self._posts.get(where.host):
                post.late[run.id] = run
        try:
            for name, post in self._posts.items():
                self._begin(post.keep(), f"host {name}")
            await self._first_sight()
            self._begin(self._ticks(), "ticks")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for run in self._runs.values():
            run.log.close()

    @property
    def place(self) -> str:
        return named([post.host for post in self._posts.values()])

    async def launch(self, job: Job) -> None:
        known = self._runs.get(job.run)
        if job.run in self._ended or (known is not None and known.order is not None):
            return
        if job.gpu_type not in self._places.types:
            there = ", ".join(sorted(self._places.types)) or "no GPU at all"
            raise NothingRuns(f"There is no {job.gpu_type} on these hosts, only {there}: change the tier's GPU types.")
        run = known or self._track(job.run)
        run.gpu_type = job.gpu_type
        run.order, run.files = self._campaign.order(job)
        if self._campaign.is_void:
            reason = "prepare.py is not the one that this session started with: nothing was run"
            self._end(run, Exit(self._clock.now(), cause="void", reason=reason), is_void=True)
        elif run.pin is not None and (seat := self._places.seat(run.pin.gpu)):
            run.slot, run.is_sent = seat.slot, True  # it was on its way there when an engine died
            self._posts[run.pin.host].wake()
        else:
            self._unplace(run)
        self._dispatch()

    async def cancel(self, run: RunId) -> None:
        known = self._runs.get(run)
        if known is None or known.cancelled_at is not None:
            return
        known.cancelled_at = self._clock.now()
        if known.pin is None:
            self._end(known, Exit(self._clock.now(), cause="stopped"))
        elif post := self._posts.get(known.pin.host):
            post.wake()

    async def watch(self, open_runs: Collection[RunId]) -> AsyncIterator[Observation]:
        """For one reader at a time. Raises NothingRuns for what no waiting mends."""
        self._observed = self._fleet()
        yield FleetObserved(self._observed)
        self._news.forget_fleets()
        for name in open_runs:
            yield await self._recall(name)
        yield Synced()
        async for seen in self._news.stream():
            yield seen

    # --- what was there before

    def _begin(self, job: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(job, name=name)
        task.add_done_callback(self._news.ended)
        self._tasks.append(task)

    async def _first_sight(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SIGHT_S):
                for post in self._posts.values():
                    await post.tried.wait()
        if not self._places.seats or not any(post.is_up for post in self._posts.values()):
            reasons = [str(post.trouble or f"{name} does not answer.") for name, post in self._posts.items()]
            raise NothingRuns(" ".join(reasons))

    async def _recall(self, name: RunId) -> Observation:
        run = self._runs.get(name)
        if run is None:
            where = pinned(self._folders / name)
            if where is None:
                return Absent(name)
            if where.lost or where.host not in self._posts:
                reason = where.lost or f"its host {where.host} is not among the hosts any more"
                self._ended.add(name)
                return Ended(run=name, at=self._clock.now(), outcome="lost", reason=clean(reason, 500))
            run = self._track(name)
        if run.pin is not None and (post := self._posts[run.pin.host]).is_up:
            post.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECALL_S):
                    await run.seen.wait()
        return self._told(run)

    def _told(self, run: Run) -> Observation:
        """A host that does not answer now had it when it was last heard of: it goes on as far as anybody knows."""
        if seen := self._news.take(run.id):
            return seen
        if run.started_at is None and not run.seen.is_set() and run.pin is not None:
            run.started_at = run.pin.started_at or run.pin.at
        if run.started_at is None or run.pin is None:
            return Absent(run.id)
        return Started(run.id, run.pin.gpu, run.started_at)

    def _track(self, name: RunId) -> Run:
        run = run_in(self._folders / name)
        run.pin = pinned(run.folder)
        self._runs[name] = run
        if run.pin is not None and (post := self._posts.get(run.pin.host)):
            post.runs[name] = run
        return run

    # --- places

    def _taken(self) -> set[GpuId]:
        return {run.pin.gpu for run in self._runs.values() if run.pin is not None}

    def _fleet(self) -> tuple[Gpu, ...]:
        return self._places.fleet(self._taken())

    def _dispatch(self) -> None:
        """Sends runs that wait to places that are free, oldest first."""
        waiting = [run for run in self._runs.values() if run.pin is None and run.order is not None]
        if not waiting:
            return
        free = self._places.free(self._taken())
        for run in waiting:
            if gpu := next((gpu for gpu in free if gpu.type == run.gpu_type), None):
                free.remove(gpu)
                self._send(run, gpu.id)

    def _send(self, run: Run, gpu: GpuId) -> None:
        post, seat = self._places.post(gpu), self._places.seat(gpu)
        where = Pin(host=post.host.name, gpu=gpu, at=self._clock.now())
        if seat is not None and self._note(run, where):
            run.slot = seat.slot
            post.runs[run.id] = run
            post.wake()

    def _unplace(self, run: Run) -> None:
        """It waits for a place again: its host has not begun it."""
        if run.pin is not None and (post := self._posts.get(run.pin.host)):
            post.runs.pop(run.id, None)
        unpin(run.folder)
        run.pin = run.slot = None
        run.is_sent = False

    def _note(self, run: Run, where: Pin) -> bool:
        """On this machine's disk. False if that cannot be: the engine ends."""
        try:
            pin(run.folder, where)
        except OSError as error:
            self._news.fail(refusal(error) or error)
            return False
        run.pin = where
        return True

    # --- what posts tell

    def answered(self, post: Post, run: Run, answer: dict[str, Any]) -> None:
        state, why = answer.get("state", ""), clean(str(answer.get("why", answer.get("error", ""))), 200)
        if state == "begun":
            run.begun_at = self._clock.now()
            return
        if state == "busy" and run.pin is not None:
            post.hold(run.pin.gpu, why)
        else:
            post.ail(f"{'disk full' if state == 'disk' else 'refuses runs'}: {why}")
        self._unplace(run)
        if run.cancelled_at is not None:
            self._end(run, Exit(self._clock.now(), cause="stopped"))
        self.changed(post)

    def saw(self, post: Post, run: Run, sight: dict[str, Any]) -> None:
        now, data = self._clock.now(), base64.b64decode(sight.get("log", ""))
        try:
            run.take(data)
        except OSError as error:
            self._news.fail(refusal(error) or error)
            return
        match sight["state"]:
            case "absent":
                self._wait(run, clean(str(sight.get("why", "")), 200), now)
            case "alive":
                self._start(post, run, sight)
            case _ if not sight.get("more"):
                self._start(post, run, sight)
                self._over(post, run, sight)
        run.seen.set()
        if run.started_at is not None and run.id in self._runs:
            self._listen(run, now)

    def _strand(self, post: Post, run: Run) -> None:
        """Its host is gone. If it cannot have heard of the run, another may have it; else it may run there."""
        if run.order is not None and not run.is_sent:
            self._unplace(run)
        elif run.started_at is None:
            self._wait(run, f"{post.host.name} does not answer, and may have begun it", self._clock.now())

    def _wait(self, run: Run, why: str, now: float) -> None:
        """`why`: in a queue of its host's, where it has one; else an order that came to nothing is given again."""
        if why and why != run.waits:
            run.waits = why
            self._news.tell(Waiting(run.id, now, why))
        elif not why and run.begun_at is not None and now - run.begun_at > UNBEGUN_S:
            run.begun_at = None

    def came_late(self, run: Run, sight: dict[str, Any]) -> None:
        try:
            run.take(base64.b64decode(sight.get("log", "")))
            keep_late(run, sight)
        except OSError as error:
            self._news.fail(refusal(error) or error)

    def changed(self, post: Post) -> None:
        for run in list(post.runs.values()) if not post.is_up else ():
            self._strand(post, run)
        self._tell_fleet()
        self._dispatch()

    def _start(self, post: Post, run: Run, sight: Mapping[str, Any]) -> None:
        begin = _converted(sight.get("started"), Begin)
        if begin is None or run.started_at is not None or run.pin is None:
            return
        run.begun_at = run.begun_at or self._clock.now()
        run.started_at = max(post.ours(begin.at), run.pin.at - 1.0)
        self._note(run, msgspec.structs.replace(run.pin, started_at=run.started_at))
        self._news.tell(Started(run.id, run.pin.gpu, run.started_at))

    def _over(self, post: Post, run: Run, sight: Mapping[str, Any]) -> None:
        end = _converted(sight.get("exit"), Exit)
        post.done.append(run.id)
        if end is None:
            self._lose(run, clean(str(sight.get("why") or "its supervisor died"), 500))
            return
        if end.cause == "disk":
            post.ail(f"disk full: {clean(end.reason, 200)}")
        is_void = not self._campaign.is_as_sent(sight.get("prepare", ""))
        self._end(run, msgspec.structs.replace(end, at=post.ours(end.at)), is_void=is_void)

    def _listen(self, run: Run, now: float) -> None:
        progress = run.log.follow(now)
        if said := run.log.identity():
            self._news.tell(reported(run.id, now, said))
        if progress:
            self._news.tell(Progressed(run.id, now, progress))

    # --- the end of a run

    def _end(self, run: Run, end: Exit, *, is_void: bool = False) -> None:
        reader = run.log.finish()
        if run.started_at is not None and (said := run.log.identity()):
            self._news.tell(reported(run.id, end.at, said))
        self._conclude(run, ended(run.id, end, reader, self._campaign.limits, is_void=is_void))

    def _lose(self, run: Run, reason: str) -> None:
        outcome: Outcome = "lost" if run.cancelled_at is None else "cancelled"
        tail = run.log.finish().tail()
        told = "" if outcome == "cancelled" else reason
        self._conclude(run, Ended(run=run.id, at=self._clock.now(), outcome=outcome, reason=told, tail=tail))

    def _conclude(self, run: Run, end: Ended) -> None:
        del self._runs[run.id]
        self._ended.add(run.id)
        if run.pin is not None and (post := self._posts.get(run.pin.host)):
            post.runs.pop(run.id, None)
            post.release(run.pin.gpu)
        self._news.tell(end)
        self._dispatch()

    def _give_up(self, post: Post, run: Run, reason: str) -> None:
        """Whatever comes of it later is kept beside its log and does not count."""
        if run.pin is not None and self._note(run, msgspec.structs.replace(run.pin, lost=reason)):
            post.late[run.id] = run_in(run.folder)
            self._lose(run, reason)

    # --- time

    async def _ticks(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            self._tell_reach()
            self._tell_fleet()
            self._dispatch()
            for post in self._posts.values():
                self._count_grace(post)

    def _count_grace(self, post: Post) -> None:
        if post.gone_since is None:
            return
        now, host = self._clock.now(), post.host
        for run in list(post.runs.values()):
            if now - post.gone_since > host.grace_s:
                self._give_up(post, run, f"{host.name} has not answered for {host.grace_s:g} s")
            elif run.cancelled_at is not None and now - max(post.gone_since, run.cancelled_at) > FAREWELL_S:
                self._give_up(post, run, f"{host.name} was gone when it was stopped")

    def _tell_reach(self) -> None:
        """All hosts at once are gone: it may be our own network."""
        is_lost = not any(post.is_up for post in self._posts.values())
        if is_lost != self._is_lost:
            self._is_lost = is_lost
            troubles = " ".join(str(post.trouble) for post in self._posts.values() if post.trouble)
            self._news.tell(Lost(troubles[:500] or "no host answers") if is_lost else Found())

    def _tell_fleet(self) -> None:
        gpus = self._fleet()
        if gpus and gpus != self._observed:
            self._observed = gpus
            self._news.tell(FleetObserved(gpus))


def _converted(body: object, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(body, kind) if body else None
    except msgspec.ValidationError:
        return None
