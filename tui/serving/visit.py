"""One channel of one guest: a request for a window becomes a booth, any other request a sentence. Knows asyncssh.

A visit never runs what a client asks for: no shell, no command, no file transfer. Bytes go both ways between the
channel and the booth, and neither side is ever further ahead than a fixed number of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import asyncssh

from tui.serving.booth import Booth
from tui.serving.guest import Guest, size

MOST_BEHIND = 65_536  # bytes on their way to a client, beyond what its own window lets pass
LEAVE_S = 6.0  # for a window that was asked to leave
CLOSED = 1  # exit status of a visit that was refused
_ANSWERS = re.compile(rb"\x1b\[\d+;\d+R")  # of the terminal, behind every frame: no sign of a person

REFUSED = {
    "command": "this is a control room and runs no commands: connect without one",
    "subsystem": "this is a control room: there are no files to fetch or put here",
    "no terminal": "the control room needs a terminal: connect with `ssh -t`",
}


class Host(Protocol):
    """What a visit needs of the service."""

    def opens(self, guest: Guest) -> str: ...
    def closes(self, guest: Guest, seconds: float, why: str) -> None: ...
    def refused(self, guest: Guest, reason: str) -> None: ...
    def window(self, guest: Guest, sent: Mapping[str, str], terminal: str) -> tuple[list[str], dict[str, str]]:
        """Its command and its environment."""
        ...

    def backlog(self) -> int:
        """Bytes that wait in the connection."""
        ...


class Visit(asyncssh.SSHServerSession[bytes]):
    """`start` runs a coroutine as long as the service lives."""

    def __init__(self, host: Host, guest: Guest, start: Callable[..., asyncio.Task[None]]) -> None:
        self.guest = guest
        self.active_at = time.monotonic()
        self.hints: list[str] = []  # sentences for the guest before the window opens
        self._host, self._start = host, start
        self._chan: asyncssh.SSHServerChannel[bytes]
        self._terminal: tuple[str, tuple[int, int]] | None = None
        self._why_not = ""
        self._booth: Booth | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_full = False
        self._why_left = ""
        self.is_over = False

    @property
    def is_open(self) -> bool:
        """Whether there is a window."""
        return self._task is not None and not self.is_over

    # --- what is asked for ---

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan
        chan.set_write_buffer_limits(high=MOST_BEHIND)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], _: Mapping[int, int]) -> bool:
        self._terminal = (term_type, size(*term_size[:2]))
        return True

    def shell_requested(self) -> bool:
        self._why_not = "" if self._terminal else REFUSED["no terminal"]
        return True

    def exec_requested(self, command: str) -> bool:
        self._why_not = REFUSED["command"]
        return True  # to say so; it is not run

    def subsystem_requested(self, subsystem: str) -> bool:
        self._why_not = REFUSED["subsystem"]
        return True

    def session_started(self) -> None:
        if self._why_not:
            self._host.refused(self.guest, self._why_not)
        elif why_not := self._host.opens(self.guest):
            self._why_not = why_not
        if self._why_not or self._terminal is None:
            self._say(f"autoresearch-tui: refused: {self._why_not}.")
            self.ended(CLOSED)
            return
        for hint in self.hints:
            self._say(f"autoresearch-tui: {hint}.")
        self._task = self._start(self._watch(*self._terminal), name=f"window of {self.guest.name}")

    async def _watch(self, terminal: str, at_first: tuple[int, int]) -> None:
        begun = time.monotonic()
        try:
            self._booth = Booth(self, at_first)
            sent = {_text(name): _text(value) for name, value in self._chan.get_environment_bytes().items()}
            await self._booth.run(*self._host.window(self.guest, sent, terminal))
        except OSError as error:
            self._why_left = f"no window could be opened: {error.strerror}"
            self.ended(CLOSED)
        finally:
            self.is_over = True
            self._host.closes(self.guest, time.monotonic() - begun, self._why_left)

    # --- between the channel and the booth ---

    def data_received(self, data: bytes, _: Any) -> None:
        if _ANSWERS.sub(b"", data):
            self.active_at = time.monotonic()
        if self._booth is not None:
            self._booth.type(data)

    def terminal_size_changed(self, width: int, height: int, _pixwidth: int, _pixheight: int) -> None:
        if self._booth is not None:
            self._booth.resize(size(width, height))
        elif self._terminal is not None:
            self._terminal = (self._terminal[0], size(width, height))

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False

    def show(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the channel is closing
            self._chan.write(data)

    def is_behind(self) -> bool:
        return self._is_full or self._host.backlog() > MOST_BEHIND

    def hold_keys(self, hold: bool) -> None:
        (self._chan.pause_reading if hold else self._chan.resume_reading)()

    def ended(self, code: int) -> None:
        self.is_over = True
        if self._why_left:
            self._say(f"autoresearch-tui: {self._why_left}.")
        with contextlib.suppress(OSError):
            self._chan.exit(min(code, 255))

    # --- the end ---

    def leave(self, why: str) -> None:
        """The window gives the terminal back; `why` is told to the guest and in the journal."""
        if self._why_left or self._booth is None or self._task is None:
            return
        self._why_left = why
        self._booth.ask_to_leave()
        asyncio.get_running_loop().call_later(LEAVE_S, self._task.cancel)

    def break_received(self, msec: int) -> bool:
        return False

    def signal_received(self, signal: str) -> None:
        """A client may not send signals: every key it needs is a byte."""

    def eof_received(self) -> bool:
        return True  # it may be a pipe that ended; the connection says when the guest is gone

    def connection_lost(self, exc: Exception | None) -> None:
        self._why_left = self._why_left or ("the connection was lost" if exc else "")
        self.is_over = self._task is None
        if self._task is not None:
            self._task.cancel()

    def _say(self, sentence: str) -> None:
        with contextlib.suppress(OSError):
            self._chan.write_stderr(f"{sentence}\r\n".encode())


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace")
