"""A booth: a window process behind a pseudo-terminal, with bounded bytes to it and from it. Knows no SSH.

What the process writes is only taken while whoever reads it keeps up; what is typed waits in a small buffer, and the
sender is told when it is full. Both hold up this window and nobody else's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from typing import Protocol

CHUNK = 65_536  # bytes taken at once
TYPED = 65_536  # bytes that wait to be typed, then the sender has to
SIZES_S = 0.05  # between two new sizes: a window that is dragged makes hundreds
BEHIND_S = 0.02  # between two looks at whether the reader has caught up
LAST_S = 2.0  # after the hang-up; then it is killed


class Reader(Protocol):
    """Who looks at it."""

    def show(self, data: bytes) -> None: ...

    def is_behind(self) -> bool:
        """Whether nothing more should come for now."""
        ...

    def hold_keys(self, hold: bool) -> None:
        """Type no more, or go on."""
        ...

    def ended(self, code: int) -> None: ...


class Booth:
    """Starts with `open`; ends with its process, or with `close`."""

    def __init__(self, reader: Reader, size: tuple[int, int]) -> None:
        self._reader, self._size = reader, size
        self._loop = asyncio.get_running_loop()
        self._master = -1
        self._typed = bytearray()
        self._held = False
        self._resizing: asyncio.TimerHandle | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def run(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """From the start of the process to its end; cancelled, it ends the process first."""
        self._master, slave = pty.openpty()
        try:
            self._set_size()
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=slave, stdout=slave, stderr=slave, env=dict(environ), cwd="/", start_new_session=True
            )
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)
        self._loop.add_reader(self._master, self._readable)
        try:
            code = await self._process.wait()
            self._drain()
            self._reader.ended(code if code >= 0 else 128 - code)
        finally:
            self._hang_up()
            await asyncio.shield(self._reap())

    # --- out ---

    def _readable(self) -> None:
        if self._reader.is_behind():
            self._loop.remove_reader(self._master)
            self._loop.call_later(BEHIND_S, self._look_again)
        elif data := self._taken():
            self._reader.show(data)
        else:
            self._loop.remove_reader(self._master)

    def _look_again(self) -> None:
        if self._master >= 0:
            self._loop.add_reader(self._master, self._readable)

    def _taken(self) -> bytes:
        """b"" at the end, which Linux tells as an error."""
        try:
            return os.read(self._master, CHUNK)
        except OSError:
            return b""

    def _drain(self) -> None:
        """Its last words: the terminal is given back by them. A pty holds some kilobytes, no more."""
        while self._master >= 0 and (data := self._taken()):
            self._reader.show(data)

    # --- in ---

    def type(self, data: bytes) -> None:
        """Bytes of the keyboard; more than fit make `hold_keys`."""
        if self._master < 0:
            return
        self._typed += data
        self._writable()

    def _writable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                del self._typed[: os.write(self._master, self._typed[:4096])]
            except BlockingIOError:
                raise
            except OSError:  # it is ending
                self._typed.clear()
        if self._typed:
            self._loop.add_writer(self._master, self._writable)
        else:
            self._loop.remove_writer(self._master)
        hold = len(self._typed) > TYPED
        if hold != self._held and (hold or len(self._typed) < TYPED // 2):
            self._held = hold
            self._reader.hold_keys(hold)

    # --- size ---

    def resize(self, size: tuple[int, int]) -> None:
        """The last of many counts."""
        self._size = size
        if self._resizing is None:
            self._resizing = self._loop.call_later(SIZES_S, self._set_size)

    def _set_size(self) -> None:
        self._resizing = None
        if self._master >= 0:
            columns, rows = self._size
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # --- the end ---

    def ask_to_leave(self) -> None:
        """The process gives the terminal back and ends; `run` returns then."""
        self._signal(signal.SIGTERM)

    def _hang_up(self) -> None:
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)
            os.close(self._master)
            self._master = -1
        if self._resizing is not None:
            self._resizing.cancel()

    async def _reap(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), LAST_S)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)  # asyncio's own way would take note of its end before asyncio does
