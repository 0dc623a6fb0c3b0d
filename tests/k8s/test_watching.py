"""Watches against a server that misbehaves: the truth comes back, no change is missed, nothing is asked too often."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from wire import Answer, Asked, Reply, Wire, kubeconfig, serve

from core.clock import SystemClock
from k8s.client import Connection
from k8s.shapes import Changed, Pod
from k8s.watching import Pace, Stale, Synced, watch

PATH = "/api/v1/pods"
QUICK = Pace(stream_s=1, silent_s=0.3, lived_s=0.05)
News = Synced[Pod] | Changed[Pod] | Stale


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "lab", "uid": name, "resourceVersion": str(version)}}


def listed(*names: str, version: int = 10, more: str = "") -> dict[str, Any]:
    meta = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return {"kind": "PodList", "metadata": meta, "items": [pod(name, 1) for name in names]}


def frame(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": pod(name, version)}


GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


def short(news: News) -> object:
    match news:
        case Synced(items):
            return [each.name for each in items]
        case Changed(kind, thing):
            return f"{kind} {thing.name}"
        case Stale():
            return "stale"


@contextlib.asynccontextmanager
async def watched(
    folder: Path, watching: Answer, *lists: dict[str, Any], listing: Answer | None = None
) -> AsyncIterator[tuple[Wire, AsyncGenerator[News, None]]]:
    """`lists`: what is answered in turn, the last again and again; `listing` answers instead."""

    async def one_of(_: Asked, reply: Reply) -> None:
        await reply.full(200, lists[min(len(wire.lists()), len(lists)) - 1])

    async def answer(asked: Asked, reply: Reply) -> None:
        await (watching if asked.is_watch else listing or one_of)(asked, reply)

    clock = SystemClock()
    async with serve(answer) as wire:
        config = kubeconfig(folder, f"http://127.0.0.1:{wire.port}")
        async with Connection(clock=clock, kubeconfig=config) as connection:
            seen = watch(connection, Pod, PATH, clock=clock, dice=Random(1), pace=QUICK)
            async with contextlib.aclosing(seen):
                yield wire, seen


def saying(*streams: list[dict[str, Any]], ends: bool = True) -> Answer:
    """One stream after the other; those after the last are silent."""
    left = iter(streams)

    async def answer(_: Asked, reply: Reply) -> None:
        frames = next(left, None)
        await reply.begin()
        for each in frames or ():
            await reply.line(each)
        if frames is None or not ends:
            await asyncio.sleep(60)
        await reply.end()

    return answer


def once(first: Answer) -> Answer:
    """Then silence."""
    answers = iter([first])

    async def answer(asked: Asked, reply: Reply) -> None:
        await next(answers, saying())(asked, reply)

    return answer


def always(status: int, body: bytes | dict[str, Any], *headers: str) -> Answer:
    async def answer(_: Asked, reply: Reply) -> None:
        await reply.full(status, body, *headers)

    return answer


async def first(seen: AsyncGenerator[News, None], count: int) -> list[Any]:
    async with asyncio.timeout(10):
        return [short(await anext(seen)) for _ in range(count)]


async def within(seen: AsyncGenerator[News, None], seconds: float) -> list[News]:
    found: list[News] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for news in seen:
                found += [news]
    return found


async def test_everything_comes_first_and_then_each_change(tmp_path: Path) -> None:
    frames = [frame("ADDED", "c", 11), frame("MODIFIED", "a", 12), frame("DELETED", "b", 13)]
    async with watched(tmp_path, saying(frames, ends=False), listed("a", "b")) as (wire, seen):
        assert await first(seen, 4) == [["a", "b"], "ADDED c", "MODIFIED a", "DELETED b"]
        assert wire.watches()[0].query["resourceVersion"] == "10"


async def test_a_stream_that_ends_is_taken_up_where_it_was_without_another_list(tmp_path: Path) -> None:
    bookmark = {"type": "BOOKMARK", "object": pod("", 20)}
    streams = saying([frame("ADDED", "a", 11), bookmark], [frame("ADDED", "b", 21)])
    async with watched(tmp_path, streams, listed()) as (wire, seen):
        assert await first(seen, 3) == [[], "ADDED a", "ADDED b"]
        assert [each.query["resourceVersion"] for each in wire.watches()] == ["10", "20"]
        assert len(wire.lists()) == 1


@pytest.mark.parametrize(
    "expired", [saying([{"type": "ERROR", "object": GONE}]), always(410, GONE)], ids=["frame", "status"]
)
async def test_a_version_that_is_too_old_leads_to_a_new_list(tmp_path: Path, expired: Answer) -> None:
    async with watched(tmp_path, once(expired), listed("a"), listed("a", "b", version=50)) as (wire, seen):
        assert await first(seen, 3) == [["a"], "stale", ["a", "b"]]
        assert await within(seen, 0.3) == []
        assert wire.watches()[1].query["resourceVersion"] == "50"


async def test_a_connection_that_dies_in_silence_is_noticed(tmp_path: Path) -> None:
    async with watched(tmp_path, saying(), listed("a"), listed("b")) as (_, seen):
        assert await first(seen, 3) == [["a"], "stale", ["b"]]


async def test_a_connection_that_breaks_inside_a_change_loses_nothing(tmp_path: Path) -> None:
    async def breaking(_: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.raw(b'5\r\n{"typ\r\n')

    async with watched(tmp_path, once(breaking), listed(), listed("a")) as (_, seen):
        assert await first(seen, 3) == [[], "stale", ["a"]]


HTML = b"<html><body>502 Bad Gateway</body></html>"
STRANGERS = {
    "a page": always(200, HTML),
    "nothing": always(200, b""),
    "an error page": always(502, HTML),
    "a word": always(200, b"rate limited"),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
async def test_what_is_no_api_server_is_told_and_not_asked_too_often(tmp_path: Path, stranger: Answer) -> None:
    for listing in (None, stranger):
        async with watched(tmp_path, stranger, listed("a"), listing=listing) as (wire, seen):
            told = [news for news in await within(seen, 1.5) if isinstance(news, Stale)]
            assert 2 <= len(wire.asked) < 20
            assert all("API server" in news.reason or "as soon as it began" in news.reason for news in told)
            assert told


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_says_how_long_to_wait_is_left_alone_for_so_long(tmp_path: Path, status: int) -> None:
    busy = always(status, {"kind": "Status", "code": status, "reason": "TooManyRequests"}, "Retry-After: 30")
    async with watched(tmp_path, busy, listing=busy) as (wire, seen):
        assert len(await within(seen, 1)) == 1
        assert len(wire.asked) == 1


async def test_a_permission_that_is_taken_away_is_told_with_its_verb_and_asked_for_slowly(tmp_path: Path) -> None:
    message = 'pods is forbidden: User "ada" cannot watch resource "pods" in API group "" in the namespace "lab"'
    refused = always(403, {"kind": "Status", "code": 403, "reason": "Forbidden", "message": message})
    async with watched(tmp_path, refused, listed("a")) as (wire, seen):
        synced, stale, *_ = await within(seen, 2)
        assert short(synced) == ["a"]
        assert isinstance(stale, Stale)
        assert stale.is_refused
        assert "cannot watch resource" in stale.reason
        assert len(wire.asked) <= 6


async def test_a_long_list_comes_in_pages_and_begins_again_if_a_page_is_too_old(tmp_path: Path) -> None:
    pages = iter([(200, listed("a", more="next")), (410, GONE), (200, listed("a", more="next")), (200, listed("b"))])

    async def listing(_: Asked, reply: Reply) -> None:
        await reply.full(*next(pages))

    async with watched(tmp_path, saying(), listing=listing) as (wire, seen):
        assert await first(seen, 2) == ["stale", ["a", "b"]]
        assert [each.query.get("continue") for each in wire.lists()] == [None, "next", None, "next"]


async def test_what_is_stale_says_since_when(tmp_path: Path) -> None:
    async with watched(tmp_path, always(500, b""), listing=always(500, b"")) as (_, seen):
        one, two = await anext(seen), await anext(seen)
        assert isinstance(one, Stale)
        assert isinstance(two, Stale)
        assert one.since == two.since
