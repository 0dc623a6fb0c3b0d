"""A real terminal for tests: a program in a pseudo-terminal, its bytes read at a chosen rate, its questions answered.

Answers to cursor reports come when the bytes are read, as in a terminal at the far end of a slow line. `screen` is what
a person would see.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence

from screen import Screen

QUESTION = b"\x1b[6n"
_CONTROLLED = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Glass:
    """`rate`: bytes per second that it takes, None for all; `answers`: whether it answers cursor reports."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: tuple[int, int] = (80, 24),
        rate: float | None = None,
        answers: bool = True,
        environ: dict[str, str] | None = None,
        draws: bool = True,
        cwd: str | None = None,
    ) -> None:
        self.rate, self.answers = rate, answers
        self.read_bytes = 0
        self.frames = 0  # cursor reports asked for: one behind each frame
        self.last = b""  # the end of what was read
        self.draws = draws
        self._screen = Screen(*size)
        self._tail = b""
        self._next_read = 0.0
        self.master, self.slave = pty.openpty()
        self.resize(*size)
        self.modes = termios.tcgetattr(self.slave)
        env = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLED, *command],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True, cwd=cwd,
            env=env | {"HOME": os.environ.get("HOME", "/"), "PYTHONPATH": os.pathsep.join(sys.path)} | (environ or {}),
        )  # fmt: skip

    def __enter__(self) -> Glass:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        for number in (self.master, self.slave):
            if number >= 0:
                os.close(number)
        self.master = self.slave = -1

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(columns, lines)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, seconds: float = 0.02) -> bytes:
        """What comes within `seconds`, once; b"" if nothing, or nothing yet at this rate."""
        now = time.monotonic()
        if self._next_read > now:
            time.sleep(min(seconds, self._next_read - now))
            return b""
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self.master, 65536 if self.rate is None else 1024)
        except OSError:  # the last of the other side was closed
            return b""
        if self.rate is not None:
            self._next_read = max(self._next_read, now - 0.05) + len(data) / self.rate
        self._take(data)
        return data

    def _take(self, data: bytes) -> None:
        self.read_bytes += len(data)
        self.last = (self.last + data)[-4000:]
        asked = (self._tail + data).count(QUESTION)
        self._tail = (self._tail + data)[-(len(QUESTION) - 1) :]
        self.frames += asked
        if self.answers and asked:
            os.write(self.master, b"\x1b[1;1R" * asked)
        if self.draws:
            self._screen.feed(data)

    @property
    def text(self) -> str:
        return self._screen.text

    def line(self, y: int) -> str:
        """One line of the screen; quicker than `text`."""
        return self._screen.line(y)

    def grounds(self, x: int) -> list[str]:
        """The background colours of a column, from the top: "rrggbb" or a name."""
        return self._screen.grounds(x)

    def wait(self, until: Callable[[str], bool], seconds: float = 10.0) -> float:
        """Reads until the screen is as asked for; how long that took. AssertionError with the screen if it never is."""
        start = time.monotonic()
        while not until(self.text):
            assert time.monotonic() - start < seconds, f"after {seconds} s the screen is:\n{self.text}"
            self.read()
        return time.monotonic() - start

    def read_for(self, seconds: float) -> int:
        """Bytes that came."""
        before, end = self.read_bytes, time.monotonic() + seconds
        while time.monotonic() < end:
            self.read()
        return self.read_bytes - before

    def ended(self, seconds: float = 10.0) -> int:
        """Its exit code, once it has ended and all it wrote has been read."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it did not end; the screen is:\n{self.text}"
            self.read() if self.master >= 0 else time.sleep(0.02)
        while self.master >= 0 and self.read():
            pass
        return self.process.wait()

    def hang_up(self) -> None:
        """The terminal goes away."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1
