"""Time, injected. The engine and the executors take a `Clock`; nothing else knows what time it is."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Clock(Protocol):
    """The session's time. That of a simulated session may be faster than ours."""

    @property
    def is_real(self) -> bool:
        """Whether its seconds are everybody's seconds."""
        ...

    def now(self) -> float:
        """Seconds since the epoch (UTC)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds of this clock; at once, though not before others had a turn, if not above 0."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """Around real work that takes none of the session's time: a clock that could run ahead stands still."""
        ...


class SystemClock:
    """Wall-clock time that never runs backwards within a process: NTP steps must not reorder the log."""

    is_real = True

    def __init__(self) -> None:
        self._epoch = time.time()
        self._start = time.monotonic()

    def now(self) -> float:
        return self._epoch + (time.monotonic() - self._start)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()


class ScaledClock:
    """Begins at `start` and runs `speed` times as fast as the wall clock."""

    is_real = False

    def __init__(self, start: float, speed: float) -> None:
        self._epoch, self._speed = start, speed
        self._start = time.monotonic()

    def now(self) -> float:
        return self._epoch + (time.monotonic() - self._start) * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)

    def working(self) -> AbstractContextManager[None]:
        return nullcontext()
