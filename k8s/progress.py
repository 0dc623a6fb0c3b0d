"""How far runs are, from the logs of their pods: some are followed, the others are looked into by turns.

Says what `core.transcript` reads of them, at most once per run and second. Knows neither Jobs nor results.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from core.clock import Clock
from core.executor import Progressed, Reported, reported
from core.ids import RunId
from core.transcript import Progress, Reader
from k8s.client import ClusterError, Connection
from k8s.logs import Place, follow, look

REPORT_EVERY = 1.0  # s between two reports of one run
TURN_S = 2.0  # between two looks into logs that are not followed
AT_ONCE = 8  # logs looked into per turn
LAST_LINES = 5


@dataclass
class _Heard:
    run: RunId
    place: Place
    reader: Reader = field(default_factory=Reader)
    task: asyncio.Task[None] | None = None  # while it is followed
    began: bool = False  # its beginning, where it says what it computes, was read
    reported: Progress | None = None
    report_at: float = 0.0
    told: bool = False


class Listening:
    """Lives in the task group that it is given: `rounds` has to run there, too."""

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Clock,
        followed: int,
        tasks: asyncio.TaskGroup,
        report: Callable[[Progressed | Reported], None],
    ) -> None:
        """`followed`: how many logs at most hold a connection each."""
        self._connection, self._clock, self._tasks, self._report = connection, clock, tasks, report
        self._most = followed
        self._heard: dict[RunId, _Heard] = {}  # the next to be looked into comes first

    def begin(self, run: RunId, place: Place) -> None:
        if run not in self._heard:
            self._heard[run] = _Heard(run, place)
            self._follow_more()

    def end(self, run: RunId) -> Reader | None:
        """What was heard; None for a run that was not listened to."""
        heard = self._heard.pop(run, None)
        if heard is None:
            return None
        if heard.task is not None:
            heard.task.cancel()
        self._follow_more()
        return heard.reader

    async def rounds(self) -> None:
        """Looks into the logs that are not followed, some each turn."""
        while True:
            await self._clock.sleep(TURN_S)
            turn = [heard for heard in self._heard.values() if heard.task is None][:AT_ONCE]
            for heard in turn:  # to the end of the queue
                self._heard[heard.run] = self._heard.pop(heard.run)
            await asyncio.gather(*map(self._look, turn))

    def _follow_more(self) -> None:
        busy = sum(heard.task is not None for heard in self._heard.values())
        for heard in self._heard.values():
            if busy < self._most and heard.task is None:
                heard.reader = Reader()  # it is read from its beginning
                heard.task = self._tasks.create_task(self._follow(heard), name=f"log of {heard.run}")
                busy += 1

    async def _follow(self, heard: _Heard) -> None:
        with contextlib.suppress(ClusterError):  # logs that may not be read: progress is not worth more
            async for line in follow(self._connection, heard.place, clock=self._clock):
                heard.reader.feed(line)
                self._tell(heard)

    async def _look(self, heard: _Heard) -> None:
        with contextlib.suppress(ClusterError):
            if not heard.began:
                start = await look(self._connection, heard.place, lines=None)
                heard.began = len(start) > 0
                heard.reader.feed(start + b"\n")
            heard.reader.feed(await look(self._connection, heard.place, lines=LAST_LINES) + b"\n")
            if self._heard.get(heard.run) is heard and heard.task is None:
                self._tell(heard)

    def _tell(self, heard: _Heard) -> None:
        now, reader = self._clock.now(), heard.reader
        if not heard.told and reader.is_identified:
            heard.told = True
            self._report(reported(heard.run, now, reader))
        if now >= heard.report_at and reader.progress not in (None, heard.reported):
            assert reader.progress is not None  # noqa: S101  for the type checker
            heard.report_at, heard.reported = now + REPORT_EVERY, reader.progress
            self._report(Progressed(heard.run, now, reader.progress))
