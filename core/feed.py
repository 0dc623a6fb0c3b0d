"""What a window looks through: a live follower of the log, or a player of a recording. Both yield facts and states.

A slow reader skips states, never queues them: every update holds all facts since the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from core import log, recording
from core.commands import Command
from core.errors import Refused
from core.events import Fact
from core.fold import fold
from core.state import State

POLL_S = 0.025
SAME_MOMENT_S = 0.05
MOST_AT_ONCE = 10_000  # facts


class Update(msgspec.Struct, frozen=True):
    facts: Sequence[Fact]  # since the update before
    state: State


class Feed(Protocol):
    live: bool

    def updates(self) -> AsyncIterator[Update]: ...

    def dispatch(self, command: Command) -> int:
        """Hands the command to the engine; returns its number. Raises Refused where nobody listens."""
        ...


class Follower:
    """Follows the log of a session that may be live. The file must exist."""

    live = True

    def __init__(self, path: Path, state: State | None = None) -> None:
        """`state` is the fold of the facts that need not be read again."""
        self.path = path
        self.state = state or State()
        self._finishing = False

    def finish(self) -> None:
        """`updates` ends once it has yielded what is in the log."""
        self._finishing = True

    async def updates(self) -> AsyncIterator[Update]:
        """Starts with everything after `state`. Raises LogError for a damaged file."""
        with log.opened(self.path) as db:
            seen = None
            while True:
                version = db.execute("pragma data_version").fetchone()[0]
                last = self._finishing  # asked before reading, so that nothing is missed
                if version != seen or last:
                    seen = version
                    facts = list(log.read_after(db, self.state.seq))
                    if facts:
                        self.state = fold(self.state, facts)
                        yield Update(facts, self.state)
                if last:
                    return
                await asyncio.sleep(POLL_S)

    def dispatch(self, command: Command) -> int:
        return log.send(self.path, command)


class Player:
    """Plays a recording. `speed` multiplies time (inf: no waiting); `idle_s` caps pauses, in recorded seconds."""

    live = False

    def __init__(self, path: Path, *, speed: float = 1.0, idle_s: float = 60.0) -> None:
        self.path = path
        self.speed = speed
        self.idle_s = idle_s
        self.state = State()

    async def updates(self) -> AsyncIterator[Update]:
        """Raises RecordingError for a file that is none."""
        for pause, facts in self._bursts():
            if pause > 0:
                await asyncio.sleep(pause)
            self.state = fold(self.state, facts)
            yield Update(facts, self.state)

    def _bursts(self) -> Iterator[tuple[float, list[Fact]]]:
        """Facts that belong to the same moment on the screen together, with the pause before them in seconds."""
        shown = position = begun = 0.0  # seconds of playing: of the last burst, of this fact, of this burst
        last: float | None = None
        burst: list[Fact] = []
        for fact in recording.read(self.path):
            position += min(max(0.0, fact.at - (fact.at if last is None else last)), self.idle_s) / self.speed
            last = fact.at if last is None else max(last, fact.at)
            if burst and (position - begun > SAME_MOMENT_S or len(burst) >= MOST_AT_ONCE):
                yield begun - shown, burst
                shown, burst = begun, []
            if not burst:
                begun = position
            burst.append(fact)
        if burst:
            yield begun - shown, burst

    def dispatch(self, command: Command) -> int:
        raise Refused("This is a recording: it can be watched, not changed.")
