"""One tiny real call to every model that the settings name: does it answer, how fast, and for how much?

Asks nothing about research and records nothing; for `doctor`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from core.claude.calling import Caller, NoAnswer, Request
from core.claude.settings import ClaudeSettings
from core.clock import SystemClock
from core.commands import Command
from core.state import State
from core.thinking import ModelCalled, ThinkingFact

TOKENS = 1024  # enough to think and say one word
QUESTION = "Answer with the word ready."


class Trial(msgspec.Struct, frozen=True):
    model: str
    is_good: bool
    found: str
    remedy: str = ""


class _Paper:
    """A desk on which only the last call is remembered."""

    def __init__(self) -> None:
        self.state = State()
        self.called: ModelCalled | None = None

    def record(self, *facts: ThinkingFact) -> None:
        self.called = next((fact for fact in facts if isinstance(fact, ModelCalled)), self.called)

    def command(self, wish: Command) -> str:
        return f"Nothing is carried out here: {wish}."

    async def until(self, ready: Callable[[State], bool]) -> None:
        del ready  # nothing happens here


async def trials(settings: ClaudeSettings, keys: Mapping[str, str] = os.environ) -> AsyncIterator[Trial]:
    caller = Caller(settings, SystemClock(), keys)
    try:
        for model in settings.models:
            yield await _trial(caller, model)
    finally:
        await caller.close()


async def _trial(caller: Caller, model: str) -> Trial:
    desk = _Paper()
    messages = [{"role": "user", "content": QUESTION}]
    request = Request(model=model, system=[], messages=messages, tools=[], max_tokens=TOKENS, purpose="check")
    try:
        answer = await caller.ask(desk, request)
    except NoAnswer as no:
        return Trial(model, False, f"{model}: {no.told.error}", await _remedy(caller, no.told.error))
    told = desk.called
    assert told is not None  # noqa: S101  every answer is told
    if answer.stop_reason == "refusal":
        return Trial(
            model, False, f"{model}: {told.error}", "Set another model in the table [claude] of autoresearch.toml."
        )
    return Trial(model, True, f"{model} answered in {told.seconds:.1f} s for ${told.usd:.4f}")


async def _remedy(caller: Caller, error: str) -> str:
    if "no such model" in error:
        try:
            return f"There are {', '.join(await caller.models())}."
        except Exception:  # it was a question too many: the first error says enough
            return "Set claude.model to one that your account has."
    return (
        "Correct what it says; the researcher claude is asked again from time to time, `designed` stands in meanwhile."
    )
