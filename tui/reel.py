"""Plays a recording to a control room that no terminal shows, frame by frame: for pictures and films of it.

Time does not run: it is told. So a picture is the same however slow the machine. Knows no file formats.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from textual.pilot import Pilot

from core import events as ev
from core.errors import AutoresearchError, UsageError
from core.feed import Update
from core.fold import fold
from core.ids import ExperimentId
from core.player import Player
from tui.app import ControlRoom
from tui.preferences import preferences

Size = tuple[int, int]  # columns, rows
LOOK_EVERY_S = 0.5
AT_ONCE = 5_000  # facts per update


class ScreenBroke(AutoresearchError):  # noqa: N818
    pass


class Reel(Player):
    """A player that plays to where it is told, and no further."""

    def __init__(self, path: Path, *, idle_s: float = 60.0) -> None:
        super().__init__(path, idle_s=idle_s, stays=True)
        self._until = 0
        self._told, self._shown = asyncio.Event(), asyncio.Event()

    def _now(self) -> float:
        return self._head

    async def updates(self) -> AsyncIterator[Update]:
        yield Update((), self.state)
        while True:
            await self._told.wait()
            self._told.clear()
            while self.state.seq < self._until:
                facts = self._tape.facts(self.state.seq, min(self._until, self.state.seq + AT_ONCE))
                self.state = fold(self.state, facts)
                self._settle()
                yield Update(facts, self.state)
            self._shown.set()

    async def turn_to(self, position: int) -> None:
        """Plays on to `position`; returns when the room has taken it in."""
        self._shown.clear()
        self._until = min(position, self.length)
        self._told.set()
        await self._shown.wait()

    def moment_of(self, name: ExperimentId) -> int:
        """The position right after its verdict, or else the last that is said of it. Raises UsageError."""
        found = 0
        for position, fact in enumerate(self._tape.facts(0, self.length), start=1):
            if getattr(fact, "experiment", None) == name:
                found = position
                if isinstance(fact, ev.ExperimentJudged | ev.ExperimentVetoed | ev.DuplicateFound):
                    return found
        if not found:
            raise UsageError(f"There is no experiment {name} in this session; --at takes one such as e12, or 80%.")
        return found


@asynccontextmanager
async def staged(reel: Reel, size: Size, theme: str | None) -> AsyncIterator[Pilot[int]]:
    """The control room in front of `reel`, which is loaded. Raises UsageError for a theme that there is not."""
    chosen = preferences(os.environ, encoding="utf-8")
    if theme is not None and theme not in chosen.looks:
        raise UsageError(f"There is no theme {theme!r}; there are {', '.join(chosen.looks)}.")
    room = ControlRoom(
        reel,
        chosen.looks,
        theme=theme or chosen.theme,
        workspace=reel.recording.path.name,
        read_only=True,
        reduced_motion=True,
    )
    async with room.run_test(size=size) as pilot:
        yield pilot


async def frame(reel: Reel, pilot: Pilot[int], position: int) -> None:
    """What happened up to `position` is on the screen when this returns."""
    turning = asyncio.create_task(reel.turn_to(position), name="turning")
    while not (await asyncio.wait((turning,), timeout=LOOK_EVERY_S))[0]:
        if not pilot.app.is_running:  # it broke; why is raised when it is left
            turning.cancel()
            raise ScreenBroke("The screen broke off while the picture was taken.")
    cast(ControlRoom, pilot.app).show_now()
    await pilot.pause()
