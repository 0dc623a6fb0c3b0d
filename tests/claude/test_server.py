"""The scripted server against the real client: what the other tests of this folder rest on."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from typing import Any

import pytest
from claude import caching, replies
from claude.replies import Reply, answer, text, thought, tool
from claude.server import KEY, Server

LONG = "x" * 8000  # enough to be cached
END: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}


async def ask(server: Server, *said: str, read_s: float = 2.0, **more: Any) -> Any:
    """The events of one stream and its final message, by the SDK alone."""
    import anthropic
    import httpx2

    blocks: list[Any] = [{"type": "text", "text": each} for each in said or ("Hello",)]
    blocks[0].update(END)
    timeout = httpx2.Timeout(read_s, connect=2.0)
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0, timeout=timeout) as client:
        wanted: dict[str, Any] = {"model": "claude-opus-5-5", "max_tokens": 1000, **more}
        async with client.messages.stream(messages=[{"role": "user", "content": blocks}], **wanted) as stream:
            kinds = [event.type async for event in stream]
            return kinds, await stream.get_final_message()


async def test_a_whole_answer_arrives_with_its_text_its_thoughts_and_its_tools() -> None:
    said = answer(thought("Hmm. " * 30), text("Let us see. " * 20), tool("note", {"text": "a" * 200}))
    with Server(lambda _: said) as server:
        kinds, message = await ask(server)
    assert kinds[-1] == "message_stop"
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert (message.content[0].signature, message.content[2].input) == ("signed", {"text": "a" * 200})
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens > 100
    assert server.asked[0].question == "Hello"


async def test_a_second_request_reads_from_the_cache_what_the_first_one_wrote() -> None:
    with Server(lambda _: answer(text("Yes."))) as server:
        _, first = await ask(server, LONG, "one")
        _, second = await ask(server, LONG, "another")
    written, read = first.usage.cache_creation_input_tokens, second.usage.cache_read_input_tokens
    assert written == read > 2000
    assert second.usage.cache_creation_input_tokens == 0
    assert 0 < second.usage.input_tokens < 100


def test_the_cache_forgets_after_five_minutes_and_misses_a_changed_byte() -> None:
    now = [0.0]
    cache = caching.Cache(lambda: now[0])

    def read(content: str) -> int:
        block = {"type": "text", "text": content, **END}
        body = {"model": "m", "messages": [{"role": "user", "content": [block, {"type": "text", "text": "?"}]}]}
        usage: dict[str, Any] = cache.usage(body)
        return int(usage["cache_read_input_tokens"])

    assert read(LONG) == 0
    now[0] = 299
    assert read(LONG) > 2000
    assert read(LONG + " ") == 0
    now[0] = 600
    assert read(LONG) == 0


async def test_every_spoilt_reply_reaches_the_client_as_it_was_meant() -> None:
    import anthropic
    import httpx2

    good = answer(text("Yes. " * 50), tool("note", {"title": "warmdown", "text": "a" * 90}))
    cases: list[tuple[Reply, type[BaseException]]] = [
        (replies.cut(good), httpx2.HTTPError),
        (replies.stalled(good), httpx2.ReadTimeout),
        (replies.broken_off(good), anthropic.APIStatusError),
        (replies.garbled(good), json.JSONDecodeError),
        (replies.failure(429, "rate_limit_error", "slowly", retry_after="3600"), anthropic.RateLimitError),
        (replies.failure(529, "overloaded_error", "later"), anthropic.APIStatusError),
        (replies.html(), anthropic.InternalServerError),
    ]
    for reply, error in cases:
        with Server(lambda _, reply=reply: reply) as server, pytest.raises(error):  # type: ignore[misc]
            await ask(server, read_s=0.3)
    with Server(lambda _: replies.ended_early(good)) as server:
        kinds, message = await ask(server)
        assert "message_stop" not in kinds
    with Server(lambda _: replies.cut_tool(good, 24)) as server:
        _, message = await ask(server)
        assert (message.content[1].input, message.stop_reason) == ({"title": "warmdown"}, "max_tokens")
    with Server(lambda _: replies.with_strangers(answer(text("Yes.")))) as server:
        assert (await ask(server))[1].content[0].text == "Yes."


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([{"role": "assistant", "content": "I"}], "first message"),
        ([{"role": "user", "content": " "}], "non-empty"),
        ([{"role": "user", "content": [{"type": "text", "text": "x", **END}] * 5}], "maximum of 4"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": [tool("a", {}, "t1")]}], "without an ans"),
        (
            [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": [tool("a", {}, "t1")]},
                {"role": "user", "content": "go on"},
            ],
            "without tool_result",
        ),
    ],
)
def test_what_the_real_service_refuses_is_refused(messages: list[Any], why: str) -> None:
    assert why in caching.objection({"model": "m", "max_tokens": 5, "messages": messages})


def test_random_requests_are_never_charged_less_or_more_than_they_hold() -> None:
    dice, cache = random.Random(1), caching.Cache(lambda: 0.0)
    for _ in range(200):
        parts = [{"type": "text", "text": "abc"[: dice.randint(1, 3)] * 2000} for _ in range(dice.randint(1, 6))]
        body = {"model": "m", "messages": [{"role": "user", "content": [p | dice.choice(({}, END)) for p in parts]}]}
        assert sum(cache.usage(body).values()) == sum(caching.tokens(block) for block, _ in caching.blocks(body))


def test_a_request_without_a_key_is_refused() -> None:
    with Server(lambda _: answer(text("Never."))) as server:
        body = json.dumps({"model": "m", "max_tokens": 1, "messages": []}).encode()
        request = urllib.request.Request(f"{server.url}/v1/messages", body)  # noqa: S310  a local address
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request)  # noqa: S310
    assert server.asked == []
