"""A small HTTP server that answers as a test says, byte for byte, and a kubeconfig that leads to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "1"


class Reply:
    """What is sent back; each method sends at once."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def full(self, status: int, body: bytes | dict[str, Any], *headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = (f"HTTP/1.1 {status} Said", f"Content-Length: {len(content)}", "Connection: close", *headers)
        await self.raw("\r\n".join((*lines, "", "")).encode() + content)

    async def begin(self) -> None:
        """Of a stream, which `line` goes on and `end` ends; without `end` it breaks."""
        await self.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")

    async def line(self, thing: bytes | dict[str, Any]) -> None:
        content = (thing if isinstance(thing, bytes) else json.dumps(thing).encode()) + b"\n"
        await self.raw(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def raw(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()


Answer = Callable[[Asked, Reply], Awaitable[None]]


class Wire(NamedTuple):
    port: int
    asked: list[Asked]  # so far

    def watches(self) -> list[Asked]:
        return [each for each in self.asked if each.is_watch]

    def lists(self) -> list[Asked]:
        return [each for each in self.asked if each.method == "GET" and not each.is_watch]


@contextlib.asynccontextmanager
async def serve(answer: Answer, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    asked: list[Asked] = []
    meetings: set[asyncio.Task[Any]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        meetings.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await _read(reader)
            asked.append(request)
            await answer(request, Reply(writer))
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", port, ssl=tls)
    try:
        yield Wire(server.sockets[0].getsockname()[1], asked)
    finally:
        server.close()
        for task in meetings:
            task.cancel()
        await asyncio.gather(*meetings, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    return Asked(method, url.path, {name: values[0] for name, values in parse_qs(url.query).items()}, headers, body)


def kubeconfig(folder: Path, server: str, *, cluster: dict[str, str] | None = None, **user: Any) -> str:
    """A file with one context, "test"; JSON is YAML. `cluster`: what it says of the server beside its address."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "lab"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)
