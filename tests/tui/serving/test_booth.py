"""Bytes to and from a window process are bounded, whoever does not read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time

from tui.serving.booth import TYPED, Booth

SLEEPS = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
SIZES = """\
import os, signal, sys, time
signal.signal(signal.SIGWINCH, lambda *_: print(*os.get_terminal_size(), flush=True))
"""


class Reader:
    def __init__(self, takes: int = 1 << 30) -> None:
        self.shown, self.takes, self.holds, self.codes = b"", takes, list[bool](), list[int]()

    def show(self, data: bytes) -> None:
        self.shown += data

    def is_behind(self) -> bool:
        return len(self.shown) >= self.takes

    def hold_keys(self, hold: bool) -> None:
        self.holds.append(hold)

    def ended(self, code: int) -> None:
        self.codes.append(code)


async def up(reader: Reader, mark: bytes = b"\n") -> None:
    async with asyncio.timeout(10):
        while mark not in reader.shown:  # noqa: ASYNC110  a real process says it when it can
            await asyncio.sleep(0.01)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_window_that_writes_without_end_is_held_up_by_a_reader_that_does_not_read() -> None:
    reader = Reader(takes=200_000)
    task = asyncio.create_task(Booth(reader, (80, 24)).run(["yes"], os.environ))
    await asyncio.sleep(0.5)
    assert 200_000 <= len(reader.shown) < 300_000
    reader.takes = 400_000
    await asyncio.sleep(0.3)
    assert 400_000 <= len(reader.shown) < 500_000, "it goes on when there is room"
    await ended(task)


async def test_keys_for_a_window_that_takes_none_wait_in_a_bounded_place() -> None:
    reader = Reader()
    booth = Booth(reader, (80, 24))
    task = asyncio.create_task(booth.run([*SLEEPS[:2], "import tty; tty.setraw(0); " + SLEEPS[2]], os.environ))
    await up(reader)
    sent = 0
    while not reader.holds and sent < 1 << 20:
        booth.type(b"x" * 8192)
        sent += 8192
    assert reader.holds == [True]
    assert sent <= TYPED + 32_768, "the pty itself holds some"
    await ended(task)


async def test_all_its_last_words_are_shown_and_its_exit_code_is_told() -> None:
    reader = Reader()
    code = "print('x' * 3000 + 'end', flush=True); raise SystemExit(3)"
    await Booth(reader, (80, 24)).run([sys.executable, "-c", code], os.environ)
    assert reader.shown.rstrip().endswith(b"xend")
    assert reader.codes == [3]


async def test_of_a_hundred_sizes_the_last_counts() -> None:
    reader = Reader()
    booth = Booth(reader, (80, 24))
    source = f"{SIZES}\nimport fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); print('up', flush=True)"
    task = asyncio.create_task(booth.run([sys.executable, "-c", f"{source}\nwhile 1: time.sleep(1)"], os.environ))
    await up(reader)
    for number in range(100):
        booth.resize((100 + number, 30))
    await up(reader, b"199 30")
    assert reader.shown.count(b" 30") <= 3
    await ended(task)


async def test_a_process_that_will_not_leave_is_killed() -> None:
    reader = Reader()
    stubborn = "import signal; [signal.signal(each, signal.SIG_IGN) for each in (1, 15)]; "
    booth = Booth(reader, (80, 24))
    task = asyncio.create_task(booth.run([*SLEEPS[:2], stubborn + SLEEPS[2]], os.environ))
    await up(reader)
    begun = time.monotonic()
    await ended(task)
    assert 1 < time.monotonic() - begun < 5
    assert booth.pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(booth.pid, 0)
        raise AssertionError("it still lives")
