"""The seam between thinking and doing: what a researcher sees and what it answers.

A researcher proposes; it launches, judges and commits nothing. One answer is a wave of many experiments.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from core.design import Design
from core.patch import Change
from core.state import State


class Idea(msgspec.Struct, frozen=True, kw_only=True):
    """One change to the baseline's train.py. `cell` names the level of each factor if it belongs to a design."""

    title: str
    change: Change
    hypothesis: str = ""
    cell: dict[str, str] = {}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A wave as its researcher wants it. No ideas: there is nothing left to try."""

    reason: str
    ideas: tuple[Idea, ...]
    design: Design | None = None


class Researcher(Protocol):
    name: str

    async def propose(self, state: State, slots: int) -> Plan:
        """The next wave from `state.baseline`; `slots` experiments would fill the GPUs, more are welcome.

        Raises ResearcherFailed if it never can answer again; any other exception is tried again later.
        """
        ...
