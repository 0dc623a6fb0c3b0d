"""The researcher that is somebody else's program: its waves come in as commands, and are answered in their order.

What is offered was checked where it was planned and is checked here again, because anybody who may write the session's
file may offer a wave. It knows no protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import msgspec

from core.claude.conversation import Unavailable
from core.claude.planning import rechecked
from core.clock import Clock
from core.commands import OUTSIDE
from core.researcher import Desk, Plan
from core.state import State

NOBODY = "no client has planned a wave; connect one with `autoresearch-tui mcp`"


class OutsideResearcher:
    """`allowed`: modules that its edits may import."""

    name = OUTSIDE

    def __init__(self, clock: Clock, allowed: Collection[str] = ()) -> None:
        self._clock, self._allowed = clock, frozenset(allowed)
        self._desk: Desk | None = None

    def sit(self, desk: Desk) -> None:
        self._desk = desk

    async def propose(self, state: State, slots: int) -> Plan:
        return await self.plan(state, slots, patience_s=float("inf"))

    async def plan(self, state: State, slots: int, *, patience_s: float) -> Plan:
        """The oldest wave that was offered; waits for one unless there is no patience. Raises Unavailable."""
        assert self._desk is not None, "the engine gives it a desk before it asks"  # noqa: S101
        if not self._desk.state.offered and patience_s <= 0:
            raise Unavailable(NOBODY, again_at=self._clock.now())
        await self._desk.until(lambda now: bool(now.offered))
        offer = self._desk.state.offered[0]
        with self._clock.working():
            plan = await asyncio.to_thread(rechecked, offer.plan, state.sources[state.baseline], self._allowed)
        return msgspec.structs.replace(plan, by=self.name, wait_s=0.0)
