"""Signals: the engine hears of them in its loop, and a second one ends the process even if the loop is stuck."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from core.obeying import obeying

STUCK = """
import asyncio, time
from core import obeying
obeying.LAST_WORDS_S = 0.3
async def main():
    with obeying.obeying(asyncio.get_running_loop(), lambda number: None):
        print("on", flush=True)
        while True:
            time.sleep(0.01)
asyncio.run(main())
"""


def test_a_second_signal_ends_an_engine_whose_loop_is_stuck() -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        stop = threading.Timer(15, process.kill)  # so that it fails, and does not hang
        stop.start()
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.6)
        assert process.poll() is None, "the first one is the engine's to obey"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        stop.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_is_heard_in_the_loop_and_later_by_whoever_heard_it_before(number: int) -> None:
    heard = asyncio.get_running_loop().create_future()
    before = signal.getsignal(number)
    with obeying(asyncio.get_running_loop(), heard.set_result):
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(heard, 5) == number
    assert signal.getsignal(number) is before
