"""Recordings and feeds: what was recorded plays to the same state."""

from __future__ import annotations

import asyncio
import gzip
import math
from pathlib import Path

import pytest
from story import E0, Story

from core import events as ev
from core import log as logs
from core import recording
from core.commands import Pause
from core.errors import RecordingError, Refused
from core.feed import Follower, Player
from core.fold import fold
from core.state import State


@pytest.fixture
def story() -> Story:
    story = Story().score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    return story.score(name, 2.3, 2.3).judge(name, "kept").move(name)


def write(path: Path, story: Story, extra: bytes = b"") -> Path:
    lines = b"".join(recording.dump(recording.header(story.state, "0"), story.facts)) + extra
    path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


@pytest.mark.parametrize("name", ["session.jsonl", "session.jsonl.gz"])
async def test_a_recording_plays_to_the_state_of_the_session(tmp_path: Path, story: Story, name: str) -> None:
    player = Player(write(tmp_path / name, story), speed=math.inf)
    async for update in player.updates():
        last = update.state
    assert last == story.state


async def test_speed_and_idle_limit_shorten_the_pauses(tmp_path: Path, story: Story) -> None:
    story.wait(3600).tell(ev.NoteAdded, by="ada", text="after lunch")
    player = Player(write(tmp_path / "s.jsonl", story), speed=100, idle_s=10)
    started = asyncio.get_running_loop().time()
    updates = [update async for update in player.updates()]
    assert len(updates) == 6, "one burst per moment"
    assert 0.4 < asyncio.get_running_loop().time() - started < 2.0


def test_a_line_cut_off_at_the_end_ends_the_recording(tmp_path: Path, story: Story) -> None:
    path = write(tmp_path / "s.jsonl", story, b'{"kind":"NoteAd')
    assert list(recording.read(path)) == story.facts


def test_unknown_kinds_are_kept(tmp_path: Path, story: Story) -> None:
    path = write(tmp_path / "s.jsonl", story, b'{"kind":"New","at":1,"x":[1]}\n')
    *_, last = recording.read(path)
    assert isinstance(last, ev.Unknown)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a recording"),
        (b"commit\tval_bpb\n", "is not a recording"),
        (b'{"autoresearch":99,"version":"9.9"}\n', "newer autoresearch-tui"),
        (b'{"autoresearch":1}\nrubbish\n{"kind":"NoteAdded","at":1,"by":"a","text":"b"}\n', "Line 2 of"),
        (b"\x1f\x8b\x00rubbish", "Cannot read"),
    ],
)
def test_what_is_no_recording_is_said_so(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=sentence):
        list(recording.read(path))


def test_a_missing_recording_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="There is no recording"):
        list(recording.read(tmp_path / "none.jsonl"))


def test_a_recording_takes_no_commands(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="can be watched, not changed"):
        Player(tmp_path / "s.jsonl").dispatch(Pause())


async def test_a_follower_sees_facts_as_they_are_committed_and_its_state_is_the_fold(
    tmp_path: Path, story: Story
) -> None:
    path = tmp_path / "session.db"
    logs.create(path)
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


async def test_a_follower_that_is_finished_ends_with_what_is_there(tmp_path: Path, story: Story) -> None:
    path = tmp_path / "session.db"
    logs.create(path)
    follower = Follower(path)
    follower.finish()
    logs.append_all(path, story.facts)
    async with asyncio.timeout(5):
        assert [len(update.facts) async for update in follower.updates()] == [len(story.facts)]
