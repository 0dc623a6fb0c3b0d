"""Follows the log of a session that may be live: first its past in large steps, then what is committed, as it comes.

The past is read and folded in a thread, so a window stays responsive while it opens a long session. A file that is not
there yet is waited for; one that is replaced is followed from its beginning. Its only write is a command.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path

from core import log
from core.collector import no_collection
from core.commands import Command
from core.errors import LogError, Refused
from core.events import Fact, decode_many
from core.feed import Update
from core.fold import fold
from core.state import State

POLL_S = 0.025
QUIET_POLL_S = 0.05  # half the processor time of a window on a session where nothing happens
QUIET_AFTER_S = 5.0
PLACE_EVERY = 10  # polls between two looks at whether it still is the same file
AT_ONCE = 1_000  # facts that are read without a thread: 2 ms
CHUNK = 16_384  # facts

Place = tuple[int, int]  # device and inode: which file it is


class Follower:
    live = True

    def __init__(self, path: Path, state: State | None = None, *, is_read_only: bool = False) -> None:
        """`state` is the fold of the facts that need not be read again; `is_read_only`: it takes no commands."""
        self.path = path
        self._is_read_only = is_read_only
        self.state = state or State()
        self._finishing = False
        self._stirred = 0.0  # when something changed or was asked for last

    def finish(self) -> None:
        """`updates` ends once it has yielded what is in the log."""
        self._finishing = True

    @property
    def is_gone(self) -> bool:
        """Whether the file that was read is there no more."""
        return self.state.seq > 0 and self.place() is None

    def dispatch(self, command: Command) -> int:
        if self._is_read_only:
            raise Refused("This window is read-only: it can look and do nothing else.")
        if self.is_gone:
            raise LogError(
                f"{self.path} is gone: it was removed or moved away while it was watched. Put it back first."
            )
        self._stirred = time.monotonic()
        return log.send(self.path, command)

    async def updates(self) -> AsyncIterator[Update]:
        """Starts with everything after `state`. Raises LogError for a file that is damaged or no session."""
        while True:
            if self.place() is None:
                yield Update((), self.state, loading=0.0)
            while (place := self.place()) is None:
                if self._finishing:
                    return
                await asyncio.sleep(POLL_S)
            async for update in self._of(place):
                yield update
            if self._finishing:
                return
            self.state = State()
            yield Update((), self.state, loading=0.0, jumped=True)

    def place(self) -> Place | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    async def _of(self, place: Place) -> AsyncIterator[Update]:
        """The updates of this very file; ends when another is in its place."""
        with log.opened(self.path, is_read_only=self._is_read_only, newer=True) as db:
            db.execute("pragma busy_timeout=0")  # a wait would hold up the window; the next look comes soon
            seen: int | None = None
            looks = cycle(range(PLACE_EVERY))
            while True:
                last = self._finishing  # asked before reading, so that nothing is missed
                version = _number(db, "pragma data_version")  # changes with every commit of others
                if version != seen or last:
                    end = _number(db, "select coalesce(max(seq), 0) from events")
                    if end is not None:
                        if end < self.state.seq:
                            return
                        async for update in self._up_to(db, end, is_first=seen is None):
                            yield update
                        if last:
                            return
                        seen, self._stirred = version, time.monotonic()
                if next(looks) == 0 and self.place() not in (place, None):
                    return
                is_quiet = time.monotonic() - self._stirred > QUIET_AFTER_S
                await asyncio.sleep(QUIET_POLL_S if is_quiet else POLL_S)

    async def _up_to(self, db: sqlite3.Connection, end: int, *, is_first: bool) -> AsyncIterator[Update]:
        begin = self.state.seq
        is_loading = end - begin > AT_ONCE
        while end - self.state.seq > AT_ONCE:
            before = self.state
            self.state, facts = await asyncio.to_thread(self._chunk, before)
            if not facts:
                return
            yield Update(facts, self.state, loading=min(1.0, (self.state.seq - begin) / (end - begin)))
        facts = _some(db, self.state.seq) if self.state.seq < end else []
        if facts or is_loading or is_first:
            self.state = fold(self.state, facts)
            yield Update(facts, self.state)

    def _chunk(self, state: State) -> tuple[State, list[Fact]]:
        with no_collection(), log.opened(self.path, is_read_only=self._is_read_only, newer=True) as db:
            # anew: a connection belongs to one thread
            facts = _some(db, state.seq)
            return fold(state, facts), facts


def _some(db: sqlite3.Connection, seq: int) -> list[Fact]:
    rows = db.execute("select body from events where seq > ? order by seq limit ?", (seq, CHUNK)).fetchall()
    bodies = [body for (body,) in rows]
    return [fact for i in range(0, len(bodies), AT_ONCE) for fact in decode_many(bodies[i : i + AT_ONCE])]


def _number(db: sqlite3.Connection, query: str) -> int | None:
    """None while the file is locked."""
    try:
        return int(db.execute(query).fetchone()[0])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            return None
        raise
