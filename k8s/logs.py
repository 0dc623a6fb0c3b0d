"""Logs of pods: followed line by line without gaps or repeats, looked into, and collected at the end.

Where a line was written at the same instant as the one before, they are told apart by counting. Knows nothing of what
the lines say.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from random import Random, SystemRandom
from typing import NamedTuple

from core.clock import Clock
from k8s.client import ClusterError, Connection
from k8s.watching import pause_s

REFUSALS = 3  # in a row, after which a log may not be read
SILENT_S = 60.0  # a log may be silent for long: after this the stream is opened anew
REST_S = 1.0  # between a log that ended and a look whether it goes on
LINE = 1 << 20  # bytes; a longer line is cut
TAIL_LINES = 400  # read of the end of a log that is too long to be kept
TAIL_BYTES = 1 << 20
COLLECT_S = 20.0  # of silence while a log is collected
HEAD = 1 << 16  # bytes of the first look into a log


class Place(NamedTuple):
    """Whose log."""

    namespace: str
    pod: str
    container: str

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}/log"


async def follow(
    connection: Connection, place: Place, *, clock: Clock, dice: Random | None = None
) -> AsyncGenerator[bytes, None]:
    """Lines with their newline, from the first one on, each once. Goes on until it is cancelled: who follows a log
    knows when its pod has ended. Raises ClusterError where the server does not allow it.
    """
    dice, mark, failures = dice or SystemRandom(), _Mark(), 0
    while True:
        query = {"container": place.container, "follow": "true", "timestamps": "true", **mark.query}
        try:
            async with connection.stream(place.path, query, inactive_s=SILENT_S) as stream:
                async for line in _lines(stream.iter_any()):
                    if text := mark.news(line):
                        failures = 0
                        yield text
            await clock.sleep(REST_S)
        except ClusterError as error:
            if error.is_refusal and failures >= REFUSALS:
                raise
            await clock.sleep(pause_s(error, failures, dice))
            failures += 1


async def look(connection: Connection, place: Place, *, lines: int | None) -> bytes:
    """The last lines of a log, or its beginning (None); b"" while there is none. Raises ClusterError."""
    part = {"limitBytes": HEAD} if lines is None else {"tailLines": lines, "limitBytes": HEAD}
    try:
        return await connection.request("GET", place.path, {"container": place.container, **part})
    except ClusterError as error:
        if error.status in (400, 404):
            return b""
        raise


async def collect(connection: Connection, place: Place, limit: int, take: Callable[[bytes], None]) -> bool:
    """Hands all of the log to `take`: at most `limit` bytes and, of a longer one, its end too.

    False if there is no such log any more. Raises ClusterError; what was handed over by then may be a part.
    """
    try:
        if await _pieces(connection, place, {"limitBytes": limit}, take) >= limit:
            take(b"\n[... too long to be kept ...]\n")
            await _pieces(connection, place, {"tailLines": TAIL_LINES, "limitBytes": TAIL_BYTES}, take)
    except ClusterError as error:
        if error.status in (400, 404):
            return False
        raise
    return True


async def _pieces(
    connection: Connection, place: Place, part: dict[str, str | int], take: Callable[[bytes], None]
) -> int:
    """How many bytes were taken."""
    taken = 0
    async with connection.stream(place.path, {"container": place.container, **part}, inactive_s=COLLECT_S) as stream:
        async for piece in stream.iter_any():
            taken += len(piece)
            take(piece)
    return taken


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole ones: what a broken stream leaves of the last is read again."""
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LINE:
            yield rest
            rest = b""


class _Mark:
    """How far a log was read: the stamp of the last line, and how many lines had it."""

    def __init__(self) -> None:
        self._stamp = b""
        self._key: tuple[bytes, bytes] = (b"", b"")
        self._seen = self._again = 0

    @property
    def query(self) -> dict[str, str]:
        """Where to go on. Servers count in whole seconds, so some lines come again."""
        self._again = 0
        whole, _, fraction = self._stamp.partition(b".")
        zone = fraction.lstrip(b"0123456789")
        return {"sinceTime": (whole + zone).decode()} if whole else {}

    def news(self, line: bytes) -> bytes:
        """The line without its stamp; b"" if it was read before."""
        stamp, blank, text = line.partition(b" ")
        if not blank or stamp[4:5] != b"-":  # no stamp: the rest of a line that was cut
            return line + b"\n"
        key = _key(stamp)
        if key < self._key:
            return b""
        if key == self._key:
            self._again += 1
            if self._again <= self._seen:
                return b""
        else:
            self._stamp, self._key, self._seen, self._again = stamp, key, 0, 0
            self._again = 1
        self._seen = self._again
        return text + b"\n"


def _key(stamp: bytes) -> tuple[bytes, bytes]:
    """Stamps in order; the fraction of a second has up to nine digits, without those that are 0 at its end."""
    whole, _, fraction = stamp.partition(b".")
    digits = fraction[: len(fraction) - len(fraction.lstrip(b"0123456789"))]
    return whole.rstrip(b"Z"), digits.ljust(9, b"0")
