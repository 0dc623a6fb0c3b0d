"""One kind of thing kept in sight: everything once, then each change, for ever, whatever happens to the connection.

Three generators, one worry each: `watch` waits and begins anew after a failure, `_changes` goes on where a stream
ended, `_frames` reads one stream. Knows what is watched only by its shape.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from random import Random, SystemRandom
from typing import Generic, NamedTuple

from core.clock import Clock
from k8s.client import ClusterError, Connection
from k8s.shapes import Bookmark, Changed, Failure, Thing, decode_frame, decode_list

PAGE = 500  # things per page of a list
LINE = 16 << 20  # bytes of one change
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
REFUSED_PAUSE_S = 0.5  # a server that was started just now says no until it knows who may do what; then it means it
LONGEST_WISH_S = 30.0  # of a server that says how long to wait


class Synced(NamedTuple, Generic[Thing]):
    """All there is: what was known before and is not in here is gone. The first, and the end of what was stale."""

    items: tuple[Thing, ...]


class Stale(NamedTuple):
    """What was reported last may be old."""

    reason: str
    since: float
    is_refused: bool = False  # it was not allowed: waiting alone will not mend it


Query = Mapping[str, str | int]


class Pace(NamedTuple):
    """Seconds."""

    stream_s: float = 6.0  # the server ends a stream after this, half as much again at most: a dead one is found soon
    silent_s: float = 3.0  # beyond that, a stream that is still open is dead
    lived_s: float = 1.0  # a stream that ends sooner has failed


PACE = Pace()


async def watch(
    connection: Connection,
    kind: type[Thing],
    path: str,
    query: Query | None = None,
    *,
    clock: Clock,
    dice: Random | None = None,
    pace: Pace = PACE,
) -> AsyncGenerator[Synced[Thing] | Changed[Thing] | Stale, None]:
    """Never ends and raises nothing that the cluster does. `path`: of the list; `query`: selectors."""
    dice = dice or SystemRandom()
    failures, since = 0, None
    while True:
        synced_at = None
        try:
            version, items = await _listed(connection, kind, path, query or {})
            since, synced_at = None, clock.now()
            yield Synced(items)
            changes = _changes(connection, kind, path, query or {}, version, clock, dice, pace)
            async with aclosing(changes):
                async for change in changes:
                    yield change
        except ClusterError as error:
            lived_s = clock.now() - synced_at if synced_at is not None else 0.0
            if lived_s >= pace.lived_s and not error.is_refusal:
                failures = 0
            since = since or clock.now()
            yield Stale(str(error), since, error.is_refusal)
            await clock.sleep(pause_s(error, failures, dice))
            failures += 1


def pause_s(error: ClusterError, failures: int, dice: Random) -> float:
    """Seconds until the next attempt after so many failures in a row; never 0, and never the same for two clients."""
    if error.wait_s:
        return min(error.wait_s, LONGEST_WISH_S) * (1 + dice.random() / 4)
    start, growth = (FIRST_PAUSE_S, 2.0) if error.may_pass else (REFUSED_PAUSE_S, 4.0)
    return min(LONGEST_PAUSE_S, start * growth ** min(failures, 16)) * (0.5 + dice.random())


async def _listed(connection: Connection, kind: type[Thing], path: str, query: Query) -> tuple[str, tuple[Thing, ...]]:
    """Its version, and all of it, page by page."""
    items: list[Thing] = []
    token = ""
    while True:
        body = await connection.request("GET", path, {**query, "limit": PAGE, **({"continue": token} if token else {})})
        try:
            page = decode_list(kind, body)
        except ValueError as error:
            raise _stranger(path) from error
        items += page.items or ()
        token = page.metadata.continue_
        if not page.metadata.resource_version:
            raise _stranger(path)
        if not token:
            return page.metadata.resource_version, tuple(items)


async def _changes(
    connection: Connection,
    kind: type[Thing],
    path: str,
    query: Query,
    version: str,
    clock: Clock,
    dice: Random,
    pace: Pace,
) -> AsyncGenerator[Changed[Thing], None]:
    """From `version` on, across streams that end as they should."""
    while True:
        began, came = clock.now(), False
        lasts_s = math.ceil(pace.stream_s * (1 + dice.random() / 2))
        asked: Query = {
            "watch": 1,
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": lasts_s,
        }
        async with aclosing(_frames(connection, kind, path, {**query, **asked}, lasts_s + pace.silent_s)) as frames:
            async for frame in frames:
                came = True
                if isinstance(frame, Bookmark):
                    version = frame.resource_version
                else:
                    version = frame.object.metadata.resource_version
                    yield frame
        if not came and clock.now() - began < pace.lived_s:
            raise ClusterError(f"The watch of {path} ended as soon as it began.")


async def _frames(
    connection: Connection, kind: type[Thing], path: str, query: Query, inactive_s: float
) -> AsyncGenerator[Changed[Thing] | Bookmark, None]:
    """Of one stream, until it ends."""
    rest = b""
    async with connection.stream(path, query, inactive_s=inactive_s) as stream:
        async for piece in stream.iter_any():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LINE:
                raise _stranger(path)
            for line in filter(None, map(bytes.strip, lines)):
                yield _frame(kind, path, line)
    if rest.strip():
        raise _stranger(path)


def _frame(kind: type[Thing], path: str, line: bytes) -> Changed[Thing] | Bookmark:
    try:
        frame = decode_frame(kind, line)
    except ValueError as error:
        raise _stranger(path) from error
    if isinstance(frame, Failure):
        raise ClusterError(f"The watch of {path} failed: {frame.message or frame.reason}.", frame.code, frame.reason)
    return frame


def _stranger(path: str) -> ClusterError:
    return ClusterError(f"What answers for {path} is not the API server: it sent no Kubernetes objects.")
