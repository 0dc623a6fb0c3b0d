"""One host, attended: connected to, again and again; told what is new for it; asked what became of its runs.

What the answers mean is the desk's to say. Knows nothing of other hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any, Protocol

import msgspec

from core.clock import Clock
from core.hosts.connection import Unreachable
from core.hosts.fleet import LEASED, Seat, Standing, promised, seats
from core.hosts.link import Link, linked
from core.hosts.run import Run
from core.hosts.settings import HostSettings
from core.ids import RunId, SessionId

TICK_S = 0.25  # between looks at runs
IDLE_S = 1.0  # the same while there are none
SURVEY_S = 5.0  # between looks at who has the GPUs
LONGEST_WAIT_S = 20.0  # between two attempts to connect
SICK_S = 30.0  # until a host that refused to begin a run is tried again
ROOM_MB = 200  # of free disk, above which a full one has room again


class Desk(Protocol):
    """Who is told. It never waits."""

    def answered(self, post: Post, run: Run, answer: dict[str, Any]) -> None: ...
    def saw(self, post: Post, run: Run, sight: dict[str, Any]) -> None: ...
    def came_late(self, run: Run, sight: dict[str, Any]) -> None: ...
    def changed(self, post: Post) -> None: ...


class Post:
    def __init__(self, host: HostSettings, session: SessionId, clock: Clock, desk: Desk) -> None:
        self.host, self._session, self._clock, self._desk = host, session, clock, desk
        self.seats: tuple[Seat, ...] = promised(host)
        self.runs: dict[RunId, Run] = {}  # sent here, not ended
        self.late: dict[RunId, Run] = {}  # given up while the host was gone
        self.done: list[RunId] = []  # ended, to be tidied there
        self.trouble: Unreachable | None = None  # why it cannot be reached now
        self.gone_since: float | None = clock.now()
        self.tried = asyncio.Event()  # it answered, or did not, at least once
        self._held: dict[str, str] = {}
        self._sick = ("", -math.inf)  # why nothing can begin there, and since when
        self._skew_s = 0.0
        self._surveyed_at = -math.inf
        self._wake = asyncio.Event()
        self._is_behind = False  # there is more of a log to fetch

    @property
    def is_up(self) -> bool:
        return self.gone_since is None

    def standing(self, now: float) -> Standing:
        gone = None if self.gone_since is None else max(0.0, now - self.gone_since)
        return Standing(gone_s=gone, sick=self._sick[0], held=self._held)

    def hold(self, gpu: str, who: str) -> None:
        """The host said so just now; the next survey may say otherwise."""
        self._held = {**self._held, gpu: who}

    def release(self, gpu: str) -> None:
        """Its run has ended; the lease goes with the supervisor, some milliseconds later."""
        self._held = {name: who for name, who in self._held.items() if (name, who) != (gpu, LEASED)}

    def ail(self, why: str) -> None:
        self._sick = (why, self._clock.now())

    def ours(self, moment: float) -> float:
        """The host's time in ours; never the future."""
        return min(moment - self._skew_s, self._clock.now())

    def wake(self) -> None:
        self._wake.set()

    # --- connected, or not

    async def keep(self) -> None:
        """Never returns. A host that refuses us is asked again too: somebody may mend it."""
        failures = 0
        while True:
            try:
                async with linked(self.host, self._session) as link:
                    await self._arrive(link)
                    failures = 0
                    await self._serve(link)
            except Unreachable as error:
                self._fall(error)
            except OSError as error:
                self._fall(Unreachable(f"{self.host.name} has trouble with its disk: {error}."))
            failures += 1
            await self._clock.sleep(min(LONGEST_WAIT_S, 0.5 * 2.0 ** min(failures, 8)))

    def _fall(self, error: Unreachable) -> None:
        self.trouble = error
        if self.gone_since is None:
            self.gone_since = self._clock.now()
        self.tried.set()
        self._desk.changed(self)

    async def _arrive(self, link: Link) -> None:
        self._skew_s = float(link.hello["at"]) - self._clock.now()
        self.seats = seats(self.host, link.hello)
        await self._survey(link)
        await self._look(link)
        self.gone_since = self.trouble = None
        self.tried.set()
        self._desk.changed(self)

    async def _serve(self, link: Link) -> None:
        while True:
            self._wake.clear()
            for run in list(self.runs.values()):
                await self._tell(link, run)
            await self._look(link)
            if self._clock.now() - self._surveyed_at > SURVEY_S:
                await self._survey(link)
            await self._tidy(link)
            if not self._is_behind:
                await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S if self.runs or self.late else IDLE_S):
                await self._wake.wait()

    # --- what is asked

    async def _tell(self, link: Link, run: Run) -> None:
        if run.cancelled_at is not None and not run.is_stop_sent:
            await link.ask("stop", run=run.id)
            run.is_stop_sent = True
        elif run.cancelled_at is None and run.begun_at is None and run.order is not None:
            try:
                await link.send(run.files)
                run.is_sent = True
                answer = await link.ask("launch", **self._order(run, run.order))
            except Unreachable:
                raise
            except OSError as error:  # its disk
                answer = {"state": "disk", "why": error.strerror or str(error)}
            if run.id in self.runs:
                self._desk.answered(self, run, answer)

    def _order(self, run: Run, order: dict[str, Any]) -> dict[str, Any]:
        """The same on all hosts, with what is this one's."""
        slot = run.slot or {}
        env = {**order["order"]["env"], **self.host.env}
        own = {"env": env, "cpus": slot.get("cpus"), "gpu": slot.get("id", "")}
        fixed = {"python": self.host.python, "command": self.host.command, "slurm": self.host.slurm}
        return {**order, **fixed, "run": run.id, "slot": slot, "order": {**order["order"], **own}}

    async def _look(self, link: Link) -> None:
        asked = {**self.late, **self.runs}
        self._is_behind = False
        if not asked:
            return
        answer = await link.ask("look", runs={run.id: run.offset for run in asked.values()})
        for name, sight in answer.get("runs", {}).items():
            self._is_behind |= bool(sight.get("more"))
            if (run := self.runs.get(name)) is asked.get(name) and run is not None:
                self._desk.saw(self, run, sight)
            elif late := self.late.get(name):
                await self._look_late(link, late, sight)

    async def _look_late(self, link: Link, run: Run, sight: dict[str, Any]) -> None:
        """It was given up: what goes on is stopped, as another run took its place; what it came to is kept."""
        if sight["state"] == "alive" and not run.is_stop_sent:
            run.is_stop_sent = True
            await link.ask("stop", run=run.id)
        self._desk.came_late(run, sight)
        if sight["state"] != "alive" and not sight.get("more"):
            del self.late[run.id]

    async def _survey(self, link: Link) -> None:
        answer = await link.ask("survey", slots=[seat.slot for seat in self.seats])
        self._surveyed_at = now = self._clock.now()
        before = self.standing(now)
        self._held = dict(answer.get("held", self._held))
        free_mb, (why, since) = answer.get("free_mb", ROOM_MB), self._sick
        if free_mb < ROOM_MB / 2:
            self._sick = (f"disk full: {free_mb} MB free", now)
        elif why and now - since > SICK_S and free_mb > ROOM_MB:
            self._sick = ("", -math.inf)
        if msgspec.structs.replace(before, gone_s=None) != msgspec.structs.replace(self.standing(now), gone_s=None):
            self._desk.changed(self)

    async def _tidy(self, link: Link) -> None:
        if self.done:
            done, self.done = self.done, []
            await link.ask("clear", runs=done)
