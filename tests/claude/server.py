"""A local HTTP server that speaks the Messages API: streams, errors, token counts, models; what it answers is a script.

It runs in a thread of its own, so that it also serves a loop whose time is virtual. Everything that is asked of it is
kept. It counts tokens and simulates prompt caching, and refuses what the real service would refuse, unless told not to.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import msgspec
from claude import caching
from claude.replies import Cut, Event, Hidden, Pause, Raw, Reply, Stall, Step, failure

KEY = "sk-ant-a-key-that-must-be-found-nowhere"
MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
WINDOW = 1_000_000  # tokens that a model reads


class Asked(msgspec.Struct, frozen=True):
    """One request for a message."""

    number: int  # from 1
    path: str
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]
    size: int  # bytes

    @property
    def said(self) -> str:
        """All text of its messages."""
        return "\n".join(_texts(self.body["messages"]))

    @property
    def question(self) -> str:
        """The text of its first message."""
        return "\n".join(_texts(self.body["messages"][:1]))

    @property
    def latest(self) -> str:
        """The text of its last message."""
        return "\n".join(_texts(self.body["messages"][-1:]))

    @property
    def failed(self) -> bool:
        """Whether a tool was refused just now."""
        content = self.body["messages"][-1]["content"]
        return any(isinstance(block, dict) and block.get("is_error") for block in content)

    @property
    def turns(self) -> int:
        """How often the model has answered in this conversation."""
        return sum(message["role"] == "assistant" for message in self.body["messages"])


Script = Callable[[Asked], Reply]


class Bill(msgspec.Struct, frozen=True):
    """What one request was charged, as its stream said."""

    model: str
    usage: dict[str, int]
    output_tokens: int
    is_whole: bool


class Server:
    """`with Server(script) as server:` serves at `server.url` until it is left."""

    def __init__(
        self, script: Script, *, now: Callable[[], float] = time.monotonic, strict: bool = True, keep: int = 0
    ) -> None:
        """`keep`: how many requests are remembered, the latest; 0: all."""
        self.script, self.strict, self._keep = script, strict, keep
        self._count = 0
        self.asked: list[Asked] = []
        self.bills: list[Bill] = []
        self.other: list[str] = []  # paths of requests that were not for a message
        self.refused: list[str] = []  # why requests were answered with 400
        self.cache = caching.Cache(now)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="scripted server", daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    # --- the thread ---

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 26)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other end has gone, or this server has
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        reply = self._reply(method, path.partition("?")[0], headers, content)
        await _send(reader, writer, reply, bool(content) and json.loads(content).get("stream") is True)

    def _reply(self, method: str, path: str, headers: dict[str, str], content: bytes) -> Reply:
        if not headers.get("x-api-key") and not headers.get("authorization"):
            return failure(401, "authentication_error", "x-api-key header is required")
        if method == "GET":
            self.other.append(path)
            return _models()
        body = json.loads(content)
        if path.endswith("/count_tokens"):
            self.other.append(path)
            return Reply(
                body=json.dumps({"input_tokens": sum(caching.tokens(b) for b, _ in caching.blocks(body))}).encode()
            )
        self._count += 1
        asked = Asked(self._count, path, headers, body, len(content))
        self.asked.append(asked)
        del self.asked[: -self._keep or 0]
        if self.strict and (why := caching.objection(body)):
            self.refused.append(why)
            return failure(400, "invalid_request_error", why)
        reply = self.script(asked)
        return self._billed(asked, reply) if reply.steps else reply

    def _billed(self, asked: Asked, reply: Reply) -> Reply:
        """The same with the usage of this request in it."""
        usage, model = self.cache.usage(asked.body), str(asked.body["model"])
        steps, written, whole = list[Step](), 0.0, False
        for step in reply.steps:
            data = step.data if isinstance(step, Event) else {}
            written += step.tokens if isinstance(step, Hidden) else _written(data)
            whole = whole or data.get("type") == "message_stop"
            if data.get("type") == "message_start":
                start = {**data["message"], "id": f"msg_{asked.number}", "model": model}
                data = {**data, "message": {**start, "usage": {**usage, "output_tokens": 1}}}
            if data.get("type") == "message_delta":
                data = {**data, "usage": {"output_tokens": max(1, int(written))}}
            if data.get("type") == "content_block_start" and data["content_block"].get("type") == "tool_use":
                block = data["content_block"]
                data = {**data, "content_block": {**block, "id": f"{block['id']}_{asked.number}"}}
            steps.append(Event(step.name, data) if isinstance(step, Event) else step)
        self.bills.append(Bill(model, usage, max(1, int(written)), whole))
        message = reply.message and {
            **reply.message,
            "id": f"msg_{asked.number}",
            "model": model,
            "usage": {**usage, "output_tokens": max(1, int(written))},
        }
        return msgspec.structs.replace(reply, steps=tuple(steps), message=message)


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply, streams: bool) -> None:
    if not reply.steps or (not streams and reply.message is not None):
        body = json.dumps(reply.message).encode() if reply.steps else reply.body
        headers = {"content-type": "application/json", **reply.headers, "content-length": str(len(body))}
        writer.write(_head(reply.status, headers) + body)
        await writer.drain()
        return
    writer.write(_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked", **reply.headers}))
    for step in reply.steps:
        match step:
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Cut():
                writer.transport.abort()
                return
            case Stall():
                await reader.read()
                return
            case Raw(content):
                writer.write(_chunk(content))
            case Event(name, data):
                writer.write(_chunk(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items()), "connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()


def _chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def _written(data: Mapping[str, Any]) -> float:
    delta = data.get("delta", {})
    pieces = (delta.get(name, "") for name in ("text", "thinking", "partial_json"))
    return sum(len(piece.encode()) for piece in pieces) / caching.BYTES


def _models() -> Reply:
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in MODELS
    ]
    body = {"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
    return Reply(body=json.dumps(body).encode())


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for each in value for text in _texts(each)]
        case dict():
            return [text for name in ("content", "text", "thinking") for text in _texts(value.get(name))]
    return []
