"""From the events of one streamed answer to the answer: text, thoughts and tool calls, and what it was billed.

An answer is whole only if its last event was seen. The arguments of a tool are parsed here, strictly: JSON that was cut
off is never taken for a smaller call. Knows no network, no clock and no tool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from core.state import Usage


class ToolCall(msgspec.Struct, frozen=True):
    """`problem`: why its arguments cannot be used."""

    id: str
    name: str
    arguments: dict[str, Any]
    problem: str = ""


class Answer(msgspec.Struct, frozen=True):
    """One whole answer; `blocks` is what is sent back as the model's own turn."""

    call: int
    model: str
    stop_reason: str
    blocks: tuple[dict[str, Any], ...]
    tools: tuple[ToolCall, ...]
    category: str = ""  # of a refusal
    explanation: str = ""

    @property
    def text(self) -> str:
        return "\n".join(block["text"] for block in self.blocks if block.get("type") == "text")


class Reading:
    """Feed it the events in order. `usage` is what was billed as far as has been told."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.stop_reason = ""
        self.is_whole = self._has_begun = False
        self.is_sent = False  # a request is on its way, or was, and nobody has said that it costs nothing
        self.hour_tokens = 0  # of those written to the cache
        self.heard = 0  # bytes of text, thoughts and arguments so far
        self._details: Mapping[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._json: dict[int, str] = {}
        self._closed: set[int] = set()

    def feed(self, event: Mapping[str, Any]) -> tuple[str, bool]:
        """What was said with it, and whether that is a thought. Kinds that are not known say nothing."""
        place = event.get("index", -1)
        match event.get("type"):
            case "message_start":
                self._has_begun = True
                self._bill((event.get("message") or {}).get("usage"))
            case "content_block_start":
                self._blocks[place] = _plain(event.get("content_block") or {})
                self._json[place] = ""
                return self._blocks[place].get("text", ""), False
            case "content_block_delta" if place in self._blocks:
                return self._grow(place, event.get("delta") or {})
            case "content_block_stop":
                self._closed.add(place)
            case "message_delta":
                delta = event.get("delta") or {}
                self.stop_reason = str(delta.get("stop_reason") or self.stop_reason)
                self._details = delta.get("stop_details") or self._details
                self._bill(event.get("usage"))
            case "message_stop":
                self.is_whole = True
        return "", False

    def _grow(self, place: int, delta: Mapping[str, Any]) -> tuple[str, bool]:
        block, kind = self._blocks[place], delta.get("type")
        grown = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}.get(str(kind))
        if kind == "signature_delta":
            block["signature"] = str(delta.get("signature") or "")
        if grown is None:
            return "", False
        piece = str(delta.get(grown) or "")
        self.heard += len(piece.encode())
        if grown == "partial_json":
            self._json[place] += piece
            return "", False
        block[grown] = block.get(grown, "") + piece
        return piece, grown == "thinking"

    def _bill(self, told: Mapping[str, Any] | None) -> None:
        """Counts are cumulative; those that are left out stay."""
        names = {
            "input_tokens": "input_tokens",
            "cache_read_input_tokens": "cache_read_tokens",
            "cache_creation_input_tokens": "cache_write_tokens",
            "output_tokens": "output_tokens",
        }
        counts: dict[str, Any] = {ours: told[its] for its, ours in names.items() if told and told.get(its) is not None}
        self.usage = msgspec.structs.replace(self.usage, **counts)
        written = (told or {}).get("cache_creation") or {}
        self.hour_tokens = int(written.get("ephemeral_1h_input_tokens") or self.hour_tokens)

    def bounded(self, unheard: int, asked: int = 0) -> Usage:
        """What was billed at most if the answer was cut off: a token that was heard is a byte at least.

        `unheard`: tokens that may have been thought without a word of it; `asked`: those of the question at most.
        """
        if self.is_sent and not self._has_begun:
            return msgspec.structs.replace(self.usage, cache_write_tokens=asked, output_tokens=unheard)
        if not self._has_begun or self.stop_reason:
            return self.usage
        return msgspec.structs.replace(self.usage, output_tokens=max(self.usage.output_tokens, self.heard + unheard))

    def answer(self, call: int, model: str) -> Answer:
        """Of a whole reading. A tool call in which writing was stopped has a problem, however well it parses."""
        places = sorted(self._blocks)
        tools = tuple(self._tool(place) for place in places if self._blocks[place].get("type") == "tool_use")
        by_id = {tool.id: tool for tool in tools}
        stopped = self.stop_reason in ("max_tokens", "model_context_window_exceeded", "refusal")
        if stopped and places and self._blocks[places[-1]].get("type") == "tool_use":
            last = by_id[str(self._blocks[places[-1]].get("id"))]
            by_id[last.id] = msgspec.structs.replace(last, problem="you were cut off while you wrote it")
        blocks = tuple(self._echo(place, by_id) for place in places if not _is_empty(self._blocks[place]))
        return Answer(
            call=call,
            model=model,
            stop_reason=self.stop_reason,
            blocks=blocks,
            tools=tuple(by_id[tool.id] for tool in tools),
            category=str(self._details.get("category") or ""),
            explanation=str(self._details.get("explanation") or ""),
        )

    def _tool(self, place: int) -> ToolCall:
        block, text = self._blocks[place], self._json[place]
        name, number = str(block.get("name")), str(block.get("id"))
        try:
            given = json.loads(text) if text else block.get("input") or {}
        except (ValueError, RecursionError):
            return ToolCall(number, name, {}, "its arguments are not valid JSON")
        if not isinstance(given, dict):
            return ToolCall(number, name, {}, "its arguments are not a JSON object")
        return ToolCall(number, name, given, "" if place in self._closed else "its arguments are not complete")

    def _echo(self, place: int, tools: Mapping[str, ToolCall]) -> dict[str, Any]:
        block = self._blocks[place]
        if block.get("type") != "tool_use":
            return block
        tool = tools[str(block.get("id"))]
        return {"type": "tool_use", "id": tool.id, "name": tool.name, "input": tool.arguments}


def _plain(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}


def _is_empty(block: Mapping[str, Any]) -> bool:
    """The service refuses to be sent a text without content."""
    return block.get("type") == "text" and not str(block.get("text", "")).strip()
