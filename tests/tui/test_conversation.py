"""The researcher's transcript, and what a window remembers for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from story import E0, Story

from core import events as ev
from core.ids import ExperimentId, GpuId, RunId, WaveId
from tui.conversation import now_line, summary, transcript
from tui.glyphs import ASCII, UNICODE
from tui.memory import Memory, changes
from tui.moment import Moment
from tui.paint import plain, width

HOSTILE = "[bold]x[/] \x1b[31mred \x1b]0;title\x07 \u202egnp 漢字 e\u0301\u0301\u0301 \t\udcff " + "y" * 100_000


def told(story: Story) -> Memory:
    memory = Memory()
    memory.take(story.facts)
    return memory


def moment(story: Story, **fields: Any) -> Moment:
    return Moment(state=story.state, now=story.at, mode="live", **fields)


def text(story: Story, memory: Memory | None = None, cells: int = 100) -> str:
    lines = transcript(moment(story), memory or told(story), cells, UNICODE)
    assert all(width(line) <= cells for line in lines)
    return "\n".join(map(plain, lines))


def asked_and_answered() -> Story:
    story = Story()
    story.tell(ev.WaveAsked, slots=3).wait(75)
    names = story.wave({"DEPTH": "2"}, {"DEPTH": "8"}, factors={"DEPTH": ("2", "8")})
    story.tell(ev.ProposalRejected, wave=WaveId("w1"), title="DEPTH 4", reason="the same as e0", twin=E0)
    story.score(names[0], 1.2).judge(names[0], "discarded")
    story.start(names[1])
    return story


def test_a_wave_says_when_why_how_it_was_answered_and_what_became_of_it() -> None:
    said = text(asked_and_answered())
    for expected in (
        "w1", "2 experiments from e0", "answered in 1m15s", "3 asked for", "because", "full factorial: DEPTH (2)",
        "1 proposal rejected", "DEPTH 4: the same as e0", "✗ 1 discarded", "▶ 1 running",
    ):  # fmt: skip
        assert expected in said


def test_what_becomes_of_a_wave_is_shown_as_it_happens() -> None:
    story = asked_and_answered()
    memory = told(story)
    assert "▶ 1 running" in text(story, memory)
    story.finish(RunId("e2-1"), 0.9).judge(ExperimentId("e2"), "kept")
    said = text(story, memory)
    assert "✓ 1 kept" in said
    assert "running" not in said
    story.tell(ev.ExperimentPromoted, experiment=ExperimentId("e1"), by="ada")  # a discarded one is open again
    assert "↻ 1 to run again" in text(story, memory)


def test_the_state_alone_is_enough_after_seeking() -> None:
    said = text(asked_and_answered(), Memory())
    assert "1 proposal rejected" in said
    assert "answered in" not in said


def test_a_note_says_whether_it_was_read() -> None:
    story = asked_and_answered()
    story.tell(ev.NoteAdded, by="ada", text="try a larger batch")
    assert "ada · not read yet" in text(story)
    story.wait(5).tell(ev.WaveAsked, slots=1)
    assert "read; the answer is awaited" in text(story)
    story.wait(5).wave({"DEPTH": "16"})
    assert "ada · read for w2" in text(story)


def test_a_note_left_while_it_was_thinking_is_not_read_for_that_answer() -> None:
    story = Story()
    story.tell(ev.WaveAsked, slots=1).wait(10).tell(ev.NoteAdded, by="ada", text="too late").wait(10)
    story.wave({"DEPTH": "2"})
    assert "not read yet" in text(story)


def test_newest_is_last() -> None:
    story = asked_and_answered()
    story.wait(100).tell(ev.ResearchFailed, reason="overloaded")
    story.wait(100).wave({"DEPTH": "16"})
    said = text(story)
    assert said.index("w1") < said.index("overloaded") < said.index("w2")


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        (lambda story: story, "waits until GPUs will be free"),
        (lambda story: story.tell(ev.WaveAsked, slots=2).wait(34), "thinking for 34s, for 2 experiments"),
        (lambda story: story.tell(ev.ResearchPaused, by="ada"), "research is paused"),
        (lambda story: story.tell(ev.ResearchFailed, reason="overloaded"), "its last 1 answer failed: overloaded"),
        (lambda story: story.tell(ev.ResearchFailed, reason="no key", fatal=True), "gave up: no key"),
    ],
)
def test_it_says_what_the_researcher_does_now(tell: Any, expected: str) -> None:
    assert expected in plain(now_line(moment(tell(Story())), UNICODE))


def test_with_no_engine_nobody_asks_it() -> None:
    stopped = msgspec.structs.replace(moment(Story()), mode="down")
    assert "no engine runs" in plain(now_line(stopped, UNICODE))


def test_empty_states_are_one_calm_sentence() -> None:
    assert text(Story()) == "No wave yet: the baseline runs first, then the researcher is asked."
    (line,) = transcript(Moment(loading=0.4), Memory(), 80, UNICODE)
    assert plain(line) == "Reading the session…"


def test_money_and_time_are_summed_up() -> None:
    assert summary(moment(asked_and_answered())) == [
        "1 wave", "2 experiments", "0 notes", "last answer took 1m15s", "no model costs",
    ]  # fmt: skip


@pytest.mark.parametrize("cells", [20, 60, 120])
def test_hostile_text_stays_in_its_lines(cells: int) -> None:
    story = Story()
    story.tell(ev.NoteAdded, by=HOSTILE, text=HOSTILE)
    story.tell(ev.WavePlanned, wave=WaveId("w1"), parent=E0, reason=HOSTILE, researcher=HOSTILE)
    story.tell(ev.ProposalRejected, wave=WaveId("w1"), title=HOSTILE, reason=HOSTILE)
    story.tell(ev.ResearchFailed, reason=HOSTILE)
    for glyphs in (UNICODE, ASCII):
        for line in transcript(moment(story), told(story), cells, glyphs):
            assert width(line) <= cells
            assert plain(line).isprintable()


# --- what happened to the fleet ---------------------------------------------------------------------------------------


def gpu(name: str, held_by: str = "") -> ev.Gpu:
    return ev.Gpu(GpuId(name), "H100", held_by=held_by)


def test_changes_of_the_fleet_are_told_in_words() -> None:
    before = {each.id: each for each in (gpu("a"), gpu("b"), gpu("c", "bob"), gpu("d"))}
    now = {each.id: each for each in (gpu("a"), gpu("b", "eve"), gpu("c"), gpu("x"), gpu("y"))}
    assert [text for text, _ in changes(before, now)] == ["x, y came", "d went", "c free again", "b taken by eve"]


def test_a_thousand_gpus_that_come_are_one_line() -> None:
    memory = Memory()
    memory.take([ev.FleetSeen(at=0.0, gpus=())])
    memory.take([ev.FleetSeen(at=1.0, gpus=tuple(gpu(f"g{i}") for i in range(1000)))])
    assert memory.fleet[-1].text == "g0, g1, g2, g3 and 996 more came"


def test_what_of_a_fleet_is_not_seen_any_more_and_is_again_is_remembered() -> None:
    memory = Memory()
    memory.take([ev.FleetSeen(at=1.0, gpus=(gpu("g0"),)), ev.FleetSeen(at=2.0, gpus=(gpu("g0"),), unseen="no others")])
    assert (memory.fleet[-1].text, memory.fleet[-1].role) == ("no others", "warning")
    memory.take([ev.FleetSeen(at=3.0, gpus=(gpu("g0"),))])
    assert memory.fleet[-1].text == "all of the fleet is seen again"


def test_lost_runs_and_a_lost_executor_are_remembered_until_the_window_jumps() -> None:
    memory = Memory()
    memory.take([
        ev.RunEnded(at=1.0, run=RunId("e1-1"), outcome="lost", reason="node gone"),
        ev.RunEnded(at=1.0, run=RunId("e2-1"), outcome="finished", val_bpb=1.0),
        ev.ExecutorLost(at=2.0, reason="timeout"),
        ev.ExecutorFound(at=3.0),
    ])  # fmt: skip
    assert [each.text for each in memory.fleet] == [
        "run e1-1 was lost: node gone",
        "the executor cannot be reached: timeout",
        "the executor can be reached again",
    ]
    version = memory.version
    memory.forget()
    assert not memory.fleet
    assert memory.version != version
