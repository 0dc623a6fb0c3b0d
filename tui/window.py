"""Opens the control room: on a live session, starting its engine if none runs, or on a recording.

What the program needs before a screen can be drawn is done here: settings, theme, terminal. Imported lazily by the
commands, so that `--help` and `--no-ui` never load Textual.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
from pathlib import Path
from typing import Any

import msgspec

from core import log, presence, settings
from core.errors import AutoresearchError, WorkspaceError
from core.follower import Follower
from core.player import Player
from core.workspace import Workspace
from tui import engine_process
from tui.actions import BY_ID
from tui.app import ControlRoom
from tui.driver import PacedDriver
from tui.keys import key_of
from tui.moment import Moment
from tui.preferences import Preferences, preferences
from tui.safe import line
from tui.shell import session_file


class LiveRoom(ControlRoom):
    """Knows how to start the engine of its workspace, and whether the session's file is still there."""

    feed: Follower

    def __init__(
        self, workspace: Path, flags: dict[str, Any], *, read_only: bool, chosen: Preferences, guest: str = ""
    ) -> None:
        """`guest`: the name of who looks from elsewhere, through `serve`; there is no shell behind that window."""
        file = workspace / ".autoresearch" / log.FILE
        super().__init__(
            Follower(file, is_read_only=read_only),
            **_preferred(chosen),
            workspace=workspace.name,
            file=file,
            operator=guest or operator(),
            read_only=read_only,
            driver_class=PacedDriver,
        )
        self._folder, self._flags = workspace, flags
        self.guest = guest
        self._is_gone = False
        self._watchers: tuple[presence.Watcher, ...] = ()
        self._presence = presence.Presence(file, presence.Watcher(self.moment.operator, may_act=not read_only))

    def on_mount(self) -> None:
        self._check_engine()
        if not self._alive and not self.moment.read_only and not self.guest:
            self.start_engine()

    def on_unmount(self) -> None:
        self._presence.leave()

    def action_suspend_process(self) -> None:
        if self.guest:
            self.notify(f"There is no shell behind this window; {key_of(BY_ID['leave'], self.keys)} leaves it.")
            return
        super().action_suspend_process()

    def goodbye(self) -> str:
        if self.guest:
            return "Research goes on." if self.is_alive else "No engine runs."
        again = f"`autoresearch-tui -C {shlex.quote(str(self._folder))}`"
        return f"Research goes on; {again} opens it again." if self.is_alive else f"No engine runs; {again} starts it."

    def start_engine(self) -> None:
        if self.feed.is_gone:
            self.complain(f"The session's file is gone: put {self.file} back, or leave and come back to begin anew.")
            return
        self.run_worker(self._start(), name="engine", exclusive=True, group="engine")

    def _look(self) -> Moment:
        return msgspec.structs.replace(super()._look(), is_gone=self._is_gone, watchers=self._watchers)

    def _check_engine(self) -> None:
        super()._check_engine()
        gone = self.feed.is_gone
        if gone != self._is_gone:
            self._is_gone, self._dirty = gone, True
        self._presence.announce()
        watchers = presence.watchers(self._presence.session)
        if watchers != self._watchers:
            self._watchers, self._dirty = watchers, True

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
        if read_only or not _is_writable(workspace):
            raise
        from tui.first_run import offer

        choice = offer(workspace, flags, chosen)
        if choice is None:
            return 0
        workspace, flags = choice.workspace, choice.flags
    folder = workspace.expanduser().resolve()
    return _run(LiveRoom(folder, flags, read_only=read_only, chosen=chosen))


def run_for_guest(workspace: Path, flags: dict[str, Any], guest: str, *, read_only: bool) -> int:
    """The same for somebody who has no shell here: starts no session and makes no workspace."""
    settings.load(workspace, os.environ, flags)
    if not session_file(workspace).exists():
        raise WorkspaceError("There is no session here yet: somebody has to start one with `autoresearch-tui --no-ui`.")
    chosen = preferences(os.environ)
    return _run(LiveRoom(workspace, flags, read_only=read_only, chosen=chosen, guest=line(guest, 40)))


def _is_known(workspace: Path, *, read_only: bool) -> bool:
    """Nothing needs to be checked where an engine runs, or where nobody will start one: nine calls of git are slow."""
    file = workspace.expanduser() / ".autoresearch" / log.FILE
    return log.is_held(file) or (read_only and file.exists())


def _is_writable(workspace: Path) -> bool:
    """Whether a workspace could be made of it; a folder that is not there may be."""
    folder = workspace.expanduser()
    return not folder.exists() or os.access(folder, os.W_OK)


def play_control_room(recording: Path, *, speed: float, idle_s: float) -> int:
    """`idle_s`: pauses are cut to this, in recorded seconds."""
    chosen = preferences(os.environ)
    player = Player(recording, speed=speed, idle_s=idle_s, stays=True)
    return _run(
        ControlRoom(player, **_preferred(chosen), workspace=recording.name, read_only=True, driver_class=PacedDriver)
    )


def _preferred(chosen: Preferences) -> dict[str, Any]:
    return {
        "looks": chosen.looks,
        "theme": chosen.theme,
        "keys": chosen.keys,
        "vim": chosen.vim,
        "reduced_motion": chosen.reduced_motion,
        "complaints": chosen.complaints,
    }


def _run(app: ControlRoom) -> int:
    result = app.run()
    if app.farewell:
        print(app.farewell)
    return result if result is not None else (app.return_code or 0)
