"""What a window looks through, live or played back: updates of the state, and a way to hand in commands.

`core.follower` follows the log of a session, `core.player` plays a recording. A slow reader skips states, never queues
them: every update holds all facts since the one before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from core.commands import Command
from core.events import Fact
from core.state import State


class Update(msgspec.Struct, frozen=True):
    facts: Sequence[Fact]  # since the update before; may be empty
    state: State
    loading: float | None = None  # share of the past that is read, 0 to 1; None: all of it
    jumped: bool = False  # `state` does not follow from the state before: somebody sought, or the file is another


class Feed(Protocol):
    live: bool

    def updates(self) -> AsyncIterator[Update]: ...

    def dispatch(self, command: Command) -> int:
        """Hands the command to the engine; returns its number. Raises Refused where nobody listens."""
        ...
