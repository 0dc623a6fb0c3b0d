"""Control rooms for tests: on a state that stands still, with the commands that were sent kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from core.commands import Command
from core.events import Fact
from core.feed import Update
from core.fold import fold
from core.state import State
from themes.loader import built_in
from tui.app import ControlRoom
from tui.looks import Looks
from tui.moment import Moment


class Still:
    """A feed that yields one update; `tell` yields more. `sent` are the commands."""

    live = True

    def __init__(self, facts: Sequence[Fact] = ()) -> None:
        self.sent: list[Command] = []
        self.state = State()
        self._facts = list(facts)

    async def updates(self) -> AsyncIterator[Update]:
        self.state = fold(self.state, self._facts)
        yield Update(self._facts, self.state)

    def dispatch(self, command: Command) -> int:
        self.sent.append(command)
        return len(self.sent)


class Room(ControlRoom):
    """Its engine lives or not as the test says, and its clock stands."""

    def __init__(self, facts: Sequence[Fact], *, alive: bool = True, **app: Any) -> None:
        self.still = Still(facts)
        super().__init__(
            self.still, {name: Looks(theme) for name, theme in built_in().items()}, workspace="/home/ada/gpt", **app
        )
        self._alive = alive

    def _check_engine(self) -> None:
        pass

    def _look(self) -> Moment:
        found = super()._look()
        return msgspec.structs.replace(found, now=found.state.at)
