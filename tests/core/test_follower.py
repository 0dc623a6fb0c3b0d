"""Followers: what is committed is seen, in order, once, soon, and whatever happens to the file."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from story import E0, Story

from core import events as ev
from core import log as logs
from core.commands import Note, encode
from core.errors import LogError, Refused
from core.feed import Update
from core.fold import fold
from core.follower import Follower
from core.ids import RunId
from core.log import Log
from core.state import State


@pytest.fixture
def story() -> Story:
    story = Story().score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    return story.score(name, 2.3, 2.3).judge(name, "kept").move(name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "session.db"
    logs.create(path)
    return path


def notes(count: int) -> list[ev.Fact]:
    return [ev.NoteAdded(at=1.0, by="ada", text=str(number)) for number in range(count)]


async def until(follower: Follower, seq: int) -> list[Update]:
    """Its updates until it has folded `seq` facts and is not loading."""
    updates: list[Update] = []
    async with asyncio.timeout(10):
        async for update in follower.updates():
            updates.append(update)
            if update.state.seq == seq and update.loading is None:
                return updates
    raise AssertionError("it ended")


async def test_facts_are_seen_as_they_are_committed_and_the_state_is_their_fold(path: Path, story: Story) -> None:
    logs.append_all(path, story.facts[:4])
    follower, seen = Follower(path), list[ev.Fact]()
    async with asyncio.timeout(10):
        async for update in follower.updates():
            seen += update.facts
            assert update.state == fold(State(), seen)
            if len(seen) == 4:
                logs.append_all(path, story.facts[4:])
            if len(seen) == len(story.facts):
                break
    assert follower.state == story.state


async def test_one_that_is_finished_ends_with_what_is_there(path: Path, story: Story) -> None:
    follower = Follower(path)
    follower.finish()
    logs.append_all(path, story.facts)
    async with asyncio.timeout(5):
        assert [len(update.facts) async for update in follower.updates()] == [len(story.facts)]


async def test_a_long_past_comes_in_parts_with_the_share_that_is_read(path: Path) -> None:
    facts: list[ev.Fact] = [ev.RunProgressed(at=1.0, run=RunId("e1-1"), step=step) for step in range(40_000)]
    logs.append_all(path, facts)
    updates = await until(Follower(path), len(facts))
    shares = [update.loading for update in updates]
    assert shares[-1] is None
    assert shares[:-1] == sorted(share for share in shares if share is not None)
    assert len(shares) > 2
    assert [fact for update in updates for fact in update.facts] == facts


async def test_an_empty_session_is_all_read(path: Path) -> None:
    (update,) = await until(Follower(path), 0)
    assert (list(update.facts), update.state) == ([], State())


async def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path, story: Story) -> None:
    path = tmp_path / "later.db"
    follower = Follower(path)
    window = asyncio.create_task(until(follower, len(story.facts)))
    await asyncio.sleep(0.1)
    assert not window.done()
    logs.create(path)
    logs.append_all(path, story.facts)
    first, *_, last = await window
    assert (first.loading, last.state) == (0.0, story.state)


async def test_one_that_is_finished_does_not_wait_for_a_file(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "never.db")
    follower.finish()
    async with asyncio.timeout(5):
        assert [update.facts async for update in follower.updates()] == [()]


async def test_a_file_in_the_place_of_the_old_one_is_followed_from_its_beginning(path: Path, story: Story) -> None:
    logs.append_all(path, notes(3))
    follower = Follower(path)
    seen = list[Update]()
    async with asyncio.timeout(10):
        async for update in follower.updates():
            seen.append(update)
            if update.state.seq == 3:
                for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                    path.with_name(name).unlink(missing_ok=True)
                logs.create(path)
                logs.append_all(path, story.facts)
            if update.state == story.state:
                break
    assert any(update.jumped and update.state == State() for update in seen)


async def test_what_is_no_session_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "session.db"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(LogError, match=r"session\.db"):
        await until(Follower(path), 1)


async def test_a_command_of_one_window_is_seen_in_both_within_150_ms(path: Path) -> None:
    """The engine's part is played by a committer that answers at the engine's pace."""
    log, windows = Log(path), [Follower(path), Follower(path)]
    await log.open()
    committer = asyncio.create_task(log.committer())
    engine = asyncio.create_task(_answering(log))
    seen = [asyncio.create_task(_when_noted(window)) for window in windows]
    await asyncio.sleep(0.1)
    begun = asyncio.get_running_loop().time()
    assert windows[0].dispatch(Note(by="ada", text="hello")) == 1
    async with asyncio.timeout(5):
        times = await asyncio.gather(*seen)
    engine.cancel()
    log.close()
    await committer
    await log.disconnect()
    assert max(times) - begun < 0.15


async def _answering(log: Log) -> None:
    while True:
        for number, _ in await log.commands():
            log.respond(number, "")
            log.append(ev.NoteAdded(at=1.0, by="ada", text="hello"))
        await asyncio.sleep(0.025)


async def _when_noted(window: Follower) -> float:
    async for update in window.updates():
        if update.state.notes:
            return asyncio.get_running_loop().time()
    raise AssertionError("it ended")


def test_a_command_is_a_row_for_the_engine(path: Path) -> None:
    number = Follower(path).dispatch(Note(by="ada", text="hello"))
    with logs.opened(path) as db:
        assert db.execute("select body from commands where number = ?", (number,)).fetchone() == (
            encode(Note(by="ada", text="hello")),
        )


async def test_a_file_that_is_removed_is_gone_and_takes_no_commands(path: Path, story: Story) -> None:
    logs.append_all(path, story.facts)
    follower = Follower(path)
    assert not follower.is_gone
    await until(follower, len(story.facts))
    assert not follower.is_gone
    path.unlink()
    assert follower.is_gone
    with pytest.raises(LogError, match="is gone"):
        follower.dispatch(Note(by="ada", text="hello"))


def test_a_file_that_is_not_there_yet_is_not_gone(tmp_path: Path) -> None:
    assert not Follower(tmp_path / "session.db").is_gone


async def test_a_read_only_follower_reads_all_and_can_write_nothing(path: Path, story: Story) -> None:
    logs.append_all(path, story.facts)
    follower = Follower(path, is_read_only=True)
    assert (await until(follower, len(story.facts)))[-1].state == fold(State(), story.facts)
    with pytest.raises(Refused, match="read-only"):
        follower.dispatch(Note(by="cleo", text="x"))
    with pytest.raises(LogError), logs.opened(path, is_read_only=True) as db:
        db.execute("insert into commands(body) values (?)", (encode(Note(by="cleo", text="x")),))
    with logs.opened(path) as db:
        assert db.execute("select count(*) from commands").fetchone() == (0,)


async def test_a_session_of_a_newer_program_is_shown_and_takes_no_command(path: Path, story: Story) -> None:
    logs.append_all(path, story.facts)
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version=99")
    follower = Follower(path)
    follower.finish()
    assert [update.state async for update in follower.updates()][-1] == story.state
    with pytest.raises(LogError, match="upgrade"):
        follower.dispatch(Note(text="hello", by="ada", at=1.0))
