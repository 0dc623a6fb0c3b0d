"""Pictures and films of the dashboard, and recordings out: right, and the same every time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from click.testing import CliRunner
from rich.segment import Segment
from rich.style import Style
from story import E0, Story
from textual.strip import Strip

from core import events as ev
from core import log as logs
from core import recording
from core.errors import RecordingError, UsageError
from tui.cli import main
from tui.export_cast import Film, film
from tui.export_svg import picture

SIZE = (80, 24)
RED, BOLD = Style.parse("red"), Style.parse("bold")


@pytest.fixture
def story() -> Story:
    story = Story().score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3, 2.3).judge(name, "kept").move(name)
    story.tell(ev.NoteAdded, by="ada", text='<script>alert("&")</script>')
    (other,) = story.wave({"MATRIX_LR": "0.03"})
    return story.wait(100).score(other, 2.4).judge(other, "discarded")


@pytest.fixture
def path(tmp_path: Path, story: Story) -> Path:
    path = tmp_path / "night.jsonl"
    path.write_bytes(b"".join(recording.dump(recording.header(story.state, "0"), story.facts)))
    return path


def row(*pieces: tuple[str, Style | None]) -> Strip:
    return Strip([Segment(text, style) for text, style in pieces])


def played(lines: list[str], size: tuple[int, int] = SIZE) -> list[str]:
    """What stands on a terminal after the events of a cast: a terminal that knows no more than it should need."""
    screen = [[" "] * size[0] for _ in range(size[1])]
    y = x = 0
    for line in lines:
        for code, character in re.findall(r"\x1b\[([0-9;?]*[a-zA-Z])|([^\x1b])", json.loads(line)[2]):
            if code.endswith("H"):
                y, x = (int(part) - 1 for part in code[:-1].split(";"))
            elif character:
                screen[y][x] = character
                x += 1
            else:
                assert code[-1] == "m" or code in ("?25l", "?25h", "2J")
    return ["".join(cells) for cells in screen]


def test_a_film_writes_what_changed_and_nothing_else() -> None:
    shot = Film((10, 2), title="t", timestamp=0)
    first = shot.frame(0.0, [row(("hello", RED), ("     ", None)), row(("below     ", BOLD))])
    again = shot.frame(0.2, [row(("hello", RED), ("     ", None)), row(("below     ", BOLD))])
    second = shot.frame(0.4, [row(("hello", RED), ("world", None)), row(("below     ", BOLD))])
    assert again == ""
    assert json.loads(second)[2] == "\x1b[1;6H\x1b[0mworld"
    assert played([first, second], (10, 2)) == ["helloworld", "below     "]


def test_a_film_keeps_what_is_the_same_at_the_end_of_a_row() -> None:
    shot = Film((9, 1), title="t", timestamp=0)
    first = shot.frame(0.0, [row(("abc", None), ("def", RED), ("ghi", BOLD))])
    same_width = shot.frame(0.2, [row(("abc", None), ("DEF", RED), ("ghi", BOLD))])
    other_width = shot.frame(0.4, [row(("abc", None), ("DE", RED), ("ghi", BOLD), ("!", None))])
    assert "ghi" not in json.loads(same_width)[2]
    assert played([first, same_width, other_width], (9, 1)) == ["abcDEghi!"]


async def test_a_film_shows_the_session_to_its_end(path: Path) -> None:
    head, *events = [line.decode() for line in [line async for line in film(path, size=SIZE, seconds=2)]]
    assert {"version": 2, "width": 80, "height": 24}.items() <= json.loads(head).items()
    times = [json.loads(event)[0] for event in events]
    assert times == sorted(times)
    assert 2.0 <= times[-1] <= 10.0
    assert "e2" in "\n".join(played(events))
    assert "e2" not in "\n".join(played(events[:1]))


async def test_a_picture_shows_the_moment_that_was_asked_for(path: Path) -> None:
    end, early = await picture(path, size=SIZE), await picture(path, size=SIZE, at="e1")
    assert "e2" in _text(end)
    assert "e1" in _text(early)
    assert "e2" not in _text(early)
    assert "e1" not in _text(await picture(path, size=SIZE, at="0"))


async def test_a_picture_is_the_same_every_time_and_its_text_is_no_markup(path: Path) -> None:
    first, second = await picture(path, size=(120, 40)), await picture(path, size=(120, 40))
    assert first == second
    assert "<script>" not in first


async def test_themes_differ_and_one_that_there_is_not_is_said_so(path: Path) -> None:
    assert await picture(path, size=SIZE, theme="night") != await picture(path, size=SIZE, theme="day")
    with pytest.raises(UsageError, match="There is no theme 'fog'; there are night"):
        await picture(path, theme="fog")


@pytest.mark.parametrize("at", ["110%", "-1", "soon", "e99"])
async def test_a_moment_that_there_is_not_is_said_so(path: Path, at: str) -> None:
    with pytest.raises(UsageError, match="--at"):
        await picture(path, size=SIZE, at=at)


async def test_what_is_no_recording_is_said_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="There is no recording"):
        await picture(tmp_path / "none")


def test_the_command_takes_sessions_and_recordings(tmp_path: Path, path: Path, story: Story) -> None:
    (tmp_path / ".autoresearch").mkdir()
    file = tmp_path / ".autoresearch" / logs.FILE
    logs.create(file)
    logs.append_all(file, story.facts)
    for number, source in enumerate((["--recording", str(path)], [])):
        target = tmp_path / f"{number}.svg"
        done = CliRunner().invoke(
            main, ["-C", str(tmp_path), "export", "--format", "svg", "--size", "80x24", "-o", str(target), *source]
        )
        assert done.exit_code == 0, done.output
        assert "e2" in _text(target.read_text())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--format", "svg", "--size", "wide"], "is no size"),
        (["--format", "svg", "--size", "9999x9"], "is no size"),
        (["--format", "tsv", "--at", "e1"], "--at is for svg, not for tsv"),
        (["--format", "jsonl", "--progress-every", "soon"], "is not a duration"),
    ],
)
def test_options_that_make_no_sense_are_said_so(options: list[str], sentence: str) -> None:
    done = CliRunner().invoke(main, ["export", *options])
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())


def test_thinned_progress_leaves_everything_else(tmp_path: Path, story: Story) -> None:
    (name,) = story.wave({"DEPTH": "8"})
    run = story.start(name)
    story.progress(run, *(3.0 for _ in range(20))).finish(run, 2.6)
    path, target = tmp_path / "s.jsonl", tmp_path / "thin.jsonl.gz"
    path.write_bytes(b"".join(recording.dump(recording.header(story.state, "0"), story.facts)))
    options = ["--recording", str(path), "--progress-every", "5s", "--command", "x", "-o", str(target)]
    assert CliRunner().invoke(main, ["export", "--format", "jsonl", *options]).exit_code == 0
    facts = list(recording.read(target))
    kept = [fact for fact in facts if isinstance(fact, ev.RunProgressed)]
    assert [fact.step for fact in kept] == [0, 5, 10, 15]
    assert [fact for fact in facts if fact not in kept] == [
        fact for fact in story.facts if not isinstance(fact, ev.RunProgressed)
    ]


def _text(svg: str) -> str:
    """What a reader sees; raises if it is no XML."""
    return "".join(Xml.fromstring(svg).itertext()).replace("\xa0", " ")  # noqa: S314  our own file
