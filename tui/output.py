"""Bytes to a terminal from a thread of its own, so that a terminal that stops reading never stops the program.

What waits is bounded: beyond that, new text is dropped and `lost` says so. Knows nothing of frames and widgets.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable

MOST = 1 << 20  # bytes that wait; more than any screen
CHUNK = 4096
LOW = 4096  # waiting bytes at which a terminal has caught up
POLL_S = 0.25


class Output:
    """Writes to `fileno` as it takes bytes. Its thread calls `caught_up` when little waits, `gone` when it closes."""

    def __init__(self, fileno: int, encoding: str, caught_up: Callable[[], None], gone: Callable[[], None]) -> None:
        self.lost = False  # something was dropped since `keep_up` was last asked
        self._encoding = encoding
        self._caught_up, self._gone = caught_up, gone
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._behind = False
        self._dead = False
        self._closing = False
        self._changed = threading.Condition(threading.Lock())
        self._file, self._owned = _own_description(fileno)
        self._thread = threading.Thread(target=self._run, name="terminal-output", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def write(self, text: str) -> None:
        data = text.encode(self._encoding, "replace")
        with self._changed:
            if self._dead or not data:
                return
            if self._size + len(data) > MOST:
                self.lost = True
                return
            self._waiting.append(data)
            self._size += len(data)
            self._behind = self._behind or self._size > LOW
            self._changed.notify_all()

    def drop(self) -> None:
        """Forgets what waits, but not the text that has begun to go out: no escape sequence is cut."""
        with self._changed:
            while len(self._waiting) > 1:
                self._size -= len(self._waiting.pop())

    def drain(self, seconds: float) -> bool:
        """Waits until all is written; False if it was not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting or self._dead, seconds) and not self._dead

    def close(self, seconds: float = 0.5) -> None:
        """Waits a little for the rest; a terminal that does not read loses it."""
        self.drain(seconds)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(2 * POLL_S)
        if self._owned and not self._thread.is_alive():
            os.close(self._file)

    def _run(self) -> None:
        while (data := self._next()) is not None:
            try:
                self._put(data)
            except OSError:  # the terminal was closed
                self._die()
                return
            with self._changed:
                self._waiting.popleft()
                self._size -= len(data)
                told = self._behind and self._size <= LOW
                self._behind = self._behind and not told
                self._changed.notify_all()
            if told:
                self._caught_up()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return None if self._closing else self._waiting[0]

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and not self._closing:
            if not select.select([], [self._file], [], POLL_S)[1]:
                continue
            try:
                rest = rest[os.write(self._file, rest[:CHUNK]) :]
            except BlockingIOError:
                continue

    def _die(self) -> None:
        with self._changed:
            self._dead = True
            self._waiting.clear()
            self._size = 0
            self._changed.notify_all()
        self._gone()


def _own_description(fileno: int) -> tuple[int, bool]:
    """The same terminal opened once more, not blocking: set on `fileno` itself that would reach the user's shell."""
    try:
        return os.open(os.ttyname(fileno), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK), True
    except OSError:
        return fileno, False
