"""Recordings: a session as lines of JSON. The first line is a header, each further line one fact, as in the log.

Read and written as a stream; .gz files are unpacked on the way. A line that is cut off at the end (a killed program)
ends the recording; a line that is no JSON anywhere else is an error with its number.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from core import events
from core.errors import RecordingError
from core.state import State

FORMAT = 1


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    autoresearch: int  # format of the recording
    session: str = ""
    version: str = ""  # of the program that recorded it
    simulated: bool = False


def header(state: State, version: str) -> bytes:
    return msgspec.json.encode(Header(FORMAT, state.session, version, state.simulated))


def dump(head: bytes, facts: Iterable[events.Fact]) -> Iterator[bytes]:
    """The lines of a recording, each with its newline."""
    yield head + b"\n"
    for fact in facts:
        yield events.encode(fact) + b"\n"


def read(path: Path) -> Iterator[events.Fact]:
    """The facts of a recording. Raises RecordingError with a sentence."""
    try:
        with _open(path) as file:
            yield from _facts(path, file)
    except FileNotFoundError as error:
        raise RecordingError(f"There is no recording {path}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(f"Cannot read {path}: {error}.") from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb")


def _facts(path: Path, file: IO[bytes]) -> Iterator[events.Fact]:
    _check_header(path, file.readline())
    for number, line in enumerate(file, start=2):
        try:
            yield events.decode(line)
        except msgspec.DecodeError as error:
            if not line.endswith(b"\n"):
                return
            raise RecordingError(f"Line {number} of {path} is not JSON ({error}); the recording is damaged.") from error


def _check_header(path: Path, line: bytes) -> None:
    try:
        head = msgspec.json.decode(line, type=Header)
    except msgspec.DecodeError as error:
        raise RecordingError(
            f'{path} is not a recording: its first line must be a header such as {{"autoresearch": {FORMAT}}}. '
            "`autoresearch-tui export --format jsonl` makes one."
        ) from error
    if head.autoresearch > FORMAT:
        raise RecordingError(
            f"{path} was recorded by a newer autoresearch-tui ({head.version or 'unknown'}); upgrade to play it."
        )
