"""Runs on a Kubernetes cluster, one Job each. The protocol is that of `core.executor`.

What is known of a run is what the cluster says of its Job and its pod, so an engine that comes back finds its runs
again; how a run ended is kept in its folder before its Job is deleted. Knows nothing of verdicts.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from core.clock import Clock
from core.errors import NothingRuns
from core.events import ReadySet
from core.executor import (
    Absent,
    FleetObserved,
    Found,
    Lost,
    Observation,
    Started,
    Synced,
)
from core.executor import Job as Order
from core.ids import GpuId, RunId
from k8s.client import ClusterError, Connection
from k8s.ending import Endings
from k8s.fleet import Fleet
from k8s.inventory import Placement, placement
from k8s.kept import keep, kept
from k8s.mirror import Mirror, job_of
from k8s.orders import Orders
from k8s.overdue import is_stranded, overdue, silent
from k8s.progress import Listening
from k8s.reasons import Reasons
from k8s.run import Run, is_over, moment, place, started
from k8s.settings import READY_EACH
from k8s.shapes import Job, Node, Pod, seconds
from k8s.waits import absent
from k8s.work import Work

TICK_S = 0.5
LOST_AFTER_S = 1.0  # what may be old for longer is told; one attempt may fail unnoticed
FIRST_SIGHT_S = 20.0  # until a cluster that does not answer at the start is given up
REFUSED_S = 3.0  # the same for one that says no
UNSEEN_S = 15.0  # after which a Job that was made and never seen is asked for
SETTLE_S = 1.0  # for what else there is to hear of a run that vanished
FAREWELL_S = 5.0
UNSEEN = "the cluster does not show pods of other namespaces: what others hold is guessed from runs that wait"


class KubernetesExecutor:
    def __init__(self, *, connection: Connection, work: Work, runs: Path, clock: Clock) -> None:
        """`runs`: folder of the runs' logs."""
        self._connection, self._work, self._folders, self._clock = connection, work, runs.absolute(), clock
        self._runs: dict[str, Run] = {}  # those that have not ended, by the name of their Job
        self._ended: set[RunId] = set()
        self._news: deque[Observation] = deque()
        self._wake = asyncio.Event()
        self._fleet = Fleet(work.settings, work.label)
        self._observed = FleetObserved(())
        self._is_fleet_old = False
        self._has_other_gpus = asyncio.Event()  # the cluster, than at the last look
        self._is_lost = False
        self._trouble: tuple[float, str] | None = None  # orders that are not taken: since when, and why
        self._failure: NothingRuns | None = None
        self._deleting: set[asyncio.Task[None]] = set()
        self._orders = Orders(connection, clock=clock, troubled=self._troubled)

    async def __aenter__(self) -> Self:
        """Raises NothingRuns if there is no such cluster, or if it does not let us see what we need."""
        self._folders.mkdir(parents=True, exist_ok=True)
        await self._connection.__aenter__()
        self._mirror = Mirror(
            self._connection,
            clock=self._clock,
            selector=self._work.selector,
            job_changed=self._job_changed,
            pod_changed=self._pod_changed,
            node_changed=self._node_changed,
            others_changed=self._others_changed,
        )
        ready = asyncio.Event()
        self._life = asyncio.create_task(self._live(ready), name="cluster")
        self._life.add_done_callback(lambda _: self._wake.set())
        try:
            await ready.wait()
            await self._first_sight()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._farewell()
        finally:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # `watch` has raised it
                await self._life
            await self._connection.__aexit__(kind, error, trace)

    @property
    def ready(self) -> ReadySet:
        """Jobs wait in the cluster, and the first GPU that frees is taken at once: by the scheduler, not by us."""
        return ReadySet(at=0.0, gpus_each=READY_EACH, by_type=self._work.settings.ready)

    @property
    def place(self) -> str:
        """Context and namespace; known once it is entered."""
        return f"{self._connection.context}/{self._connection.namespace}"

    async def launch(self, job: Order) -> None:
        name = self._work.name(job.run)
        known = self._runs.get(name)
        if job.run in self._ended or (known is not None and known.is_ordered):
            return
        if end := kept(self._folders, job.run):  # it ended before an engine died that did not record it
            self._ended.add(job.run)
            self._report(end)
            return
        run = self._runs.setdefault(name, Run(job.run, name))
        run.is_ordered, run.gpu_type = True, job.gpu_type
        self._tasks.create_task(self._make(run, job), name=f"launch {job.run}")

    async def cancel(self, run: RunId) -> None:
        name = self._work.name(run)
        known = self._runs.get(name)
        if known is not None and known.cancelled_at is None and not known.is_ending:
            known.cancelled_at = self._clock.now()
            if known.is_ordered and not known.is_tried:
                self._conclude(known)
                self._look_again()
        if known is not None or self._mirror.job(name) is not None:
            self._delete(name, known)

    async def watch(self, open_runs: Collection[RunId]) -> AsyncIterator[Observation]:
        """For one reader at a time. Raises NothingRuns for what no waiting mends."""
        self._observed = self._look_around()
        yield self._observed
        for name in open_runs:
            yield self._recall(name)
        self._sweep()
        yield Synced()
        while True:
            while self._news:
                yield self._news.popleft()
            if self._failure is not None:
                raise self._failure
            if self._life.done():
                self._raise_failure()
            await self._wake.wait()
            self._wake.clear()

    # --- the life of the connection ---

    async def _live(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._listening = Listening(
                self._connection,
                clock=self._clock,
                followed=self._work.settings.followed_logs,
                tasks=tasks,
                report=self._report,
            )
            self._endings = Endings(self._connection, clock=self._clock, runs=self._folders, limits=self._work.limits)
            self._reasons = Reasons(self._connection, clock=self._clock, tasks=tasks, report=self._report)
            tasks.create_task(self._listening.rounds(), name="looks into logs")
            await self._mirror.keep(tasks)
            tasks.create_task(self._ticks(), name="ticks")
            ready.set()

    def _raise_failure(self) -> None:
        error = self._life.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error or ClusterError("The connection to the cluster was closed.")

    async def _first_sight(self) -> None:
        """Raises ClusterError with what the cluster said, or did not say."""
        began = self._clock.now()
        while not self._mirror.is_synced:
            if self._life.done():
                self._raise_failure()
            stale = self._mirror.stale
            patience = REFUSED_S if stale is not None and stale.is_refused else FIRST_SIGHT_S
            if stale is not None and self._clock.now() - began > patience:
                raise ClusterError(stale.reason)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._mirror.looked.wait()
            self._mirror.looked.clear()

    async def _farewell(self) -> None:
        """Deletions that were ordered are carried out, if that takes no more than a moment."""
        if self._deleting:
            await asyncio.wait(self._deleting, timeout=FAREWELL_S)

    async def _ticks(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            self._tell_reach()
            for run in list(self._runs.values()):
                self._look_at_time(run)
                self._reasons.look(run)
            if self._is_fleet_old or self._observed.unseen or not self._mirror.sees_others:
                self._is_fleet_old = False
                self._tell_fleet()

    def _tell_reach(self) -> None:
        """Lost once what is known has been old for a while, found when it is fresh."""
        stale = self._mirror.stale
        since, reason = (stale.since, stale.reason) if stale else self._trouble or (math.inf, "")
        if not self._is_lost and self._clock.now() - since >= LOST_AFTER_S:
            self._is_lost = True
            self._report(Lost(reason))
        elif self._is_lost and since == math.inf:
            self._is_lost = False
            self._report(Found())  # first: of a fleet that changed meanwhile it would follow by itself
            self._tell_fleet()

    def _tell_fleet(self) -> None:
        seen = self._look_around()
        if seen != self._observed:  # none at all is a truth, too
            self._observed = seen
            self._report(seen)

    def _look_around(self) -> FleetObserved:
        gpus = self._fleet.gpus(self._mirror, self._runs.values(), self._clock.now())
        return FleetObserved(gpus, UNSEEN if self._mirror.is_blind else "")

    def _troubled(self, error: ClusterError | None) -> None:
        if error is None:
            self._trouble = None
        elif self._trouble is None:
            self._trouble = (self._clock.now(), str(error))

    # --- what the cluster says ---

    def _node_changed(self, node: Node, gone: bool) -> None:
        self._is_fleet_old = True
        if self._fleet.node_changed(node, gone):
            self._look_again()

    def _look_again(self) -> None:
        self._has_other_gpus.set()
        self._has_other_gpus = asyncio.Event()

    def _others_changed(self, _pod: Pod, _gone: bool) -> None:
        self._is_fleet_old = True

    def _job_changed(self, job: Job, gone: bool) -> None:
        run = self._runs.get(job.name)
        if run is not None:
            run.job, run.is_job_gone = job, gone
            self._consider(run)

    def _pod_changed(self, pod: Pod, gone: bool) -> None:
        run = self._runs.get(job_of(pod))
        if run is not None and run.pod is not None and run.pod.metadata.uid != pod.metadata.uid:
            self._replaced(run, run.pod)
        elif run is not None:
            run.pod, run.is_pod_gone = pod, gone
            run.node = self._mirror.node_of(pod) or run.node
            self._consider(run)

    def _replaced(self, run: Run, pod: Pod) -> None:
        """Its Job has a second pod, in place of one that vanished: the run ends with the first; on a dead node, now."""
        if not run.is_ending and run.cancelled_at is None and is_stranded(pod, self._mirror.node_of(pod)):
            run.why = silent(pod, self._mirror.node_of(pod) or run.node)
            self._conclude(run)

    def _consider(self, run: Run, *, is_news: bool = True) -> None:
        if run.is_ending:
            return
        if run.pod is not None and run.started_at is None and (began := started(run.pod)):
            now = self._clock.now()
            self._start(run, run.pod, moment(began, now) if is_news else min(seconds(began), now))
        if is_over(run):
            self._conclude(run)

    def _start(self, run: Run, pod: Pod, at: float) -> None:
        run.started_at, run.gpu = at, self._fleet.gpu_of(pod, self._mirror)
        self._report(Started(run.id, run.gpu, at))
        self._listening.begin(run.id, place(pod))

    def _look_at_time(self, run: Run) -> None:
        if run.is_ending:
            return
        now = self._clock.now()
        run.why = overdue(run, self._mirror.node_of(run.pod), self._work.settings, self._work.limits, now)
        if run.made_at is not None and not run.is_seen and now > run.made_at + UNSEEN_S and not self._mirror.stale:
            run.is_job_gone = True
        if is_over(run):
            self._conclude(run)

    # --- one run ---

    async def _make(self, run: Run, job: Order) -> None:
        there = await self._placement(run)
        if there is None:
            return
        try:
            body, config_map = self._work.bodies(job, there)
            run.is_tried = True
            if await self._orders.make(body, config_map, lambda: run.is_wanted, run.refused):
                run.made_at = self._clock.now()
        except NothingRuns as error:  # no run can be made like this
            self._failure = error
            self._wake.set()
        if run.cancelled_at is not None:  # its deletion may have come before it was made
            await self._orders.delete(run.name)
            run.is_job_gone = True
            self._consider(run)

    async def _placement(self, run: Run) -> Placement | None:
        """Where it may go, once there is a GPU of its type: nodes come and go. None if it is not wanted any more."""
        while not run.is_ending:
            if run.gpu_type in self._fleet.types:
                run.held = None
                return placement(run.gpu_type, self._fleet.offers)
            run.held = absent(run.gpu_type, self._fleet.types)
            await self._has_other_gpus.wait()
        return None

    def _delete(self, name: str, run: Run | None) -> None:
        pod = run.pod if run is not None else None
        stranded = pod is not None and is_stranded(pod, self._mirror.node_of(pod), self._clock.now())
        going = pod is not None and (stranded or (run is not None and run.cancelled_at is not None))
        deletion = self._orders.delete(name, pod=pod.name if pod and going else "", at_once=stranded)
        task = self._tasks.create_task(deletion, name=f"delete {name}")
        self._deleting.add(task)
        task.add_done_callback(self._deleting.discard)

    def _conclude(self, run: Run) -> None:
        if not run.is_ending:
            run.is_ending = True
            self._tasks.create_task(self._end(run), name=f"end of {run.id}")

    async def _end(self, run: Run) -> None:
        if run.is_seen and (run.pod is None or run.is_pod_gone) and run.cancelled_at is None:
            await self._clock.sleep(SETTLE_S)  # the Job may say why
        end = await self._endings.end(run, self._listening.end(run.id), self._mirror.node_of(run.pod))
        await asyncio.to_thread(keep, self._folders, end)
        del self._runs[run.name]
        self._reasons.forget(run)
        self._ended.add(run.id)
        self._report(end)
        self._delete(run.name, run)

    def _report(self, seen: Observation) -> None:
        self._news.append(seen)
        self._wake.set()

    # --- what an engine that came back finds ---

    def _recall(self, name: RunId) -> Observation:
        if end := kept(self._folders, name):
            self._ended.add(name)
            return end
        run = self._runs.get(self._work.name(name)) or Run(name, self._work.name(name))
        run.job = run.job or self._mirror.job(run.name)
        pods = self._mirror.pods_of(run.name)
        run.pod = run.pod or next((pod for pod in pods if started(pod)), next(iter(pods), None))
        if not run.is_seen and not run.is_ordered:
            return Absent(name)
        self._runs[run.name] = run
        before = len(self._news)
        self._consider(run, is_news=False)
        for seen in list(self._news)[before:]:
            if isinstance(seen, Started) and seen.run == name:
                self._news.remove(seen)
        return Absent(name) if run.started_at is None else Started(name, run.gpu or GpuId(""), run.started_at)

    def _sweep(self) -> None:
        """Removes Jobs of this session that nobody waits for."""
        for job in self._mirror.jobs.things.values():
            if job.name not in self._runs:
                self._delete(job.name, None)
