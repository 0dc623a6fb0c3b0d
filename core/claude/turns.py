"""The messages of one conversation, as the service wants them: alternating, with breakpoints where caching pays.

A list of messages grows at its end only, so that what was cached stays a prefix. Knows no network and no tool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.claude.reading import Answer
from core.events import NoteAdded
from core.state import State

OURS = frozenset({"claude", "mcp"})  # whose notes are no operator's
Message = dict[str, Any]


class Result(msgspec.Struct, frozen=True):
    """What a tool answers."""

    id: str
    text: str
    is_error: bool = False


def opening(blocks: Sequence[Mapping[str, Any]]) -> Message:
    """The question; what changes least stands first in it."""
    return {"role": "user", "content": list(blocks)}


def echo(messages: list[Message], answer: Answer) -> None:
    """The model's own turn; a thought that was cut off before it was signed is not taken back."""
    blocks = [dict(block) for block in answer.blocks if block.get("type") != "thinking" or block.get("signature")]
    if any(block.get("type") not in ("thinking", "redacted_thinking") for block in blocks):
        messages.append({"role": "assistant", "content": blocks})


def reply(messages: list[Message], results: Sequence[Result]) -> None:
    content = [
        {"type": "tool_result", "tool_use_id": each.id, "content": each.text or "Done.", "is_error": each.is_error}
        for each in results
    ]
    messages.append({"role": "user", "content": content})


def say(messages: list[Message], text: str) -> None:
    """To the model, at the end; two turns of ours in a row are one."""
    if messages and messages[-1]["role"] == "user":
        messages[-1] = {**messages[-1], "content": [*messages[-1]["content"], _text(text)]}
    else:
        messages.append({"role": "user", "content": [_text(text)]})


def sent(messages: Sequence[Message]) -> list[Message]:
    """As they go out: what is there so far will be read again with the next answer's tools."""
    last = messages[-1]
    if len(messages) < 2 or last["role"] != "user":
        return list(messages)
    *before, end = last["content"]
    return [*messages[:-1], {**last, "content": [*before, {**end, **CACHED}]}]


def steers(state: State) -> tuple[NoteAdded, ...]:
    """What operators have said, the oldest first."""
    return tuple(note for note in state.notes if note.by not in OURS)


def steer(note: NoteAdded) -> str:
    return f"The operator ({note.by}) says, just now: {note.text}"


CACHED: Mapping[str, Any] = {"cache_control": {"type": "ephemeral"}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
