"""Signals, passed on to the engine; after a second one the process ends, whatever hangs in it.

They are taken between two instructions of the main thread: a loop that is stuck is no way around them. What the engine
makes of the first two is its own affair; it has LAST_WORDS_S after the second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = {1: "a closed terminal", 2: "Ctrl-C", 15: "SIGTERM"}
LAST_WORDS_S = 5.0  # to write down what is left, and to let go of what runs


@contextmanager
def obeying(loop: asyncio.AbstractEventLoop, interrupt: Callable[[int], None]) -> Iterator[None]:
    """`interrupt` is called in the loop with each of SIGNALS that is not ignored. In the main thread alone."""
    told = 0

    def handle(number: int, _: object) -> None:
        nonlocal told
        told += 1
        if told > 1:
            last_words = threading.Timer(LAST_WORDS_S, os._exit, (128 + number,))
            last_words.daemon = True  # who ends before is not waited for
            last_words.start()
        loop.call_soon_threadsafe(interrupt, number)

    numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # nohup means it
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
