"""Plays a recording, or a session's database as far as it is now, under control: pause, speed, steps, seeking.

A head moves over the tape: it goes with the wall clock times `speed`, in playing time, which is recorded time without
the long pauses. Whoever turns a knob is answered with the next update; of many wishes to seek the latest counts.
"""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator
from pathlib import Path

from core import events as ev
from core.commands import Command
from core.errors import Refused
from core.feed import Update
from core.fold import fold
from core.recording import Recording
from core.state import State
from core.tape import Step, Tape

SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
MOMENT_S = 0.05  # facts within it are shown together: at most 20 updates a second
AT_ONCE = 10_000  # facts per update
WITHOUT_THREAD = 1_000  # facts that are folded at once when seeking: 2 ms
TOLD_EVERY_S = 0.05  # while loading


class Player:
    live = False

    def __init__(self, path: Path, *, speed: float = 1.0, idle_s: float = 60.0, stays: bool = False) -> None:
        """`speed` multiplies time (inf: no waiting); `idle_s` caps pauses, in recorded seconds.

        `stays`: at the end of the tape `updates` waits for somebody to seek back, instead of ending.
        """
        self.recording = Recording(path)
        self.state = State()
        self.playing = True
        self.is_loaded = False
        self._tape = Tape()
        self._speed, self._idle_s, self._stays = speed, idle_s, stays
        self._clock = array("d")  # when each fact is due, in playing time
        self._head = 0.0  # playing time, as of `_since`
        self._since = time.monotonic()
        self._wish: int | None = None  # a position that somebody seeks
        self._goal = 0.0  # playing time that was asked for, where it lies behind that position
        self._wake = asyncio.Event()

    # --- what it knows ---

    @property
    def length(self) -> int:
        """Facts on the tape; grows while loading."""
        return len(self._tape)

    @property
    def position(self) -> int:
        """Facts folded; after a wish to seek, those that will be."""
        return self.state.seq if self._wish is None else self._wish

    @property
    def share(self) -> float:
        """How much has played, 0 to 1: of the playing time, so that a bar moves evenly."""
        if not self.length or not self.position:
            return 0.0
        if self.position == self.length or not self.whole_s:
            return self.position / self.length
        shown = self._clock[self.position - 1]
        return min(1.0, (shown if self._wish is not None else max(shown, self._now())) / self.whole_s)

    @property
    def finished(self) -> bool:
        return self.is_loaded and self.position >= self.length

    @property
    def begins(self) -> float:
        """Time of the first fact, seconds since the epoch; 0 while there is none."""
        return self._tape.times[0] if self.length else 0.0

    @property
    def ends(self) -> float:
        return self._tape.times[-1] if self.length else 0.0

    @property
    def at(self) -> float:
        """The recorded time that is shown now, seconds since the epoch; it goes on between facts while playing."""
        position = self.position
        if not 0 < position <= self.length:
            return self.begins
        latest = self._tape.times[position - 1]
        if self._wish is not None or position == self.length:
            return latest
        return min(latest + max(0.0, self._now() - self._clock[position - 1]), self._tape.times[position])

    @property
    def end(self) -> State:
        """What it comes to: knows all experiments and waves of the tape, wherever it plays."""
        return self._tape.end

    @property
    def note(self) -> str:
        """What whoever watches should know of the recording: damage, a newer version; "" if nothing is amiss."""
        return self.recording.note

    @property
    def damaged(self) -> int:
        return self.recording.damaged

    @property
    def speed(self) -> float:
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._turn(speed=speed)

    @property
    def idle_s(self) -> float:
        return self._idle_s

    @idle_s.setter
    def idle_s(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._clock = self._tape.clock(idle_s)
        self._settle()

    @property
    def whole_s(self) -> float:
        """The playing time of the tape, at speed 1."""
        return self._clock[-1] if self._clock else 0.0

    # --- its knobs ---

    def play(self) -> None:
        """At the end of the tape: from its beginning."""
        if self.finished:
            self.seek(0)
        self._turn(playing=True)

    def pause(self) -> None:
        self._turn(playing=False)

    def toggle(self) -> None:
        (self.pause if self.playing else self.play)()

    def faster(self) -> None:
        self._turn(speed=next((speed for speed in SPEEDS if speed > self._speed), SPEEDS[-1]))

    def slower(self) -> None:
        self._turn(speed=next((speed for speed in reversed(SPEEDS) if speed < self._speed), SPEEDS[0]))

    def seek(self, position: int) -> None:
        """To right after the first `position` facts. Seeking before the tape is loaded does nothing."""
        if self.is_loaded:
            self._wish, self._goal = min(max(0, position), self.length), 0.0
            self._wake.set()

    def seek_share(self, share: float) -> None:
        """To a share of the playing time, 0 to 1, also between two facts: the inverse of `share`."""
        self.seek(self.place(share))
        self._goal = min(max(0.0, share), 1.0) * self.whole_s

    def place(self, share: float) -> int:
        """The position at a share of the playing time, 0 to 1."""
        if share <= 0 or not self.whole_s:
            return round(min(max(0.0, share), 1.0) * self.length)
        return bisect_right(self._clock, share * self.whole_s)

    def marks(self, kind: Step) -> tuple[float, ...]:
        """Where each thing of that kind is, as shares of the playing time; none before the tape is loaded."""
        whole = self.whole_s or 1.0
        return tuple(self._clock[at - 1] / whole for at in self._tape.positions(kind)) if self.is_loaded else ()

    def seek_time(self, at: float) -> None:
        """To the moment `at`, seconds since the epoch."""
        self.seek(self._tape.at_time(at))

    def step(self, kind: Step, *, back: bool = False) -> None:
        """Pauses, and goes to right after the next event, verdict on an experiment, planned wave, or kept change."""
        self.pause()
        self.seek(self._tape.next_mark(kind, self.position, back=back))

    def lately(self, count: int) -> list[ev.Fact]:
        """The latest facts that are folded, `count` at most."""
        return self._tape.facts(max(0, self.state.seq - count), self.state.seq)

    def remembered(self) -> list[ev.Fact]:
        """Of all that is folded what windows remember beyond the state: of the fleet, the researcher, the engines."""
        return self._tape.rare(self.state.seq)

    def dispatch(self, command: Command) -> int:
        raise Refused("This is a recording: it can be watched, not changed.")

    def _turn(self, *, playing: bool | None = None, speed: float | None = None) -> None:
        self._head, self._since = self._now(), time.monotonic()
        self.playing = self.playing if playing is None else playing
        self._speed = self._speed if speed is None else speed
        self._wake.set()

    def _now(self) -> float:
        """The head: playing time."""
        if not self.playing or math.isinf(self._speed) or not self.is_loaded:
            return self._head
        return self._head + (time.monotonic() - self._since) * self._speed

    def _settle(self) -> None:
        """Puts the head at the latest fact."""
        seq = self.state.seq
        self._head, self._since = (self._clock[seq - 1] if seq else 0.0), time.monotonic()

    # --- what it shows ---

    async def updates(self) -> AsyncIterator[Update]:
        """First the loading, without facts; then what plays. Raises RecordingError, LogError."""
        if not self.is_loaded:
            yield Update((), self.state, loading=0.0)
            async for share in self._loading():
                yield Update((), self.state, loading=share)
        yield Update((), self.state)
        while True:
            self._wake.clear()
            if self._wish is not None:
                yield await self._sought(self._wish)
            elif self.state.seq == self.length and not self._stays:
                return
            elif not self.playing or self.state.seq == self.length:
                self.playing = self.playing and self.state.seq < self.length
                await self._wake.wait()
            elif await self._due():
                yield self._played()

    async def load(self) -> None:
        """Reads the tape, for those who seek before they play. Raises as `updates`."""
        async for _ in self._loading():
            pass

    async def _loading(self) -> AsyncIterator[float]:
        """Shares of the file that are read; a block at a time in a thread, so that the loop stays free."""
        blocks, told = self.recording.blocks(), time.monotonic()
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            await asyncio.to_thread(self._tape.add, block)
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                yield self.recording.share
        self._clock = await asyncio.to_thread(self._tape.clock, self._idle_s)
        self.is_loaded = True
        self._settle()

    async def _sought(self, position: int) -> Update:
        near = self.state
        if self._tape.distance(position, near) <= WITHOUT_THREAD:
            self.state = self._tape.state_at(position, near)
        else:
            self.state = await asyncio.to_thread(self._tape.state_at, position, near)
        self._settle()
        if self._wish == position:
            self._wish = None
            self._head = max(self._head, self._goal)
        return Update((), self.state, jumped=True)

    async def _due(self) -> bool:
        """Waits for the next fact; false if somebody turned a knob before."""
        if math.isinf(self._speed):
            await asyncio.sleep(0)
            return True
        wait = (self._clock[self.state.seq] - self._now()) / self._speed
        if wait <= 0:
            await asyncio.sleep(0)
            return True
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    def _played(self) -> Update:
        """The facts that are due, with those of the same moment."""
        begin, horizon = self.state.seq, self._now() + MOMENT_S * self._speed
        end = bisect_right(self._clock, horizon, begin, min(begin + AT_ONCE, self.length))
        facts = self._tape.facts(begin, max(end, begin + 1))
        self.state = fold(self.state, facts)
        if math.isinf(self._speed) or end == begin + AT_ONCE:  # a slow machine plays slower, it does not pile up
            self._settle()
        return Update(facts, self.state)
