"""The session's database: one SQLite file that holds the facts, the commands, and the engine's sign of life.

`Log` is the engine's: one committer task owns the writing connection (WAL, synchronous=FULL) and groups what was
appended while the last commit was under way. `read_all` and the followers of `core.feed` only read. Windows write one
thing: command rows. Session files belong on a local disk: SQLite's WAL does not work over network file systems.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import aiosqlite
import msgspec

from core import commands, events
from core.errors import EngineRunning, LogError

APPLICATION_ID = 0x61757265  # "aure"
SCHEMA_VERSION = 1
FILE = "session.db"
RETRY_S = 1.0  # between attempts while the disk refuses
PATIENCE_S = 20.0  # then the engine gives up

_SCHEMA = """
create table events(seq integer primary key, body blob not null);
create table commands(number integer primary key autoincrement, body blob not null, answer text);
create index unanswered on commands(number) where answer is null;
create table engine(one integer primary key check (one = 1), pid integer, host text, beat real);
"""


class Heartbeat(msgspec.Struct, frozen=True):
    pid: int
    host: str
    beat: float  # seconds since the epoch


# --- opening ----------------------------------------------------------------------------------------------------------


def create(path: Path) -> None:
    """Makes the file with an empty log, readable by its owner only, unless it exists. Raises LogError."""
    if path.exists():
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")  # a killed process must not leave half a session behind
    try:
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        with _connected(fresh) as db:
            db.execute("pragma journal_mode=wal")
            marks = f"pragma application_id={APPLICATION_ID}; pragma user_version={SCHEMA_VERSION};"
            db.executescript(f"begin; {_SCHEMA} {marks} commit;")
        with suppress(FileExistsError):
            os.link(fresh, path)  # unlike a rename, never over the session of another engine
        fresh.unlink()
    except (OSError, sqlite3.Error) as error:
        raise LogError(
            f"Cannot create {path}: {error}. Check that the folder is writable and the disk not full."
        ) from error


@contextmanager
def _connected(path: Path, *, is_read_only: bool = False) -> Iterator[sqlite3.Connection]:
    name = _as_it_lies(path) or (f"{path.absolute().as_uri()}?mode=ro" if is_read_only else "")
    db = sqlite3.connect(name or path, timeout=5, isolation_level=None, uri=bool(name))
    try:
        yield db
    finally:
        db.close()


def _as_it_lies(path: Path) -> str:
    """The address of a file that nobody can change, such as on a read-only file system; "" for any other.

    SQLite makes a file beside a WAL database even to read it. Where there is a -wal already, it belongs to the facts.
    """
    if os.access(path.parent, os.W_OK) or path.with_name(f"{path.name}-wal").exists():
        return ""
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


@contextmanager
def opened(path: Path, *, is_read_only: bool = False, newer: bool = False) -> Iterator[sqlite3.Connection]:
    """A checked connection for short work; `is_read_only`: SQLite itself refuses every write.

    `newer`: who only reads takes a file of a newer format too, if the facts are where they are in this one.
    Raises LogError for a file that is missing, damaged, foreign or newer.
    """
    if not path.exists():
        raise LogError(f"There is no session at {path} yet; start one with `autoresearch-tui --no-ui`.")
    try:
        with _connected(path, is_read_only=is_read_only) as db:
            check(path, db, newer=newer)
            yield db
    except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
        raise damaged(path, error) from error


def version_of(db: sqlite3.Connection) -> int:
    """The format of the file."""
    return int(db.execute("pragma user_version").fetchone()[0])


def _has_facts(db: sqlite3.Connection) -> bool:
    return {"seq", "body"} <= {row[1] for row in db.execute("pragma table_info(events)")}


def check(path: Path, db: sqlite3.Connection, *, newer: bool = False) -> None:
    application = db.execute("pragma application_id").fetchone()[0]
    version = version_of(db)
    if application != APPLICATION_ID:
        raise LogError(f"{path} is not a session of autoresearch-tui; move it away and start again.")
    if version > SCHEMA_VERSION and not (newer and _has_facts(db)):
        raise LogError(
            f"{path} was written by a newer autoresearch-tui (format {version}, this one knows {SCHEMA_VERSION}); "
            "upgrade with `pip install -U autoresearch-tui`."
        )


def damaged(path: Path, error: Exception) -> LogError:
    if isinstance(error, sqlite3.OperationalError) and not os.access(path.parent, os.W_OK):
        return LogError(f"Cannot use {path}: nothing can be written there ({error}). Copy its folder elsewhere first.")
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
        return LogError(f"Cannot use {path}: {error}. Check permissions and free space, then try again.")
    return LogError(
        f"{path} is damaged ({error}). Move it and its -wal file away and start again, or recover what is readable "
        f"with `sqlite3 {path.name} .recover`."
    )


def read_all(path: Path) -> list[events.Fact]:
    """Every fact of the session, in order. Raises LogError."""
    with opened(path) as db:
        return list(read_after(db, 0))


def read_after(db: sqlite3.Connection, seq: int, *, chunk: int = 20_000) -> Iterator[events.Fact]:
    """The facts after `seq`, in order. Raises msgspec.DecodeError for a row that is not JSON."""
    while rows := db.execute("select body from events where seq > ? order by seq limit ?", (seq, chunk)).fetchall():
        yield from events.decode_many([body for (body,) in rows])
        seq += len(rows)


def first(path: Path) -> events.Fact | None:
    """How the session began; None while it has not. Raises LogError."""
    with opened(path, newer=True) as db:
        row = db.execute("select body from events where seq = 1").fetchone()
        return events.decode(row[0]) if row else None


# --- commands and signs of life, from windows -------------------------------------------------------------------------


def send(path: Path, command: commands.Command) -> int:
    """Leaves a command for the engine; returns its number. Raises LogError."""
    with opened(path) as db:
        cursor = db.execute("insert into commands(body) values (?)", (commands.encode(command),))
        return int(cursor.lastrowid or 0)


def answer(path: Path, number: int) -> str | None:
    """What the engine answered: "" for done, a sentence for no, None while it has not."""
    with opened(path) as db:
        row = db.execute("select answer from commands where number = ?", (number,)).fetchone()
        return None if row is None else row[0]


def heartbeat(path: Path) -> Heartbeat | None:
    with opened(path) as db:
        row = db.execute("select pid, host, beat from engine").fetchone()
        return None if row is None else Heartbeat(*row)


def is_held(path: Path) -> bool:
    """Whether an engine of this machine holds the session now."""
    try:
        with path.with_suffix(".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def hold(path: Path) -> IO[bytes]:
    """Takes the session for this process; the kernel gives it back when the process ends, however it ends.

    Raises EngineRunning if another engine has it. Keep the file open.
    """
    lock = path.with_suffix(".lock").open("ab")
    try:
        _lock(lock)
    except BlockingIOError as error:
        lock.close()
        alive = heartbeat(path)
        who = f" (pid {alive.pid} on {alive.host})" if alive else ""
        raise EngineRunning(
            f"Another engine holds this workspace{who}. Watch it with `autoresearch-tui status`, "
            "or end it with `autoresearch-tui stop`."
        ) from error
    return lock


def _lock(file: IO[bytes], attempts: int = 5) -> None:
    """Tries a few times: a window that asks `is_held` has the lock for some microseconds."""
    for left in reversed(range(attempts)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not left:
                raise
            time.sleep(0.02)


# --- the engine's side ------------------------------------------------------------------------------------------------


class Log:
    """Appends facts and answers commands. `append` returns at once; await its future before acting on the fact.

    Use as an async context manager inside a task group that runs `committer()`.
    """

    def __init__(self, path: Path, *, is_durable: bool = True) -> None:
        """`is_durable`: what was committed outlives a power failure; a simulated session can do without."""
        self.path = path
        self._synchronous = "full" if is_durable else "off"
        self.seq = 0
        self._pending: list[tuple[int, bytes, asyncio.Future[None]]] = []
        self._answers: list[tuple[str, int]] = []
        self._beat: tuple[int, str, float] | None = None
        self._kick = asyncio.Event()
        self._closing = False
        self.trouble = ""  # why the last commit failed; "" when it did not

    async def open(self) -> list[events.Fact]:
        """Connects and returns all facts so far. Raises LogError."""
        facts = await asyncio.to_thread(read_all, self.path)
        self.seq = len(facts)
        self._inode = self.path.stat().st_ino
        self._db = await aiosqlite.connect(self.path, isolation_level=None, timeout=5)
        await self._db.execute("pragma journal_mode=wal")
        await self._db.execute(f"pragma synchronous={self._synchronous}")
        return facts

    def append(self, fact: events.Known) -> asyncio.Future[None]:
        """Its place in the log is taken now; the future is done when it is on the disk."""
        self.seq += 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((self.seq, events.encode(fact), done))
        self._kick.set()
        return done

    def respond(self, number: int, text: str) -> None:
        """Answers command `number` in the same commit as the facts appended before."""
        self._answers.append((text, number))
        self._kick.set()

    async def commands(self) -> list[tuple[int, bytes]]:
        """Unanswered commands, oldest first. Raises LogError."""
        query = "select number, body from commands where answer is null order by number"
        handed = {number for _, number in self._answers}
        try:
            async with self._db.execute(query) as rows:
                return [(number, body) async for number, body in rows if number not in handed]
        except sqlite3.Error as error:
            raise damaged(self.path, error) from error

    def beat(self, now: float) -> None:
        """Leaves a sign of life with the next commit. Raises LogError if the file is not there any more."""
        try:
            here = self.path.stat().st_ino
        except OSError:
            here = None
        if here != self._inode:
            raise LogError(
                f"{self.path} was removed or replaced while the engine ran; it stops, as what follows would be lost."
            )
        self._beat = (os.getpid(), socket.gethostname(), now)
        self._kick.set()

    async def committer(self) -> None:
        """Runs until `close`; the only writer. Raises LogError when the disk has refused for PATIENCE_S."""
        refused = 0.0
        while True:
            if not (self._pending or self._answers or self._beat):
                if self._closing:
                    return
                await self._kick.wait()
            self._kick.clear()
            try:
                await self._commit()
                self.trouble, refused = "", 0.0
            except sqlite3.Error as error:
                self.trouble, refused = str(error), refused + RETRY_S
                if refused > PATIENCE_S or self._closing:
                    raise self._given_up(error) from error
                await asyncio.sleep(RETRY_S)

    async def _commit(self) -> None:
        facts, answers, beat = list(self._pending), list(self._answers), self._beat
        if not (facts or answers or beat):
            return
        try:
            await self._db.execute("begin immediate")
            await self._db.executemany("insert into events values (?, ?)", [row[:2] for row in facts])
            if answers:
                await self._db.executemany("update commands set answer = ? where number = ?", answers)
            if beat:
                await self._db.execute("insert or replace into engine values (1, ?, ?, ?)", beat)
            await self._db.execute("commit")
        except sqlite3.Error:
            if self._db.in_transaction:
                await self._db.rollback()
            raise
        del self._pending[: len(facts)], self._answers[: len(answers)]
        self._beat = None if self._beat is beat else self._beat
        for _, _, done in facts:
            if not done.done():
                done.set_result(None)

    def _given_up(self, error: Exception) -> LogError:
        is_full = isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL
        return LogError(
            f"{'The disk is full: the' if is_full else 'The'} session cannot be written to {self.path}: {error}. "
            f"Free some space or check the disk, then start "
            f"again; what was recorded is safe, {len(self._pending)} fact(s) of the last seconds are not."
        )

    def close(self) -> None:
        """Tells the committer to write what is left and return."""
        self._closing = True
        self._kick.set()

    async def disconnect(self) -> None:
        await self._db.close()


def append_all(path: Path, facts: Iterable[events.Fact]) -> None:
    """Appends facts in one transaction, for those who `hold` the session without an engine. Raises LogError."""
    with opened(path) as db:
        db.execute("begin immediate")
        db.executemany("insert into events(body) values (?)", ((events.encode(fact),) for fact in facts))
        db.execute("commit")
