"""What `serve` does with too much and too long: floods, the slow, the idle, the deaf, and keys that are taken back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import psutil
import pytest
from service import QUICK, Served, needs_ssh, serving

from core import events as ev
from core import log as logs
from tui.serving.door import Limits
from tui.serving.journal import Journal

pytestmark = needs_ssh
SIZE = (100, 30)


async def window(served: Served, connection: asyncssh.SSHClientConnection, **options: Any) -> Any:
    given = {"term_type": "xterm-256color", "term_size": SIZE, "encoding": None, **options}
    return await connection.create_process(**given)


def windows() -> list[psutil.Process]:
    found = []
    for each in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if "tui.serving.child" in " ".join(each.cmdline()):
                found.append(each)
    return found


async def gone(within_s: float = 8.0) -> None:
    deadline = time.monotonic() + within_s
    while windows():
        assert time.monotonic() < deadline, windows()
        await asyncio.sleep(0.02)


def descriptors() -> int:
    return psutil.Process().num_fds()


async def test_a_thousand_connections_hold_up_nobody_and_leave_nothing_behind(tmp_path: Path) -> None:
    """The commits of an engine beside it are timed meanwhile, and so is a guest who is let in from the same address."""
    async with serving(tmp_path, Limits(burst=40, grace_s=1.0)) as served:
        assert served.service is not None
        log = logs.Log(served.workspace / ".autoresearch" / logs.FILE, is_durable=False)
        await log.open()
        committing = asyncio.create_task(log.committer())
        await asyncio.sleep(0.2)
        before = descriptors()
        took = [await _commit(log) for _ in range(20)]
        knocking = asyncio.create_task(_knock(served.port, 1000))
        during: list[float] = []
        while not knocking.done():
            during.append(await _commit(log))
        assert await knocking == 1000
        journal: Journal = served.service.journal
        async with asyncio.timeout(15):
            while journal.refusals < 1000 or descriptors() > before:  # noqa: ASYNC110  sockets close when they do
                await asyncio.sleep(0.05)
        assert journal.refusals == 1000, "each once"
        log.close()
        await committing
        await log.disconnect()
        worst, middle = max(during) * 1e3, sorted(during)[len(during) // 2] * 1e3
        print(
            f"commits: before {max(took) * 1e3:.0f} ms at most; during 1,000 connections {middle:.1f}, {worst:.0f} ms"
        )
        assert middle < 250
        assert len(served.lines) < 40, "a flood is told in a few lines"


async def _commit(log: logs.Log) -> float:
    begun = time.perf_counter()
    await log.append(ev.NoteAdded(at=time.time(), by="ada", text="x"))
    return time.perf_counter() - begun


async def _knock(port: int, times: int) -> int:
    """Connections that say nothing, until the other side has had enough of them."""

    async def once() -> None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(reader.read(), 10)
            writer.close()

    for _ in range(times // 250):
        await asyncio.gather(*(once() for _ in range(250)))
    return times


async def test_one_that_logs_in_slowly_is_cut_off_and_told_once(tmp_path: Path) -> None:
    async with serving(tmp_path, msgspec.structs.replace(QUICK, grace_s=0.6)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        begun, data = time.monotonic(), b""
        with contextlib.suppress(OSError):
            for letter in b"SSH-2.0-slow" * 100:
                writer.write(bytes([letter]))
                await asyncio.sleep(0.05)
                if reader.at_eof():
                    break
                with contextlib.suppress(TimeoutError):
                    data += await asyncio.wait_for(reader.read(4096), 0.01)
        assert 0.4 < time.monotonic() - begun < 3
        assert data.startswith(b"SSH-2.0-autoresearch-tui")
        assert await served.refused(1) == ["127.0.0.1: it showed no key"]
        writer.close()


async def test_one_that_logs_in_and_asks_for_no_window_is_sent_away(tmp_path: Path) -> None:
    few = msgspec.structs.replace(QUICK, grace_s=0.5)
    async with serving(tmp_path, few) as served, served.connect("ada") as connection, asyncio.timeout(5):
        await connection.wait_closed()


async def test_windows_are_limited_per_key_and_a_closed_one_makes_room(tmp_path: Path) -> None:
    async with serving(tmp_path, msgspec.structs.replace(QUICK, per_key=1)) as served:
        async with served.connect("ada") as first, served.connect("ada") as second:
            one = await window(served, first)
            await served.until("ada (operator) came")
            other = await window(served, second)
            assert b"1 windows are open with this key" in await other.stderr.read()
            assert other.exit_status == 1
            one.close()
            await served.until("ada left")
            again = await window(served, second)
            assert await again.stdout.read(10)
        await gone()


async def test_an_idle_window_is_closed_although_its_terminal_answers(tmp_path: Path) -> None:
    async with serving(tmp_path, msgspec.structs.replace(QUICK, idle_s=1.0)) as served, served.connect("cleo") as one:
        process = await window(served, one)
        while not process.stdin.is_closing() and process.exit_status is None:
            process.stdin.write(b"\x1b[1;1R")
            await asyncio.sleep(0.05)
        assert "no key for 1s" in await served.until("cleo left after")


@pytest.mark.parametrize("change", ["removed", "role", "expired"])
async def test_a_key_that_is_taken_back_ends_its_window(tmp_path: Path, change: str) -> None:
    async with serving(tmp_path) as served, served.connect("ada") as one, served.connect("ben") as two:
        ada, ben = await window(served, one), await window(served, two)
        await served.until("ben (operator) came")
        operator = 'role="operator" '
        rest = {"removed": {}, "role": {"ada": ""}, "expired": {"ada": f'expiry-time="20200101",{operator}'}}[change]
        served.allow(ben=operator, **rest)
        await served.until("ada left after")
        assert ada.channel.is_closing() or await ada.wait()
        assert ben.exit_status is None
        assert not any("ben left" in line for line in served.lines)


async def test_a_client_that_reads_nothing_holds_up_its_own_window_only(tmp_path: Path) -> None:
    """It promises to take four billion bytes, and takes none."""
    async with serving(tmp_path) as served:
        async with served.connect("cleo") as deaf, served.connect("ada") as other:
            process = await window(served, deaf, window=1 << 31)
            transport: Any = deaf._transport
            transport.pause_reading()
            for turn in range(200):
                process.stdin.write(b"?\x1b")
                process.channel.change_terminal_size(100 + turn % 3, 30)
                await asyncio.sleep(0.005)
            assert served.service is not None
            waiting = [caller.backlog() for caller in served.service._callers]
            assert max(waiting) < 1 << 20
            shown = await window(served, other)
            async with asyncio.timeout(10):
                assert await shown.stdout.read(100)
            transport.resume_reading()
        await gone()


async def test_a_window_ends_with_its_connection_even_one_that_is_stopped(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with served.connect("ada") as connection:
            process = await window(served, connection)
            assert await process.stdout.read(10)
            (child,) = windows()
            child.suspend()
            connection.abort()
        await gone()
        with contextlib.suppress(psutil.NoSuchProcess):
            assert child.status() == psutil.STATUS_ZOMBIE, "it was killed"


async def test_the_service_ends_in_order_and_says_so(tmp_path: Path) -> None:
    """A terminal gets its own screen back."""
    async with serving(tmp_path) as served:
        connection = await served.connect("ada")
        process = await window(served, connection)
        shown = b""
        async with asyncio.timeout(15):
            while b"\x1b[?1049h" not in shown:
                shown += await process.stdout.read(4096)
            await asyncio.sleep(0.5)
            assert served.service is not None
            served.service.stopping.set()
            shown += await process.stdout.read()
        assert b"\x1b[?1049l" in shown[shown.index(b"\x1b[?1049h") :]
        assert b"the service ends" in await process.stderr.read()
        connection.close()
        await connection.wait_closed()
    assert not windows()
