"""Logs that are followed: no line missing, none twice, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from wire import Answer, Asked, Reply, Wire, kubeconfig, serve

from core.clock import SystemClock
from k8s.client import ClusterError, Connection
from k8s.logs import Place, collect, follow, look

PLACE = Place("lab", "p", "train")
LINES = [
    b"2026-11-23T10:00:00.1Z one",
    b"2026-11-23T10:00:00.123456789Z two",
    b"2026-11-23T10:00:00.123456789Z three",
    b"2026-11-23T10:00:00.123456789Z 4",
    b'2026-11-23T10:00:00.2Z {"five": 5}',
    b"2026-11-23T10:00:01Z ",
    b"2026-11-23T10:00:01.5Z seven \xff",
]
TEXTS = [b"one\n", b"two\n", b"three\n", b"4\n", b'{"five": 5}\n', b"\n", b"seven \xff\n"]


@contextlib.asynccontextmanager
async def connected(folder: Path, answer: Answer) -> AsyncIterator[tuple[Wire, Connection]]:
    async with serve(answer) as wire:
        config = kubeconfig(folder, f"http://127.0.0.1:{wire.port}")
        async with Connection(clock=SystemClock(), kubeconfig=config) as connection:
            yield wire, connection


async def read(connection: Connection, count: int) -> list[bytes]:
    lines: list[bytes] = []
    seen = follow(connection, PLACE, clock=SystemClock(), dice=Random(1))
    async with asyncio.timeout(20), contextlib.aclosing(seen):
        async for line in seen:
            lines.append(line)
            if len(lines) == count:
                break
    return lines


@pytest.mark.parametrize("cut", range(1, len(LINES)))
async def test_a_log_is_taken_up_where_it_broke(tmp_path: Path, cut: int) -> None:
    """The server goes by whole seconds, so lines of the last second come again; the last line breaks in its middle."""

    async def answer(asked: Asked, reply: Reply) -> None:
        since = asked.query.get("sinceTime", "").rstrip("Z").encode()
        await reply.begin()
        for line in [line for line in LINES if line >= since] if since else LINES[:cut]:
            await reply.line(line)
        if not since:
            await reply.raw(b"20\r\n" + LINES[cut][:25])
        else:
            await asyncio.sleep(60)

    async with connected(tmp_path, answer) as (wire, connection):
        assert await read(connection, len(LINES)) == TEXTS
    assert [each.query.get("sinceTime", "") for each in wire.asked] == [
        "",
        LINES[cut - 1].split(b" ")[0][:19].decode() + "Z",
    ]


async def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    async def answer(_: Asked, reply: Reply) -> None:
        if len(wire.asked) < 3:
            message = 'container "train" is waiting to start'
            await reply.full(400, {"kind": "Status", "code": 400, "reason": "BadRequest", "message": message})
        else:
            await reply.begin()
            await reply.line(LINES[0])
            await asyncio.sleep(60)

    async with connected(tmp_path, answer) as (wire, connection):
        assert await read(connection, 1) == [b"one\n"]


async def test_logs_that_may_not_be_read_are_given_up(tmp_path: Path) -> None:
    async def answer(_: Asked, reply: Reply) -> None:
        await reply.full(403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": "cannot get pods/log"})

    class Hurried(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0)

    async with connected(tmp_path, answer) as (wire, connection):
        with pytest.raises(ClusterError, match="cannot get pods/log"):
            await anext(follow(connection, PLACE, clock=Hurried(), dice=Random(1)))
        assert 2 <= len(wire.asked) <= 5


async def test_all_of_a_log_is_collected_and_of_one_that_is_too_long_its_end(tmp_path: Path) -> None:
    content = b"".join(b"%06d\n" % number for number in range(1000))

    async def answer(asked: Asked, reply: Reply) -> None:
        tail = asked.query.get("tailLines")
        part = content if tail is None else b"".join(content.splitlines(keepends=True)[-int(tail) :])
        await reply.full(200, part[: int(asked.query["limitBytes"])])

    async with connected(tmp_path, answer) as (_, connection):
        pieces: list[bytes] = []
        assert await collect(connection, PLACE, 10_000, pieces.append)
        assert b"".join(pieces) == content
        pieces.clear()
        assert await collect(connection, PLACE, 700, pieces.append)
        assert b"".join(pieces).startswith(b"000000\n")
        assert b"".join(pieces).endswith(b"\n000999\n")
        assert b"too long" in b"".join(pieces)


async def test_a_log_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    async def answer(_: Asked, reply: Reply) -> None:
        await reply.full(404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "no such pod"})

    async with connected(tmp_path, answer) as (_, connection):
        assert not await collect(connection, PLACE, 100, lambda _: None)
        assert await look(connection, PLACE, lines=5) == b""
