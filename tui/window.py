"""Opens the control room: on a live session, starting its engine if none runs, or on a recording.

What the program needs before a screen can be drawn is done here: settings, theme, terminal. Imported lazily by the
commands, so that `--help` and `--no-ui` never load Textual.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from pathlib import Path
from typing import Any

from core import log, settings
from core.errors import AutoresearchError, WorkspaceError
from core.follower import Follower
from core.player import Player
from core.workspace import Workspace
from tui import engine_process
from tui.app import ControlRoom
from tui.driver import PacedDriver
from tui.preferences import Preferences, preferences
from tui.safe import line

IDLE_S = 10.0  # pauses of a recording are cut to this, in recorded seconds


class LiveRoom(ControlRoom):
    """Knows how to start the engine of its workspace."""

    def __init__(self, workspace: Path, flags: dict[str, Any], *, read_only: bool, chosen: Preferences) -> None:
        file = workspace / ".autoresearch" / log.FILE
        super().__init__(
            Follower(file),
            **_preferred(chosen),
            workspace=workspace.name,
            file=file,
            operator=operator(),
            read_only=read_only,
            driver_class=PacedDriver,
        )
        self._folder, self._flags = workspace, flags

    def on_mount(self) -> None:
        if not self._alive and not self.moment.read_only:
            self.start_engine()

    def start_engine(self) -> None:
        self.run_worker(self._start(), name="engine", exclusive=True, group="engine")

    async def _start(self) -> None:
        self.is_starting(True)
        try:
            await asyncio.to_thread(engine_process.start, self._folder, self._flags)
        except AutoresearchError as error:
            self.complain(str(error))
        finally:
            self.is_starting(False)


def operator() -> str:
    try:
        return line(getpass.getuser(), 40)
    except (KeyError, OSError):
        return "operator"


def run_control_room(workspace: Path, flags: dict[str, Any], *, read_only: bool = False) -> int:
    """Until it is left; returns the exit code. Raises AutoresearchError before anything is drawn."""
    settings.load(workspace, os.environ, flags)  # says what is wrong with them before the screen is taken
    chosen = preferences(os.environ)
    try:
        if not _is_known(workspace, read_only=read_only):
            Workspace.open(workspace)
    except WorkspaceError:
        if read_only:
            raise
        from tui.first_run import offer

        choice = offer(workspace, flags, chosen)
        if choice is None:
            return 0
        workspace, flags = choice.workspace, choice.flags
    folder = workspace.expanduser().resolve()
    return _run(LiveRoom(folder, flags, read_only=read_only, chosen=chosen))


def _is_known(workspace: Path, *, read_only: bool) -> bool:
    """Nothing needs to be checked where an engine runs, or where nobody will start one: nine calls of git are slow."""
    file = workspace.expanduser() / ".autoresearch" / log.FILE
    return log.is_held(file) or (read_only and file.exists())


def play_control_room(recording: Path, *, speed: float, idle_s: float = IDLE_S) -> int:
    chosen = preferences(os.environ)
    player = Player(recording, speed=speed, idle_s=idle_s, stays=True)
    return _run(
        ControlRoom(player, **_preferred(chosen), workspace=recording.name, read_only=True, driver_class=PacedDriver)
    )


def _preferred(chosen: Preferences) -> dict[str, Any]:
    if chosen.reduced_motion:
        os.environ["TEXTUAL_ANIMATIONS"] = "none"
    return {
        "looks": chosen.looks,
        "theme": chosen.theme,
        "keys": chosen.keys,
        "vim": chosen.vim,
        "complaints": chosen.complaints,
    }


def _run(app: ControlRoom) -> int:
    result = app.run()
    if app.farewell:
        print(app.farewell)
    return result if result is not None else (app.return_code or 0)
