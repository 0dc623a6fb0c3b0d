"""Recordings: what was recorded is read again, and damage costs no more than what it hit."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest
from story import E0, Story

from core import events as ev
from core import log as logs
from core import recording
from core.errors import LogError, RecordingError
from core.recording import BLOCK, Recording


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
def test_a_recording_holds_the_facts_of_the_session(tmp_path: Path, story: Story, name: str) -> None:
    assert list(recording.read(write(tmp_path / name, story))) == story.facts


def test_the_database_of_a_session_is_read_like_a_recording(tmp_path: Path, story: Story) -> None:
    path = tmp_path / "session.db"
    logs.create(path)
    logs.append_all(path, story.facts)
    assert list(recording.read(path)) == story.facts


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
        (b"\xff\xfe\n", "is not a recording"),
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


NOTE = b'{"kind":"NoteAdded","at":1,"by":"a","text":"b"}\n'
RUBBISH = (b"rubbish\n", b"\n\x00\n", b'{"kind":"NoteAdded","at":1,"by":"\xff","text":"b"}\n', b"[1]\n", b'{"at":1}\n')


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_damaged_line_is_counted_and_left_out(tmp_path: Path, story: Story, rubbish: bytes) -> None:
    played = Recording(write(tmp_path / "s.jsonl", story, rubbish + NOTE))
    facts = [fact for block in played.blocks() for fact in block.facts]
    assert facts[:-1] == story.facts
    assert isinstance(facts[-1], ev.NoteAdded)
    assert played.damaged == 1
    assert played.note == "1 damaged line was left out."


def test_two_halves_of_a_line_do_not_make_a_fact(tmp_path: Path, story: Story) -> None:
    played = Recording(write(tmp_path / "s.jsonl", story, NOTE.replace(b",", b"\n", 1)))
    assert [fact for block in played.blocks() for fact in block.facts] == story.facts
    assert played.damaged == 2


def test_a_whole_block_of_rubbish_does_not_end_the_recording(tmp_path: Path, story: Story) -> None:
    played = Recording(write(tmp_path / "s.jsonl", story, b"rubbish\n" * 2 * BLOCK + NOTE))
    *_, last = played.blocks()
    assert isinstance(last.facts[-1], ev.NoteAdded)
    assert played.damaged == 2 * BLOCK


def test_a_cut_off_last_line_is_no_damage(tmp_path: Path, story: Story) -> None:
    played = Recording(write(tmp_path / "s.jsonl", story, b'{"kind":"NoteAd'))
    assert sum(len(block.facts) for block in played.blocks()) == len(story.facts)
    assert (played.damaged, played.note, played.share) == (0, "", 1.0)


def test_a_packed_recording_that_was_cut_off_plays_as_far_as_it_goes(tmp_path: Path, story: Story) -> None:
    for number in range(2000):
        story.tell(ev.NoteAdded, by="ada", text=f"{number * 7919 % 2000:x}")
    path = write(tmp_path / "s.jsonl.gz", story)
    path.write_bytes(path.read_bytes()[:-4000])
    played = Recording(path)
    facts = [fact for block in played.blocks() for fact in block.facts]
    assert facts == story.facts[: len(facts)]
    assert len(facts) > 100
    assert (played.damaged, played.note) == (0, "The recording ends early: the file was cut off.")


def test_a_packed_recording_that_is_whole_says_nothing_though_it_was_packed_in_pieces(
    tmp_path: Path, story: Story
) -> None:
    path = write(tmp_path / "s.jsonl.gz", story)
    path.write_bytes(path.read_bytes() + gzip.compress(ev.encode(story.facts[-1]) + b"\n"))
    played = Recording(path)
    assert [fact for block in played.blocks() for fact in block.facts] == [*story.facts, story.facts[-1]]
    assert played.note == ""


def test_a_packed_recording_that_was_cut_off_in_its_header_is_none(tmp_path: Path, story: Story) -> None:
    path = write(tmp_path / "s.jsonl.gz", story)
    path.write_bytes(path.read_bytes()[:12])
    with pytest.raises(RecordingError, match="cut off"):
        list(recording.read(path))


def test_a_newer_recording_plays_and_says_so(tmp_path: Path, story: Story) -> None:
    path = write(tmp_path / "s.jsonl", story)
    body = path.read_bytes().partition(b"\n")[2]
    path.write_bytes(b'{"autoresearch":99,"version":"9.9","mood":"good"}\n' + body)
    played = Recording(path)
    assert [fact for block in played.blocks() for fact in block.facts] == story.facts
    assert played.note.startswith("Recorded by a newer autoresearch-tui (9.9)")


def test_the_header_says_where_a_recording_comes_from(tmp_path: Path, story: Story) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(
        b"".join(recording.dump(recording.header(story.state, "0.1", executor="local", command="x demo"), story.facts))
    )
    played = Recording(path)
    list(played.blocks())
    head = played.header
    assert (head.session, head.version, head.executor, head.command) == ("s", "0.1", "local", "x demo")
    assert head.recorded_at == story.state.started_at


def test_the_database_of_a_newer_program_plays_as_far_as_this_one_knows_it(tmp_path: Path, story: Story) -> None:
    path = tmp_path / "session.db"
    logs.create(path)
    logs.append_all(path, story.facts)
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version=99")
        db.execute("alter table events add column mood text")
    played = Recording(path)
    assert [fact for block in played.blocks() for fact in block.facts] == story.facts
    assert played.note.startswith("Recorded by a newer autoresearch-tui")
    with sqlite3.connect(path) as db:
        db.execute("alter table events rename to happenings")
    with pytest.raises(LogError, match=r"format 99.*upgrade"):
        list(Recording(path).blocks())
