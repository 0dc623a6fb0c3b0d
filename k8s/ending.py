"""The end of a run: its log collected into its folder, and put together with all that the cluster says of its end.

What that means is known by `k8s.causes`. Deletes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec

from core.clock import Clock
from core.executor import Ended
from core.executors.local_outcome import Exit, Limits, ended
from core.transcript import Reader, clean
from k8s.causes import Case, outcome
from k8s.client import ClusterError, Connection
from k8s.logs import collect
from k8s.run import Run, moment, place, started, terminated
from k8s.shapes import Event, Node, Pod, decode_list

ATTEMPTS = 5
PAUSE_S = 2.0
AT_ONCE = 8  # logs that are collected at a time
TAIL = 40  # lines of a lost run's log


class Endings:
    def __init__(self, connection: Connection, *, clock: Clock, runs: Path, limits: Limits) -> None:
        """`runs`: folder of the runs' folders."""
        self._connection, self._clock, self._folders, self._limits = connection, clock, runs, limits
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def end(self, run: Run, heard: Reader | None, node: Node | None) -> Ended:
        """`heard`: what was read of its log while it ran. `node`: that of its pod, as far as it is there."""
        events: tuple[Event, ...] = ()
        reader = heard
        if run.pod is not None:
            reader = await self._log(run.pod, run, heard)
            if reader is None or reader.summary() is None:
                events = await self._events(run.pod)
        return concluded(run, reader, node, events, self._limits, self._clock.now())

    async def _log(self, pod: Pod, run: Run, heard: Reader | None) -> Reader | None:
        """All of it; what was heard where it is gone."""
        if run.is_pod_gone or started(pod) is None:
            return heard
        async with self._turns:
            for _ in range(ATTEMPTS):
                reader = Reader()
                with contextlib.suppress(ClusterError):
                    return reader if await self._collect(pod, run, reader) else heard
                await self._clock.sleep(PAUSE_S)
        return heard

    async def _collect(self, pod: Pod, run: Run, reader: Reader) -> bool:
        folder = self._folders / run.id
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "run.log").open("wb") as file:

            def take(piece: bytes) -> None:
                file.write(piece)
                reader.feed(piece)

            return await collect(self._connection, place(pod), int(self._limits.output_mb * 1_000_000), take)

    async def _events(self, pod: Pod) -> tuple[Event, ...]:
        """What the cluster noted about a pod; nothing where that may not be read."""
        path = f"/api/v1/namespaces/{pod.metadata.namespace}/events"
        with contextlib.suppress(ClusterError, ValueError):
            found = await self._connection.request("GET", path, {"fieldSelector": f"involvedObject.name={pod.name}"})
            return decode_list(Event, found).items or ()
        return ()


def concluded(
    run: Run, log: Reader | None, node: Node | None, events: tuple[Event, ...], limits: Limits, now: float
) -> Ended:
    cancelled, reader = run.cancelled_at is not None, log or Reader()
    if run.why and not cancelled:
        if reader.summary():  # it has done what was asked, though nobody saw it end
            return ended(run.id, Exit(now, cause="timeout"), reader, limits, is_void=False)
        return Ended(run=run.id, at=now, outcome="lost", reason=clean(run.why, 500), tail=reader.tail(TAIL))
    case = Case(
        run=run.id,
        job=None if run.is_job_gone else run.job,
        pods=(_settled(run.pod, run.is_pod_gone),) if run.pod is not None else (),
        node=node,
        last_node=run.node,
        events=events,
        log=log,
        limits=limits,
        cancelled=cancelled,
        now=now,
    )
    over = terminated(run.pod) if run.pod is not None else None
    at = moment(over.finished_at if over else None, now)
    if end := outcome(case):
        return msgspec.structs.replace(end, at=at)
    if cancelled:
        return Ended(run=run.id, at=at, outcome="cancelled")
    return Ended(run=run.id, at=at, outcome="lost", reason="nothing says what became of it", tail=reader.tail(TAIL))


def _settled(pod: Pod, is_gone: bool) -> Pod:
    """A pod that is gone has ended, though nobody said so while it was there."""
    if not is_gone or pod.has_ended:
        return pod
    return msgspec.structs.replace(pod, status=msgspec.structs.replace(pod.status, phase="Failed"))
