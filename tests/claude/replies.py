"""What a scripted model answers: the events of the Messages API's stream, whole or spoilt in every way that is known.

Builders of replies only: who sends them, and what they cost in tokens, is known elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

PIECE = 60  # characters of text or JSON per event


class Event(msgspec.Struct, frozen=True):
    """One server-sent event; the server fills in the usage."""

    name: str
    data: dict[str, Any]


class Raw(msgspec.Struct, frozen=True):
    """Sent as it is."""

    content: bytes


class Pause(msgspec.Struct, frozen=True):
    seconds: float  # of real time


class Cut(msgspec.Struct, frozen=True):
    """The connection breaks."""


class Stall(msgspec.Struct, frozen=True):
    """Nothing more comes, and the connection stays open until its other end closes it."""


class Hidden(msgspec.Struct, frozen=True):
    """Tokens that are billed though nothing of them is sent: a thought of which only a summary is shown."""

    tokens: int


Step = Event | Raw | Pause | Cut | Stall | Hidden


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Either a stream of `steps`, ended cleanly if nothing else is said, or a `body` at once."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b""
    steps: tuple[Step, ...] = ()
    message: dict[str, Any] | None = None  # the same as the steps, for whoever does not stream


# --- blocks -----------------------------------------------------------------------------------------------------------


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def thought(content: str, signature: str = "signed") -> dict[str, Any]:
    return {"type": "thinking", "thinking": content, "signature": signature}


def tool(name: str, arguments: Mapping[str, Any], id: str = "") -> dict[str, Any]:  # noqa: A002  the API's word
    return {"type": "tool_use", "id": id, "name": name, "input": dict(arguments)}


# --- replies ----------------------------------------------------------------------------------------------------------


def answer(*blocks: Mapping[str, Any], stop: str = "", details: Mapping[str, Any] | None = None) -> Reply:
    """A whole answer; it stops for its tools, or at its end."""
    named = [_named(block, place) for place, block in enumerate(blocks)]
    why = stop or ("tool_use" if any(block["type"] == "tool_use" for block in named) else "end_turn")
    ending = {"stop_reason": why, "stop_sequence": None, **({"stop_details": dict(details)} if details else {})}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": named, **ending}
    start = {**message, "content": [], "stop_reason": None}
    steps = (
        Event("message_start", {"type": "message_start", "message": start}),
        Event("ping", {"type": "ping"}),
        *(event for place, block in enumerate(named) for event in _events(place, block)),
        Event("message_delta", {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 1}}),
        Event("message_stop", {"type": "message_stop"}),
    )
    return Reply(steps=steps, message=message)


def refusal(category: str | None = "frontier_llm", *blocks: Mapping[str, Any]) -> Reply:
    details = {"type": "refusal", "category": category, "explanation": "It may help to build a competing model."}
    return answer(*blocks, stop="refusal", details=details)


def failure(status: int, kind: str, message: str, **headers: str) -> Reply:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=json.dumps(body).encode())


def html(status: int = 502) -> Reply:
    page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    return Reply(status=status, headers={"content-type": "text/html"}, body=page)


def _named(block: Mapping[str, Any], place: int) -> dict[str, Any]:
    return {**block, "id": block["id"] or f"toolu_{place}"} if block["type"] == "tool_use" else dict(block)


def _events(place: int, block: dict[str, Any]) -> Iterator[Event]:
    empty = {**block, **{name: value for name, value in EMPTY.items() if name in block}}
    yield Event("content_block_start", {"type": "content_block_start", "index": place, "content_block": empty})
    for delta in _deltas(block):
        yield Event("content_block_delta", {"type": "content_block_delta", "index": place, "delta": delta})
    yield Event("content_block_stop", {"type": "content_block_stop", "index": place})


EMPTY: dict[str, Any] = {"text": "", "thinking": "", "signature": "", "input": {}}


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            yield from ({"type": "text_delta", "text": piece} for piece in _pieces(block["text"]))
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"]))
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            pieces = ["", *_pieces(json.dumps(block["input"]))]
            yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)


def _pieces(content: str) -> Sequence[str]:
    return [content[i : i + PIECE] for i in range(0, len(content), PIECE)]


# --- spoilt -----------------------------------------------------------------------------------------------------------


def thinking_in_silence(reply: Reply, tokens: int) -> Reply:
    """Before its first block."""
    before = _before(reply, "content_block_start")
    return msgspec.structs.replace(reply, steps=(*before, Hidden(tokens), *reply.steps[len(before) :]))


def _before(reply: Reply, name: str) -> tuple[Step, ...]:
    """What comes before the first event of this name."""
    names = [step.name if isinstance(step, Event) else "" for step in reply.steps]
    return reply.steps[: names.index(name)]


def cut(reply: Reply, before: str = "message_delta") -> Reply:
    return Reply(steps=(*_before(reply, before), Cut()))


def stalled(reply: Reply, before: str = "message_delta") -> Reply:
    return Reply(steps=(*_before(reply, before), Stall()))


def ended_early(reply: Reply, before: str = "message_stop") -> Reply:
    """The stream ends cleanly, though its last event is missing."""
    return Reply(steps=_before(reply, before))


def broken_off(reply: Reply, kind: str = "overloaded_error", before: str = "message_delta") -> Reply:
    """A 200 whose stream says that something went wrong."""
    data = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    return Reply(steps=(*_before(reply, before), Event("error", data)))


def garbled(reply: Reply) -> Reply:
    """One line is no JSON."""
    line = Raw(b'event: content_block_delta\ndata: {"type": "content_block_del\n\n')
    return Reply(steps=(*_before(reply, "message_delta"), line))


def slow(reply: Reply, seconds: float) -> Reply:
    """A pause before each event."""
    return Reply(steps=tuple(each for step in reply.steps for each in (Pause(seconds), step)))


def cut_tool(reply: Reply, keep: int, stop: str = "max_tokens") -> Reply:
    """Only the first `keep` characters of each tool's JSON arrive, and the stream says that it is whole."""
    left = keep
    steps: list[Step] = []
    for step in reply.steps:
        if isinstance(step, Event) and step.data.get("delta", {}).get("type") == "input_json_delta":
            piece = step.data["delta"]["partial_json"][: max(0, left)]
            left -= len(piece)
            steps.append(Event(step.name, {**step.data, "delta": {**step.data["delta"], "partial_json": piece}}))
        elif isinstance(step, Event) and step.name == "message_delta":
            steps.append(Event(step.name, {**step.data, "delta": {"stop_reason": stop, "stop_sequence": None}}))
        else:
            steps.append(step)
    return Reply(steps=tuple(steps))


def with_strangers(reply: Reply) -> Reply:
    """An event and a block that no client of today knows."""
    before = _before(reply, "message_delta")
    place = sum(isinstance(step, Event) and step.name == "content_block_start" for step in before)
    block = {"type": "hologram", "payload": {"x": 1}}
    strangers = (
        Event("telemetry", {"type": "telemetry", "value": 1}),
        Event("content_block_start", {"type": "content_block_start", "index": place, "content_block": block}),
        Event("content_block_stop", {"type": "content_block_stop", "index": place}),
    )
    return msgspec.structs.replace(reply, steps=(*before, *strangers, *reply.steps[len(before) :]))
