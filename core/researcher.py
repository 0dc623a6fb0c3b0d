"""The seam between thinking and doing: what a researcher sees and what it answers.

A researcher proposes; it launches, judges and commits nothing. One answer is a wave of many experiments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from core.commands import Command
from core.ideas import Idea as Idea
from core.ideas import Plan as Plan
from core.state import State
from core.thinking import ThinkingFact


class Researcher(Protocol):
    name: str

    async def propose(self, state: State, slots: int) -> Plan:
        """The next wave from `state.baseline`; `slots` experiments would fill the GPUs, more are welcome.

        Raises ResearcherFailed if it never can answer again; any other exception is tried again later.
        """
        ...


class Desk(Protocol):
    """Where a researcher sits while it thinks: what it may see and do beyond answering."""

    @property
    def state(self) -> State:
        """As it is now; that of `propose` is as it was when asked."""
        ...

    def record(self, *facts: ThinkingFact) -> None:
        """Into the log, at the time of the facts."""
        ...

    def command(self, wish: Command) -> str:
        """Carried out as an operator's would be; "" for done, else a sentence that says why not."""
        ...

    async def until(self, ready: Callable[[State], bool]) -> None:
        """Returns once `ready` holds of the state."""
        ...


@runtime_checkable
class Talking(Protocol):
    """A researcher that wants a desk; the engine gives it one before it asks."""

    def sit(self, desk: Desk) -> None: ...


@runtime_checkable
class Closable(Protocol):
    """A researcher that holds a connection; the session lets it go in the end."""

    async def close(self) -> None: ...
