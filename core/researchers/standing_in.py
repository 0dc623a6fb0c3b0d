"""Keeps a session going while its researcher cannot plan: another one answers, and says so, until it is back.

The first is asked again with every question, though not before the time that its service named, or that patience
suggests. Knows neither models nor statistics.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

import msgspec

from core.claude.conversation import Unavailable
from core.clock import Clock
from core.errors import ResearcherFailed
from core.researcher import Closable, Desk, Plan, Researcher
from core.state import State
from core.thinking import ModelCalled, StandInAsked

FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 3600.0  # until it is asked again, twice as long after each failure
FINAL_WAIT_S = 1800.0  # the first of these, where only a person can mend it
IDLE_S = 300.0  # where the stand-in has nothing left to try


class Principal(Protocol):
    """The researcher whose place may be taken."""

    name: str

    def sit(self, desk: Desk) -> None: ...

    async def plan(self, state: State, slots: int, *, patience_s: float) -> Plan:
        """Raises core.claude.conversation.Unavailable."""
        ...


class StandingIn:
    """`after_s`: how long a plan may take."""

    def __init__(self, principal: Principal, stand_in: Researcher, clock: Clock, after_s: float) -> None:
        self.name = principal.name
        self._principal, self._stand_in, self._clock, self._after_s = principal, stand_in, clock, after_s
        self._desk: Desk | None = None
        self._again_at, self._failures, self._reason = -math.inf, 0, ""
        self._notes: int | None = None  # there were, when only a person could mend it

    def sit(self, desk: Desk) -> None:
        self._desk = desk
        self._principal.sit(desk)

    async def close(self) -> None:
        if isinstance(self._principal, Closable):
            await self._principal.close()

    async def propose(self, state: State, slots: int) -> Plan:
        if self._clock.now() < self._again_at and not self._is_prompted():
            return await self._instead(state, slots)
        try:
            plan = await self._in_time(state, slots)
        except Unavailable as no:
            self._put_off(no)
            return await self._instead(state, slots)
        self._back()
        return plan

    async def _in_time(self, state: State, slots: int) -> Plan:
        """While another stands in, one try is enough to know."""
        patience_s = 0.0 if self._reason else self._after_s
        asked = asyncio.create_task(self._principal.plan(state, slots, patience_s=patience_s), name="principal")
        late = asyncio.create_task(self._clock.sleep(self._after_s), name="patience")
        try:
            await asyncio.wait({asked, late}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            raise Unavailable(f"it had no plan after {self._after_s:.0f} s{self._why(state)}")
        except (Unavailable, ResearcherFailed, asyncio.CancelledError):
            raise
        except Exception as error:  # whatever a researcher raises, the session goes on
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        finally:
            asked.cancel()
            late.cancel()
            await asyncio.gather(asked, late, return_exceptions=True)

    def _why(self, asked: State) -> str:
        """What went wrong last since it was asked, if its model did not answer."""
        calls = [fact for fact in (self._desk.state if self._desk else asked).talk if isinstance(fact, ModelCalled)]
        latest = calls[-1] if calls and calls[-1].call > asked.calls else None
        return f": {latest.error}" if latest is not None and latest.error else ""

    def _put_off(self, no: Unavailable) -> None:
        now = self._clock.now()
        first = FINAL_WAIT_S if no.is_final else FIRST_WAIT_S
        wait = min(LONGEST_WAIT_S, first * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._notes = len(self._desk.state.notes) if no.is_final and self._desk is not None else None
        self._again_at = no.again_at if no.again_at is not None else now + wait
        if self._desk is not None and (no.reason != self._reason or not self._desk.state.stand_in):
            self._desk.record(StandInAsked(at=now, stand_in=self._stand_in.name, reason=no.reason))
        self._reason = no.reason

    def _is_prompted(self) -> bool:
        """Somebody has said something since, perhaps because it is mended."""
        return self._desk is not None and self._notes is not None and len(self._desk.state.notes) > self._notes

    def _back(self) -> None:
        self._again_at, self._failures, self._reason = -math.inf, 0, ""
        if self._desk is not None and self._desk.state.stand_in:
            now = self._clock.now()
            self._desk.record(StandInAsked(at=now, stand_in="", reason=f"{self.name} answers again"))

    async def _instead(self, state: State, slots: int) -> Plan:
        """Nothing left to try is no end: the one whose place it takes may come back."""
        with self._clock.working():
            plan = await self._stand_in.propose(state, slots)
        if not plan.ideas and not plan.wait_s:
            wait = min(IDLE_S, max(1.0, self._again_at - self._clock.now()))
            return Plan(reason=plan.reason, ideas=(), wait_s=wait)
        return msgspec.structs.replace(plan, by=self._stand_in.name)
