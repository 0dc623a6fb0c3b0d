"""A researcher whose answers take time: for simulated sessions, where thinking would take none."""

from __future__ import annotations

from core.clock import Clock
from core.researcher import Plan, Researcher
from core.state import State


class Delayed:
    """Decides on the state as it is when asked, and answers `seconds` of the clock later."""

    def __init__(self, researcher: Researcher, clock: Clock, seconds: float) -> None:
        self.name = researcher.name
        self._researcher, self._clock, self._seconds = researcher, clock, seconds

    async def propose(self, state: State, slots: int) -> Plan:
        asked = self._clock.now()
        with self._clock.working():
            plan = await self._researcher.propose(state, slots)
        await self._clock.sleep(self._seconds - (self._clock.now() - asked))
        return plan
