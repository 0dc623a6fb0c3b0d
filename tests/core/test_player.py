"""The player under control: it plays to the same state, seeks to any fold of a prefix, and obeys its knobs at once."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

import pytest
from story import E0, Story

from core import events as ev
from core import log as logs
from core import recording
from core.commands import Pause
from core.errors import RecordingError, Refused
from core.feed import Update
from core.fold import fold
from core.player import Player
from core.state import State


def told() -> Story:
    story = Story().score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3, 2.3).judge(name, "kept").move(name)
    (other,) = story.wave({"MATRIX_LR": "0.03"})
    return story.score(other, 2.4).judge(other, "discarded")


@pytest.fixture
def story() -> Story:
    return told()


@pytest.fixture
def path(tmp_path: Path, story: Story) -> Path:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"".join(recording.dump(recording.header(story.state, "0"), story.facts)))
    return path


async def answer(player: Player) -> Update:
    """The next update that follows a wish."""
    async with asyncio.timeout(5):
        async for update in player.updates():
            if update.jumped:
                return update
    raise AssertionError("it ended")


async def paused(path: Path) -> Player:
    player = Player(path, stays=True)
    await player.load()
    player.pause()
    return player


async def test_a_recording_plays_to_the_state_of_the_session(path: Path, story: Story) -> None:
    player, facts = Player(path, speed=math.inf), list[ev.Fact]()
    async for update in player.updates():
        facts += update.facts
    assert (facts, update.state) == (story.facts, story.state)
    assert player.finished


async def test_the_database_of_a_session_plays(tmp_path: Path, story: Story) -> None:
    path = tmp_path / "session.db"
    logs.create(path)
    logs.append_all(path, story.facts)
    async for update in Player(path, speed=math.inf).updates():
        last = update.state
    assert last == story.state


async def test_speed_and_idle_limit_shorten_the_pauses(path: Path, story: Story) -> None:
    story.wait(3600).tell(ev.NoteAdded, by="ada", text="after lunch")
    path.write_bytes(b"".join(recording.dump(recording.header(story.state, "0"), story.facts)))
    player = Player(path, speed=100, idle_s=10)
    started = time.monotonic()
    moments = [update async for update in player.updates() if update.facts]
    assert len(moments) == 7, "one update per moment"
    assert 0.5 < time.monotonic() - started < 2.0


async def test_dense_facts_are_not_played_faster_than_they_happened(tmp_path: Path) -> None:
    story = Story()
    for _ in range(400):
        story.wait(0.01).tell(ev.NoteAdded, by="ada", text="again")
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"".join(recording.dump(recording.header(story.state, "0"), story.facts)))
    started = time.monotonic()
    moments = [update async for update in Player(path, speed=10).updates() if update.facts]
    assert 0.3 < time.monotonic() - started < 2.0
    assert len(moments) <= 10, "at most 20 a second"


async def test_it_seeks_to_the_fold_of_any_prefix(path: Path, story: Story) -> None:
    player = await paused(path)
    for position in (5, 0, len(story.facts), 11, 10):
        player.seek(position)
        assert player.position == position
        update = await answer(player)
        assert update == Update((), fold(State(), story.facts[:position]), jumped=True)
    player.seek(10**9)
    assert player.finished


async def test_of_many_wishes_the_latest_counts(path: Path, story: Story) -> None:
    player = await paused(path)
    for position in range(len(story.facts)):
        player.seek(position)
    assert (await answer(player)).state.seq == len(story.facts) - 1


async def test_it_steps_by_verdicts_waves_and_kept_changes(path: Path, story: Story) -> None:
    player = await paused(path)
    ends: list[tuple[ev.Fact, str]] = []
    for kind in ("wave", "experiment", "experiment", "wave", "kept"):
        player.seek(0) if kind == "kept" else None
        player.step(kind)
        ends.append((story.facts[player.position - 1], kind))
    assert [type(fact) for fact, _ in ends] == [
        *(ev.WavePlanned, ev.ExperimentJudged, ev.ExperimentJudged),
        *(ev.ExperimentJudged, ev.ExperimentJudged),
    ]
    player.step("wave", back=True)
    assert isinstance(story.facts[player.position - 1], ev.WavePlanned)
    player.step("event", back=True)
    player.step("event")
    assert isinstance(story.facts[player.position - 1], ev.WavePlanned)
    player.step("wave", back=True)
    assert player.position == 0


async def test_shares_and_times_lead_to_the_same_places(path: Path, story: Story) -> None:
    player = await paused(path)
    for share in (0.0, 0.25, 0.5, 0.9, 1.0):
        player.seek_share(share)
        assert player.share == pytest.approx(share, abs=0.3)
    assert player.finished
    player.seek_time(story.facts[7].at)
    assert story.facts[player.position - 1].at == story.facts[7].at == player.at
    player.seek_time(0.0)
    assert (player.position, player.share) == (0, 0.0)


async def test_at_the_end_it_stays_and_plays_again_from_the_beginning(path: Path, story: Story) -> None:
    player = Player(path, speed=math.inf, stays=True)
    seen: list[Update] = []
    async with asyncio.timeout(5):
        async for update in player.updates():
            seen.append(update)
            if player.finished and len(seen) < 10:
                asyncio.get_running_loop().call_later(0.05, player.toggle)
            if update.jumped:
                break
    assert update.state == State()
    assert player.playing


async def test_a_pause_holds_and_speeds_go_in_steps(path: Path) -> None:
    player = await paused(path)
    player.seek(3)
    await answer(player)
    before = player.at
    await asyncio.sleep(0.05)
    assert player.at == before
    speeds = []
    for _ in range(11):
        speeds.append(player.speed)
        player.faster()
    assert speeds == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1000]
    player.slower()
    assert player.speed == 500


async def test_it_plays_on_from_where_somebody_sought(path: Path, story: Story) -> None:
    player = Player(path, speed=math.inf)
    await player.load()
    player.seek(7)
    async with asyncio.timeout(5):
        updates = [update async for update in player.updates()]
    assert sum(update.jumped for update in updates) == 1
    assert [fact for update in updates for fact in update.facts] == story.facts[7:]
    assert updates[-1].state == story.state


async def test_a_wish_ends_the_wait_for_a_fact_far_off(path: Path, story: Story) -> None:
    player, begun = Player(path, speed=0.001), time.monotonic()
    async for update in player.updates():
        if update.facts:
            asyncio.get_running_loop().call_later(0.05, player.seek, len(story.facts))
        if update.jumped:
            break
    assert update.state == story.state
    assert time.monotonic() - begun < 2.0


async def test_the_time_shown_goes_on_between_facts(path: Path) -> None:
    player = Player(path, speed=10, stays=True)
    async for update in player.updates():
        if update.facts:
            break
    before = player.at
    await asyncio.sleep(0.05)
    assert 0.3 < player.at - before < 10


async def test_notes_on_damage_are_there_once_it_is_loaded(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    player = await paused(path)
    assert (player.damaged, player.note) == (1, "1 damaged line was left out.")


async def test_an_empty_recording_ends_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"autoresearch":1}\n')
    player = Player(path)
    async with asyncio.timeout(5):
        assert all([update.state == State() async for update in player.updates()])
    player.step("kept")
    player.seek_share(0.5)
    assert (player.position, player.share, player.at) == (0, 0.0, 0.0)


async def test_what_is_no_recording_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="There is no recording"):
        await Player(tmp_path / "none.jsonl").load()


def test_a_recording_takes_no_commands(path: Path) -> None:
    with pytest.raises(Refused, match="can be watched, not changed"):
        Player(path).dispatch(Pause())
