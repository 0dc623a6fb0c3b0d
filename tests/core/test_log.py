"""The SQLite log: appended facts are there for ever, commands are answered, and one engine holds it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from story import E0, Story

from core import events as ev
from core import log as logs
from core.commands import Pause
from core.errors import EngineRunning, LogError
from core.log import Log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    logs.create(tmp_path / "session.db")
    return tmp_path / "session.db"


@asynccontextmanager
async def writing(path: Path) -> AsyncIterator[Log]:
    log = Log(path)
    await log.open()
    committer = asyncio.create_task(log.committer())
    try:
        yield log
    finally:
        log.close()
        await committer
        await log.disconnect()


def note(text: str, at: float = 1.0) -> ev.NoteAdded:
    return ev.NoteAdded(at=at, by="ada", text=text)


async def test_what_was_appended_is_read_back_in_order(path: Path) -> None:
    facts = [note(str(i)) for i in range(500)]
    async with writing(path) as log:
        await asyncio.gather(*[log.append(fact) for fact in facts])
    assert logs.read_all(path) == facts


def test_an_awaited_append_survives_the_death_of_the_process(path: Path) -> None:
    code = f"""
import asyncio, os, signal
from pathlib import Path
from core import events as ev
from core.log import Log
async def main():
    log = Log(Path({str(path)!r}))
    await log.open()
    task = asyncio.create_task(log.committer())
    await log.append(ev.NoteAdded(at=1.0, by="ada", text="kept"))
    log.append(ev.NoteAdded(at=2.0, by="ada", text="perhaps"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    facts = logs.read_all(path)
    assert facts[0] == note("kept")
    assert len(facts) <= 2


async def test_the_log_goes_on_where_it_ended(path: Path) -> None:
    for text in ("first", "second"):
        async with writing(path) as log:
            await log.append(note(text))
    assert logs.read_all(path) == [note("first"), note("second")]


async def test_commands_wait_for_their_answer_and_are_handed_out_once(path: Path) -> None:
    number = logs.send(path, Pause(by="ada"))
    assert logs.answer(path, number) is None
    async with writing(path) as log:
        ((handed, body),) = await log.commands()
        assert handed == number
        assert json.loads(body)["kind"] == "Pause"
        log.respond(number, "no")
        assert await log.commands() == []
    assert logs.answer(path, number) == "no"


async def test_a_sign_of_life_is_left_with_the_next_commit(path: Path) -> None:
    async with writing(path) as log:
        log.beat(12.5)
    beat = logs.heartbeat(path)
    assert beat is not None
    assert (beat.pid, beat.beat) == (os.getpid(), 12.5)


def test_only_one_engine_holds_a_session_and_the_kernel_frees_it(path: Path) -> None:
    assert not logs.is_held(path)
    code = (
        f"import time; from pathlib import Path; from core.log import hold; file = hold(Path({str(path)!r}))\n"
        "print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert logs.is_held(path)
        with pytest.raises(EngineRunning, match="Another engine holds this workspace"):
            logs.hold(path)
        other.kill()
        other.wait()
    logs.hold(path).close()


def test_a_window_that_looks_does_not_keep_an_engine_out(path: Path) -> None:
    look = f"is_held(Path({str(path)!r}))"
    code = f"from pathlib import Path; from core.log import is_held; print(1, flush=True)\nwhile True: {look}"
    logs.hold(path).close()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as window:
        assert window.stdout is not None
        window.stdout.readline()
        for _ in range(50):
            logs.hold(path).close()
        window.kill()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"not a database at all, but long enough to look like one" * 50, "is damaged"), (b"", "is not a session")],
)
def test_a_file_that_is_no_session_is_said_so_and_left_alone(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "session.db"
    path.write_bytes(content)
    with pytest.raises(LogError, match=sentence):
        logs.read_all(path)
    assert path.read_bytes() == content


def test_a_session_of_a_newer_program_is_refused_with_what_to_do(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version=99")
    with pytest.raises(LogError, match=r"newer autoresearch-tui \(format 99.*upgrade"):
        logs.read_all(path)


def test_a_missing_session_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="start one with"):
        logs.read_all(tmp_path / "session.db")


def test_damage_in_the_middle_is_found(path: Path) -> None:
    logs.append_all(path, Story().score(E0, *[2.5] * 400).facts)
    with sqlite3.connect(path) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    path.write_bytes(bytes(raw))
    with pytest.raises(LogError, match="is damaged"):
        logs.read_all(path)


async def test_a_full_disk_is_waited_out_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "RETRY_S", 0.05)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with writing(path) as log:
        await log.append(note("before"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))  # this process may write no more
        try:
            pending = [log.append(note("x" * 10_000)) for _ in range(20)]
            async with asyncio.timeout(10):
                while not log.trouble:  # noqa: ASYNC110  the log tells nobody, it is looked at
                    await asyncio.sleep(0.01)
            assert not any(future.done() for future in pending)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await asyncio.wait_for(asyncio.gather(*pending), 10)
        assert log.trouble == ""
    assert len(logs.read_all(path)) == 21


async def test_a_disk_that_stays_full_ends_with_a_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "RETRY_S", 0.05)
    monkeypatch.setattr(logs, "PATIENCE_S", 0.2)
    log = Log(path)
    await log.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        log.append(note("x" * 100_000))
        with pytest.raises(LogError, match="Free some space"):
            await asyncio.wait_for(log.committer(), 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await log.disconnect()
