"""Asking the researcher: what it answers becomes facts, and so does that it failed. It sits at the engine's desk.

Knows nothing of runs. Whatever a researcher raises is recorded; it never ends the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from core import commands, waves
from core import events as ev
from core.clock import Clock
from core.errors import Refused, ResearcherFailed
from core.ids import CommandId
from core.researcher import Plan, Researcher, Talking
from core.state import State
from core.thinking import ThinkingFact

MAX_FAILURES = 5  # of the researcher in a row


def backoff_s(failures: int) -> float:
    """How long to wait before a researcher that failed so often in a row is asked again."""
    return float(min(60.0, 2.0**failures))


class Recorder(Protocol):
    """What is needed of the engine."""

    @property
    def state(self) -> State: ...

    def record(self, *facts: ev.Known) -> object: ...

    def wake(self) -> None: ...


class Consulting:
    """`is_asking` from the question to the last fact of its answer; `is_checking` while ideas are checked."""

    def __init__(self, engine: Recorder, researcher: Researcher, clock: Clock) -> None:
        self._engine, self._researcher, self._clock = engine, researcher, clock
        self.is_asking = self.is_checking = False
        self._waiting: list[tuple[Callable[[State], bool], asyncio.Future[None]]] = []
        if isinstance(researcher, Talking):
            researcher.sit(self)

    async def ask(self, slots: int, on_disk: Awaitable[None]) -> None:
        """One answer, from the question that is recorded already to its last fact."""
        await on_disk
        if self.state.failures:
            await self._clock.sleep(backoff_s(self.state.failures))
        state = self.state
        try:
            plan = await self._researcher.propose(state, slots)
            await self._answered(state, plan)
        except ResearcherFailed as error:
            self._failed(str(error), fatal=True)
        except Exception as error:  # whatever a researcher raises becomes a fact
            self._failed(f"{type(error).__name__}: {error}", fatal=False)
        finally:
            self.is_asking = self.is_checking = False
            self._engine.wake()

    async def _answered(self, asked: State, plan: Plan) -> None:
        now = self._clock.now
        if plan.wait_s > 0 and not plan.ideas:
            self._engine.record(ev.ResearcherWaits(at=now(), reason=plan.reason, until=now() + plan.wait_s))
            return
        by = plan.by or self._researcher.name
        facts = waves.proposals(self.state, plan, parent=asked.baseline, by=by, at=0.0)
        proposed = 0
        self.is_checking = True
        while fact := await asyncio.to_thread(next, facts, None):
            self._engine.record(msgspec.structs.replace(fact, at=now()))
            proposed += isinstance(fact, ev.ExperimentProposed)
        if not proposed:
            self._failed(f"nothing new was proposed: {plan.reason}", fatal=not plan.ideas)

    def _failed(self, reason: str, *, fatal: bool) -> None:
        fatal = fatal or self.state.failures + 1 >= MAX_FAILURES
        self._engine.record(ev.ResearchFailed(at=self._clock.now(), reason=reason, fatal=fatal))

    # --- the desk ---

    @property
    def state(self) -> State:
        return self._engine.state

    def record(self, *facts: ThinkingFact) -> None:
        self._engine.record(*facts)

    def command(self, wish: commands.Command) -> str:
        stamped: Any = msgspec.structs.replace(wish, at=self._clock.now(), id=wish.id or CommandId(""))
        try:
            self._engine.record(*commands.decide(self.state, stamped))
        except Refused as no:
            return str(no)
        return ""

    async def until(self, ready: Callable[[State], bool]) -> None:
        if ready(self.state):
            return
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (ready, news)
        self._waiting.append(entry)
        try:
            await news
        finally:
            self._waiting = [each for each in self._waiting if each is not entry]

    def changed(self) -> None:
        """The state is another: whoever waited for it goes on."""
        for ready, news in self._waiting:
            if not news.done() and ready(self.state):
                news.set_result(None)
