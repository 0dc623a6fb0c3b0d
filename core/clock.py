"""Time, injected. The engine and the executors take a `Clock`; nothing else knows what time it is."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch (UTC)."""
        ...


class SystemClock:
    """Wall-clock time that never runs backwards within a process: NTP steps must not reorder the log."""

    def __init__(self) -> None:
        self._epoch = time.time()
        self._start = time.monotonic()

    def now(self) -> float:
        return self._epoch + (time.monotonic() - self._start)
