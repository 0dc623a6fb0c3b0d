"""Recordings: a session as lines of JSON. The first line is a header, each further line one fact, as in the log.

A session's database is read the same way. Everything is a stream in blocks; .gz files are unpacked on the way. Lines
that are no facts are counted and left out; one that is cut off at the end (a killed program) just ends the recording.
A newer recording plays as far as this build knows it. It does not know what the facts mean.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from core import events, log
from core.collector import no_collection
from core.errors import RecordingError
from core.ids import RunId
from core.state import State

FORMAT = 1
BLOCK = 8192  # facts
AT_ONCE = 1024  # facts per call of the codec: what is larger than the processor's cache takes a third longer
GZIP = 31  # window bits that mean: with a gzip header
PIECE = 8192  # bytes; what is readable of the piece in which a file breaks is lost


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    autoresearch: int  # format of the recording
    session: str = ""
    version: str = ""  # of the program that recorded it
    simulated: bool = False
    executor: str = ""
    recorded_at: float = 0.0  # when the session began, seconds since the epoch
    command: str = ""  # the command that made the session, for whoever wants to repeat it


class Block(NamedTuple):
    """Some facts in a row, and the JSON they were read from, one line each."""

    bodies: list[bytes]
    facts: list[events.Fact]


def executor_of(facts: Iterable[events.Fact]) -> str:
    """That of the first engine; "" if none has started."""
    return next((fact.executor for fact in facts if isinstance(fact, events.EngineStarted)), "")


def header(state: State, version: str, *, executor: str = "", command: str = "") -> bytes:
    """The first line, without its newline."""
    head = Header(FORMAT, state.session, version, state.simulated, executor, state.started_at, command)
    return msgspec.json.encode(head)


def dump(head: bytes, facts: Iterable[events.Fact]) -> Iterator[bytes]:
    """The lines of a recording, each with its newline."""
    yield head + b"\n"
    for fact in facts:
        yield events.encode(fact) + b"\n"


def thinned(facts: Iterable[events.Fact], every_s: float) -> Iterator[events.Fact]:
    """Without the progress of a run that comes less than `every_s` seconds after what was kept of it before."""
    latest: dict[RunId, float] = {}
    for fact in facts:
        if isinstance(fact, events.RunProgressed):
            if fact.at - latest.get(fact.run, -math.inf) < every_s:
                continue
            latest[fact.run] = fact.at
        yield fact


def read(path: Path) -> Iterator[events.Fact]:
    """The facts of a recording or of a session. Raises RecordingError, LogError."""
    for block in Recording(path).blocks():
        yield from block.facts


class Recording:
    """A recording while it is read: `header` is known with the first block, `damaged` is final after the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = Header(FORMAT)
        self.damaged = 0  # lines that are no facts
        self.share = 0.0  # read so far, 0 to 1
        self._ended = ""  # why the rest could not be read

    @property
    def note(self) -> str:
        """What whoever watches should know; "" if nothing is amiss."""
        notes = []
        if self.header.autoresearch > FORMAT:
            by = f"a newer autoresearch-tui ({self.header.version or 'unknown'})"
            notes.append(f"Recorded by {by}: what this one does not know is left out.")
        if self.damaged:
            count = "1 damaged line was" if self.damaged == 1 else f"{self.damaged:,} damaged lines were"
            notes.append(f"{count} left out.")
        return " ".join([*notes, self._ended]).strip()

    def blocks(self) -> Iterator[Block]:
        """All facts, BLOCK at a time. May be consumed from changing threads. Raises RecordingError, LogError."""
        try:
            with self.path.open("rb") as raw:
                start = raw.read(16)
                raw.seek(0)
                bodies = self._rows() if start.startswith(b"SQLite format 3") else self._lines(raw, start)
                for lines in bodies:
                    if block := self._decoded(lines):
                        yield block
        except FileNotFoundError as error:
            raise RecordingError(f"There is no recording {self.path}.") from error
        except (OSError, EOFError, zlib.error) as error:
            raise RecordingError(f"Cannot read {self.path}: {error}.") from error

    def _rows(self) -> Iterator[list[bytes]]:
        """Of a session's database. A session that goes on is read as far as it is now."""
        seq = 0
        with log.opened(self.path, newer=True) as db:
            if (version := log.version_of(db)) > log.SCHEMA_VERSION:
                self.header = Header(max(version, FORMAT + 1))
            last = db.execute("select coalesce(max(seq), 0) from events").fetchone()[0]
        query = "select body from events where seq > ? and seq <= ? order by seq limit ?"
        while seq < last:
            with log.opened(self.path, newer=True) as db:  # anew: a connection belongs to one thread
                rows = [body.replace(b"\n", b" ") for (body,) in db.execute(query, (seq, last, BLOCK))]
            if not rows:
                return
            seq += len(rows)
            self.share = seq / last
            yield rows

    def _lines(self, raw: BinaryIO, start: bytes) -> Iterator[list[bytes]]:
        size = max(1, self.path.stat().st_size)
        packed = start.startswith(b"\x1f\x8b")
        file: Iterator[bytes] = _unpacked(raw) if packed else iter(raw)
        self.header = _header(self.path, next(file, b""))
        while lines := self._some(file):
            self.share = min(1.0, raw.tell() / size)
            yield lines

    def _some(self, file: Iterator[bytes]) -> list[bytes]:
        lines: list[bytes] = []
        try:
            while len(lines) < BLOCK and (line := next(file, None)) is not None:
                lines.append(line)
        except EOFError:
            self._ended = "The recording ends early: the file was cut off."
        except (OSError, zlib.error) as error:
            self._ended = f"The rest cannot be read ({error})."
        return lines

    def _decoded(self, lines: list[bytes]) -> Block | None:
        try:
            with no_collection():
                pieces = (lines[i : i + AT_ONCE] for i in range(0, len(lines), AT_ONCE))
                facts = [fact for piece in pieces for fact in events.decode_many(piece)]
            if len(facts) == len(lines) and (events.Unknown not in set(map(type, facts)) or all(map(_is_fact, facts))):
                return Block(lines, facts)
        except ValueError:  # no JSON, or no UTF-8
            pass
        return self._decoded_singly(lines)

    def _decoded_singly(self, lines: list[bytes]) -> Block | None:
        block = Block([], [])
        for line in lines:
            try:
                fact: events.Fact | None = events.decode(line)
            except ValueError:
                fact = None
            if fact is not None and _is_fact(fact):
                block.bodies.append(line)
                block.facts.append(fact)
            elif line.strip() and line.endswith(b"\n"):
                self.damaged += 1
        return block if block.facts else None


def _unpacked(raw: BinaryIO) -> Iterator[bytes]:
    """The lines of a .gz file, as far as it goes; then EOFError if it was cut off, zlib.error if it is broken."""
    unpack, rest, is_whole = zlib.decompressobj(GZIP), b"", False
    while piece := raw.read(PIECE):
        while piece:
            *lines, rest = (rest + unpack.decompress(piece)).split(b"\n")
            yield from (line + b"\n" for line in lines)
            piece = unpack.unused_data.lstrip(b"\0")  # what another packer appended
            is_whole = unpack.eof
            unpack = zlib.decompressobj(GZIP) if is_whole else unpack
    if rest:
        yield rest
    if not is_whole:
        raise EOFError("it was cut off")


def _is_fact(fact: events.Fact) -> bool:
    return not isinstance(fact, events.Unknown) or bool(fact.kind)


def _header(path: Path, line: bytes) -> Header:
    try:
        return msgspec.json.decode(line, type=Header)
    except ValueError as error:
        raise RecordingError(
            f'{path} is not a recording: its first line must be a header such as {{"autoresearch": {FORMAT}}}. '
            "`autoresearch-tui export --format jsonl` makes one."
        ) from error
