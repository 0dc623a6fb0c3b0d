"""One question to the researcher's model, from what it is shown to the plan it comes to: call, tools, call, … , plan.

Each question is a conversation of its own: what outlives it is in the state and in the notebook. What the operator says
meanwhile interrupts the call in flight and is said next. Everything that can go wrong with the model either is tried
again, visibly, or ends as `Unavailable`; who plans then is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from core.claude import budget, context, turns, urgent
from core.claude.calling import Caller, NoAnswer, Request
from core.claude.fences import clean
from core.claude.prices import price_of, worst
from core.claude.reading import Answer
from core.claude.settings import ClaudeSettings
from core.claude.tools import TOOLS, View
from core.claude.using import Tools
from core.clock import Clock
from core.researcher import Desk, Plan
from core.state import State
from core.thinking import Purpose

LEAST_TOKENS = 4000  # an answer that may be no longer is not worth its question
MISCOUNT = 1.05  # what is billed may be a little more than what was counted
NUDGES = 2  # to an agent that talks instead of using its tools
CUTS = 3  # times that a question which is too long is made shorter
LONGEST_WAIT_S = 60.0  # between two tries, unless the service asks for more
Block = Mapping[str, Any]
LAST = "This is your last answer to this question: call plan_wave or wait now."
NO_TOOL = (
    "Only tool calls do anything, and research goes on until its limits or its operator end it. "
    "Call plan_wave, or wait if running experiments must tell something first."
)
CUT_OFF = "You were cut off at the length limit of an answer. Be brief: call the tool now, with less in it if need be."


class Unavailable(Exception):  # noqa: N818  a state, not an error
    """No plan. `again_at`: before then it will not answer either.

    `is_final`: nor later, unless a person does something. `is_agent`: its model answers, and comes to no plan.
    """

    def __init__(
        self, reason: str, *, again_at: float | None = None, is_final: bool = False, is_agent: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason, self.again_at, self.is_final, self.is_agent = reason, again_at, is_final, is_agent


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. `shown(history_tokens, money)` gives the instructions, and the question with its history."""

    purpose: Purpose
    model: str
    shown: Callable[[int, str], tuple[Sequence[Block], Sequence[Block]]]
    view: Callable[[State], View]
    before_usd: float  # what the model had cost when the wave was asked for


