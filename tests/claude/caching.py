"""What a request costs in tokens, prompt caching included, and what the real service would refuse of it.

Tokens are counted as bytes over `BYTES`: near enough for shares and sums. As in the real service, the prefix of tools,
system and messages up to a breakpoint is written to the cache, is found again by equality for five minutes, or an
hour if so wished, after its last use, up to 20 blocks before a breakpoint, and is not kept where it is shorter than
`LEAST`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

BYTES = 3.6  # of JSON per token
LEAST = 1024  # tokens of a prefix that is cached
LIFE_S = {"5m": 300.0, "1h": 3600.0}
LOOK_BACK = 20  # blocks
MOST_BREAKPOINTS = 4


def tokens(value: Any) -> int:
    return int(len(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()) / BYTES) + 1


def blocks(body: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], float]]:
    """All blocks of a request in the order of its prefix, each with the life of its breakpoint; 0 if it is none."""
    system = body.get("system", [])
    parts = [*body.get("tools", []), *([{"type": "text", "text": system}] if isinstance(system, str) else system)]
    for message in body["messages"]:
        content = message["content"]
        inside = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts += [{"role": message["role"], **block} for block in inside]
    for block in parts:
        yield {name: value for name, value in block.items() if name != "cache_control"}, _life(block)


def _life(block: Mapping[str, Any]) -> float:
    control = block.get("cache_control")
    return LIFE_S[control.get("ttl", "5m")] if control else 0.0


class Cache:
    """`now`: seconds, by the clock that the cache ages by."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._until: dict[str, float] = {}
        self._life: dict[str, float] = {}

    def usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Of this request, which is then in the cache up to its last breakpoint."""
        running = hashlib.sha256(str(body["model"]).encode())
        keys, sums, ends, total = list[str](), list[int](), dict[int, float](), 0
        for place, (block, life) in enumerate(blocks(body)):
            running.update(json.dumps(block, ensure_ascii=False).encode())  # bytes decide, not meaning
            total += tokens(block)
            keys.append(running.hexdigest())
            sums.append(total)
            if life:
                ends[place] = life
        found = self._found(keys, list(ends))
        written = max((sums[end] for end in ends if sums[end] >= LEAST), default=0)
        for end, life in ends.items():
            if sums[end] >= LEAST:
                self._life[keys[end]] = life
                self._until[keys[end]] = self.now() + life
        read = sums[found] if found is not None else 0
        fresh = max(0, written - read)
        hour = max((sums[end] - read for end, life in ends.items() if life > 300 and sums[end] >= LEAST), default=0)
        told: dict[str, Any] = {"cache_creation": {"ephemeral_1h_input_tokens": hour}} if hour > 0 else {}
        return told | {
            "input_tokens": total - read - fresh,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": fresh,
        }

    def _found(self, keys: list[str], ends: list[int]) -> int | None:
        for end in reversed(ends):
            for place in range(end, max(-1, end - LOOK_BACK), -1):
                if self._until.get(keys[place], -1.0) >= self.now():
                    self._until[keys[place]] = self.now() + self._life[keys[place]]
                    return place
        return None


def objection(body: Mapping[str, Any]) -> str:
    """Why the service would answer 400; "" if it would not."""
    try:
        return next(_objections(body), "")
    except (KeyError, TypeError, AttributeError) as error:
        return f"malformed request: {error!r}"


def _objections(body: Mapping[str, Any]) -> Iterator[str]:
    messages = body["messages"]
    for name in ("model", "max_tokens"):
        if not body.get(name):
            yield f"{name}: field required"
    for name in ("temperature", "top_p", "top_k"):
        if name in body:
            yield f"{name}: extra inputs are not permitted"
    if not messages or messages[0]["role"] != "user":
        yield "messages: first message must use the user role"
    if sum(life > 0 for _, life in blocks(body)) > MOST_BREAKPOINTS:
        yield f"a maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided"
    for block, life in blocks(body):
        if block.get("type") == "text" and not block["text"].strip():
            yield "messages: text content blocks must be non-empty"
        if life and block.get("type") == "thinking":
            yield "cache_control cannot be set on thinking blocks"
    yield from _unpaired(messages)


def _unpaired(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Each tool call is answered by the message after it, and nothing else is."""
    called: set[str] = set()
    for message in messages:
        content = message["content"] if isinstance(message["content"], list) else []
        answered = {block["tool_use_id"] for block in content if block["type"] == "tool_result"}
        if called - answered:
            yield f"tool_use ids were found without tool_result blocks immediately after: {sorted(called - answered)}"
        if answered - called:
            yield f"unexpected tool_use_id found in tool_result blocks: {sorted(answered - called)}"
        called = {block["id"] for block in content if block["type"] == "tool_use"}
        if len(called) < sum(block["type"] == "tool_use" for block in content):
            yield "tool_use ids must be unique"
    if called:
        yield "the last message leaves tool calls without an answer"
