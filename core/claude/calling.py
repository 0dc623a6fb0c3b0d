"""One request to a model, by the official client: streamed, timed, and every way to fail told apart.

Nothing is retried in here, and an answer counts only once its last event was seen. Keys go to the client and nowhere
else. It does not know what is asked for, nor what it may cost.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.claude.failures import Fault, Incomplete, classify, was_turned_away
from core.claude.keys import scrubbed
from core.claude.prices import cost, price_of
from core.claude.reading import Answer, Reading
from core.claude.settings import ClaudeSettings
from core.clock import Clock
from core.errors import AutoresearchError
from core.researcher import Desk
from core.thinking import ModelCalled, Purpose, ResearcherSaid

CONNECT_S = 15.0
FASTEST = 300  # tokens that a model writes in a second, at most
SAY_EVERY_S = 1.0  # of the session's clock, at most
SAY_AT_ONCE = 8000  # characters
MAX_REASON = 400  # characters of an error that are recorded


class Request(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    system: Sequence[Mapping[str, Any]]
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    max_tokens: int
    purpose: Purpose = "plan"


class NoAnswer(AutoresearchError):  # noqa: N818  reads as the sentence it is
    """`told` is the fact to record. `after_s`: how long the service asked to be left alone."""

    def __init__(self, told: ModelCalled, fault: Fault, after_s: float | None) -> None:
        super().__init__(told.error)
        self.told, self.fault, self.after_s = told, fault, after_s


class Caller:
    """Asks models for one session, with keys by the names of their variables.

    `latency_s`: what an answer takes of a simulated session's time.
    """

    def __init__(
        self, settings: ClaudeSettings, clock: Clock, keys: Mapping[str, str], *, latency_s: float = 0.0
    ) -> None:
        self._settings, self._clock, self._keys, self._latency_s = settings, clock, keys, latency_s
        self._client: Any = None

    async def ask(self, desk: Desk, request: Request) -> Answer:
        """The answer; what is said is recorded as it comes, and what it cost at the end, even if it is cancelled.

        Raises NoAnswer, whose fact is not recorded yet: whoever tries again knows when.
        """
        call, began, reading = desk.state.calls + 1, self._clock.now(), Reading()
        speech = _Speech(desk, self._clock, call)
        try:
            with self._clock.working():
                await self._connected()
            began = self._clock.now()  # the client's own start is no time of the model's
            await self._clock.sleep(self._latency_s)
            with self._clock.working():
                async with asyncio.timeout(self._settings.answer_s):
                    await self._stream(request, reading, speech)
        except asyncio.CancelledError:
            speech.flush()
            desk.record(self._told(call, request, began, reading, error="it was interrupted"))
            raise
        except Exception as error:  # the client's, the network's, the service's: all become a fact
            speech.flush()
            reading.is_sent = reading.is_sent and not was_turned_away(error)
            fault, after_s, reason = classify(error)
            reason = self._clean(reason)
            raise NoAnswer(self._told(call, request, began, reading, error=reason), fault, after_s) from error
        speech.flush()
        answer = reading.answer(call, request.model)
        told = self._told(call, request, began, reading)
        if answer.stop_reason == "refusal":
            why = f"it refuses ({answer.category or 'no category'}): {answer.explanation or 'no reason given'}"
            told = msgspec.structs.replace(told, error=self._clean(why))
        desk.record(told)
        return answer

    async def count(self, request: Request) -> int:
        """Input tokens as the service counts them, which costs nothing. Raises whatever the client raises."""
        with self._clock.working():
            client = await self._connected()
            async with asyncio.timeout(self._settings.silence_s):
                counted = await client.messages.count_tokens(
                    model=request.model,
                    system=list(request.system),
                    messages=list(request.messages),
                    tools=list(request.tools),
                    **self._manner(),
                )
        return int(counted.input_tokens)

    async def models(self) -> list[str]:
        """Names that may be set. Raises whatever the client raises."""
        client = await self._connected()
        async with asyncio.timeout(self._settings.silence_s):
            return [model.id async for model in client.models.list(limit=100)]

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _stream(self, request: Request, reading: Reading, speech: _Speech) -> None:
        client = await self._connected()
        reading.is_sent = True
        stream = await client.messages.create(
            model=request.model,
            system=list(request.system),
            messages=list(request.messages),
            **({"tools": list(request.tools)} if request.tools else {}),
            max_tokens=request.max_tokens,
            stream=True,
            **self._manner(),
        )
        async with stream:
            async for event in stream:
                speech.add(*reading.feed(event.to_dict(mode="json", warnings=False)))
        if not reading.is_whole or not reading.stop_reason:
            raise Incomplete("the answer ended before its end")

    def _manner(self) -> dict[str, Any]:
        """How it is to think; what is empty is left to the model."""
        manner: dict[str, Any] = {}
        if self._settings.thinking == "adaptive":
            manner["thinking"] = {"type": "adaptive", "display": "summarized"}
        elif self._settings.thinking:
            manner["thinking"] = {"type": self._settings.thinking}
        if self._settings.effort:
            manner["output_config"] = {"effort": self._settings.effort}
        return manner

    async def _connected(self) -> Any:
        if self._client is None:
            await asyncio.to_thread(importlib.import_module, "anthropic")  # takes most of a second
            self._client = connect(self._settings, self._keys)
        return self._client

    def _unheard(self, seconds: float) -> int:
        """Tokens of thought of which nothing is shown; no model thinks faster."""
        return 0 if self._settings.thinking == "disabled" else int(FASTEST * seconds)

    def _clean(self, reason: str) -> str:
        return scrubbed(reason, {**os.environ, **self._keys})[:MAX_REASON]

    def _told(self, call: int, request: Request, began: float, reading: Reading, error: str = "") -> ModelCalled:
        now = self._clock.now()
        usage = reading.bounded(self._unheard(now - began), _most_tokens(request)) if error else reading.usage
        usage = msgspec.structs.replace(usage, output_tokens=min(usage.output_tokens, request.max_tokens))
        return ModelCalled(
            at=now,
            call=call,
            model=request.model,
            purpose=request.purpose,
            stop_reason="" if error else reading.stop_reason,
            seconds=round(now - began, 3),
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            usd=cost(price_of(request.model, self._settings.prices), usage, reading.hour_tokens),
            error=error,
        )


def _most_tokens(request: Request) -> int:
    """That it may have: no tokenizer makes one of less than two bytes on average."""
    return len(json.dumps([request.system, request.messages, request.tools], ensure_ascii=False).encode()) // 2


def connect(settings: ClaudeSettings, keys: Mapping[str, str]) -> Any:
    """The official client of the provider, with no retries of its own. Raises what that client raises.

    What `keys` does not have, the client looks for where it always does.
    """
    import anthropic
    import httpx2

    limits = httpx2.Timeout(settings.silence_s, connect=min(CONNECT_S, settings.silence_s))
    common: dict[str, Any] = {"max_retries": 0, "timeout": limits}
    if settings.base_url:
        common["base_url"] = settings.base_url
    match settings.provider:
        case "bedrock":
            region: dict[str, Any] = {"aws_region": settings.region} if settings.region else {}
            return anthropic.AsyncAnthropicBedrock(api_key=keys.get("AWS_BEARER_TOKEN_BEDROCK"), **region, **common)
        case "vertex":
            places = {"region": settings.region, "project_id": settings.project}
            given: dict[str, Any] = {name: text for name, text in places.items() if text}
            return anthropic.AsyncAnthropicVertex(**given, **common)
        case _:
            known = {"api_key": keys.get("ANTHROPIC_API_KEY"), "auth_token": keys.get("ANTHROPIC_AUTH_TOKEN")}
            given = {name: key for name, key in known.items() if key}
            return anthropic.AsyncAnthropic(**dict(list(given.items())[:1]), **common)


class _Speech:
    """What is said, recorded in pieces: at most one a second, each all thought or all answer."""

    def __init__(self, desk: Desk, clock: Clock, call: int) -> None:
        self._desk, self._clock, self._call = desk, clock, call
        self._text, self._is_thought, self._last = "", False, clock.now()

    def add(self, text: str, is_thought: bool) -> None:
        if not text:
            return
        if is_thought != self._is_thought:
            self.flush()
            self._is_thought = is_thought
        self._text += text
        if self._clock.now() - self._last >= SAY_EVERY_S:
            self.flush()

    def flush(self) -> None:
        self._last = self._clock.now()
        text, self._text = self._text, ""
        for start in range(0, len(text), SAY_AT_ONCE):
            piece = text[start : start + SAY_AT_ONCE]
            self._desk.record(ResearcherSaid(at=self._last, call=self._call, text=piece, is_thought=self._is_thought))