class Conversation:
    """`patience_s`: how long it is tried again where trying again may help."""

    def __init__(
        self, subject: Subject, desk: Desk, caller: Caller, settings: ClaudeSettings, clock: Clock, patience_s: float
    ) -> None:
        self._subject, self._desk, self._caller, self._settings = subject, desk, caller, settings
        self._clock, self._until = clock, clock.now() + patience_s
        self._model, self._history_tokens = subject.model, settings.history_tokens
        self._heard = turns.steers(desk.state)  # they are in the question
        self._tools = Tools(desk, clock, subject.view)
        self._spent: Counter[str] = Counter()  # second chances, by kind
        self._begin()

    def _begin(self) -> None:
        """From the start, for another model or with a shorter history."""
        held = self._caps()
        self._deeds = self._desk.state.deeds
        self._is_warned = bool(budget.near(held))
        self._system, question = self._subject.shown(self._history_tokens, budget.notice(held))
        self._messages = [turns.opening(question)]

    async def plan(self) -> Plan:
        """Raises Unavailable."""
        for left in reversed(range(self._settings.max_turns)):
            if not left:
                turns.say(self._messages, LAST)
            answer = await self._answered()
            turns.echo(self._messages, answer)
            if answer.stop_reason == "pause_turn":
                continue
            if not answer.tools:
                self._nudge(answer)
                continue
            plan, results = await self._tools.use(answer)
            if plan is not None:
                return plan
            self._mind_failures()
            turns.reply(self._messages, results)
        raise Unavailable(f"it came to no plan in {self._settings.max_turns} answers", is_agent=True)

    def _nudge(self, answer: Answer) -> None:
        cut = answer.stop_reason == "max_tokens"
        if not cut and self._subject.purpose == "repair":
            raise Unavailable(clean(answer.text, 300) or "it gave no reason", is_agent=True)
        self._chance("cut" if cut else "talk", NUDGES, "its answers are too long" if cut else "it stopped using tools")
        turns.say(self._messages, CUT_OFF if cut else NO_TOOL)

    def _mind_failures(self) -> None:
        if repeated := self._tools.stuck():
            raise Unavailable(f"the same {repeated} failed again and again", is_agent=True)

    def _chance(self, kind: str, most: int, reason: str) -> None:
        """One more try of a kind. Raises Unavailable where there were enough."""
        self._spent[kind] += 1
        if self._spent[kind] > most:
            raise Unavailable(reason, is_agent=True)

    # --- one answer ---------------------------------------------------------------------------------------------------

    async def _answered(self) -> Answer:
        tries = 0
        while True:
            self._listen()
            try:
                answer = await self._unless_steered(await self._affordable())
            except NoAnswer as no:
                tries += 1
                await self._again(no, tries)
                continue
            if answer is None:
                continue
            if answer.stop_reason == "refusal":
                self._refused(answer)
            elif answer.stop_reason == "model_context_window_exceeded":
                self._shorten("the context window of its model is full")
            else:
                return answer

    def _listen(self) -> None:
        """What the operator has said since, and that money is short, are said before the next call."""
        now = turns.steers(self._desk.state)
        for note in now:
            if note not in self._heard:
                turns.say(self._messages, turns.steer(note))
        self._heard = now
        seen, self._deeds = self._deeds, self._desk.state.deeds
        for line in urgent.done(self._desk.state, [deed for deed in self._deeds if deed not in seen]):
            turns.say(self._messages, f"From the operator, just now: {line}")
        if not self._is_warned and budget.near(held := self._caps()):
            self._is_warned = True
            turns.say(self._messages, budget.notice(held))

    async def _unless_steered(self, request: Request) -> Answer | None:
        """None if the operator interrupted it."""
        heard = self._heard
        call = asyncio.create_task(self._caller.ask(self._desk, request), name="model call")
        steer = asyncio.create_task(self._steered(heard), name="steer")
        try:
            await asyncio.wait({call, steer}, return_when=asyncio.FIRST_COMPLETED)
            return call.result() if call.done() else None
        finally:
            call.cancel()
            steer.cancel()
            await asyncio.gather(call, steer, return_exceptions=True)

    async def _steered(self, heard: Sequence[object]) -> None:
        await self._desk.until(lambda state: any(note not in heard for note in turns.steers(state)))

    async def _again(self, no: NoAnswer, tries: int) -> None:
        """Waits until it is tried again, as a fact says. Raises Unavailable where that does not help or is too late."""
        now = self._clock.now()
        if no.fault == "too long":
            self._desk.record(no.told)
            self._shorten(no.told.error)
            return
        wait = max(no.after_s or 0.0, min(LONGEST_WAIT_S, 2.0 ** min(tries, 10)))
        if no.fault == "lasting" or now + wait > self._until:
            self._desk.record(no.told)
            is_asked = no.after_s is not None and no.fault == "passing"
            raise Unavailable(no.told.error, again_at=now + wait if is_asked else None, is_final=no.fault == "lasting")
        self._desk.record(msgspec.structs.replace(no.told, again_at=now + wait))
        await self._clock.sleep(wait)

    def _refused(self, answer: Answer) -> None:
        """Another model is asked, once."""
        other, kind = self._settings.fallback_model, answer.category or "no category"
        if not other or other == self._model or self._spent["fallback"]:
            raise Unavailable(f"its model refuses to help with this research ({kind})", is_final=True)
        self._spent["fallback"] += 1
        self._model = other
        self._begin()

    def _shorten(self, reason: str) -> None:
        self._chance("shorter", CUTS, reason)
        shown = sum(context.tokens(str(block.get("text", ""))) for block in self._messages[0]["content"])
        self._history_tokens = min(self._history_tokens, shown) // 2  # of a short history, half the limit is no less
        self._begin()

    # --- money --------------------------------------------------------------------------------------------------------

    def _caps(self) -> tuple[budget.Cap, ...]:
        state = self._desk.state
        return budget.caps(state, self._settings, self._clock.now(), state.model_usd - self._subject.before_usd)

    async def _affordable(self) -> Request:
        """The next request, no longer than its worst case may be. Raises Unavailable, naming the cap."""
        request = Request(
            model=self._model,
            system=self._system,
            messages=turns.sent(self._messages),
            tools=TOOLS,
            max_tokens=self._settings.max_tokens,
            purpose=self._subject.purpose,
        )
        price, held = price_of(self._model, self._settings.prices), self._caps()
        size = _bytes(request)  # no token is less than a byte
        if budget.exceeded(held, worst(price, size, request.max_tokens)) is None:
            return request
        size = min(size, await self._counted(request, size))
        afforded = int((budget.room(held) - worst(price, size, 0)) / worst(price, 0, 1)) if price.output else 0
        if afforded >= min(LEAST_TOKENS, request.max_tokens):
            return msgspec.structs.replace(request, max_tokens=min(request.max_tokens, afforded))
        cap = budget.exceeded(held, worst(price, size, LEAST_TOKENS)) or min(held, key=lambda each: each.left)
        raise Unavailable(cap.told(), again_at=cap.ends_at, is_final=cap.ends_at is None)

    async def _counted(self, request: Request, size: int) -> int:
        try:
            return int(await self._caller.count(request) * MISCOUNT) + 100
        except Exception:  # the client's, the network's: then the bound by bytes holds
            return size


def _bytes(request: Request) -> int:
    parts = [request.system, request.messages, request.tools]
    return len(json.dumps(parts, ensure_ascii=False).encode())
