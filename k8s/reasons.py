"""Tells why runs wait, as it changes: at most every few seconds per run, and not of what is only about to start.

What a pod's own state leaves open (a quota, a volume, an image being pulled) is asked of the cluster's events, seldom,
a few at a time. What the words mean stands in `k8s.waits`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from core.clock import Clock
from core.executor import Waiting
from k8s.client import ClusterError, Connection
from k8s.run import Run
from k8s.scheduling import Waits
from k8s.shapes import Event, decode_list
from k8s.waits import waiting

FIRST_S = 3.0  # scheduling takes a moment, and is no news
STARTING_S = 15.0  # so does getting ready on a node
EVERY_S = 10.0  # between two sentences about one run, where the kind of reason stays
EVENTS_S = 30.0  # between two looks at the events of one run
AT_ONCE = 2


@dataclass
class _Told:
    since: float
    at: float = 0.0
    waits: Waits | None = None
    events: tuple[Event, ...] = ()
    asked_at: float = 0.0


class Reasons:
    def __init__(
        self, connection: Connection, *, clock: Clock, tasks: asyncio.TaskGroup, report: Callable[[Waiting], None]
    ) -> None:
        self._connection, self._clock, self._tasks, self._report = connection, clock, tasks, report
        self._told: dict[str, _Told] = {}  # of runs that wait, by the name of their Job
        self._turns = asyncio.Semaphore(AT_ONCE)

    def look(self, run: Run) -> None:
        """Call it now and then for every run that has not ended."""
        if run.started_at is not None or run.is_ending:
            self._told.pop(run.name, None)
        elif run.job is not None or run.pod is not None:
            self._consider(run, self._told.setdefault(run.name, _Told(self._clock.now())))

    def forget(self, run: Run) -> None:
        self._told.pop(run.name, None)

    def _consider(self, run: Run, told: _Told) -> None:
        now = self._clock.now()
        waits = waiting(run.job, run.pod, told.events)
        if waits is None or now - told.since < FIRST_S:
            return
        if waits.kind in ("starting", "room") and now - max(told.since, told.asked_at) >= EVENTS_S / 2:
            self._ask(run, told, now)
        if waits.kind == "starting" and now - told.since < STARTING_S:
            return
        is_new_kind = told.waits is None or told.waits.kind != waits.kind
        if waits != told.waits and (is_new_kind or now - told.at >= EVERY_S):
            told.at, told.waits = now, waits
            self._report(Waiting(run.id, now, waits.reason, waits.needs_a_person))

    def _ask(self, run: Run, told: _Told, now: float) -> None:
        if not told.asked_at or now - told.asked_at >= EVENTS_S:
            told.asked_at = now
            self._tasks.create_task(self._read(run, told), name=f"events of {run.id}")

    async def _read(self, run: Run, told: _Told) -> None:
        """Of its pod, or of its Job while there is none; nothing where that may not be read."""
        about = run.pod.name if run.pod is not None else run.name
        path = f"/api/v1/namespaces/{self._connection.namespace}/events"
        async with self._turns:
            with contextlib.suppress(ClusterError, ValueError):
                found = await self._connection.request("GET", path, {"fieldSelector": f"involvedObject.name={about}"})
                told.events = decode_list(Event, found).items or ()
