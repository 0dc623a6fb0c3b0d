"""A researcher that thinks aloud: what it says, in its transcript and in one line."""

from __future__ import annotations

from typing import Any

import pytest
from moments import FORBIDDEN, HOSTILE, moment, texts
from rooms import Room
from story import Story
from textual.widget import Widget

from core import events as ev
from core.feed import Update
from core.fold import fold
from core.ids import ExperimentId
from tui import saying, talk
from tui.conversation import now_line, summary, transcript
from tui.glyphs import ASCII, UNICODE
from tui.memory import Memory
from tui.paint import plain, width
from tui.screens.researcher import summary as fitting
from tui.widgets.standing import doing
from tui.widgets.ticker import is_worth_a_line, ticker

MODEL = "claude-opus-5-5"


def said(story: Story, text: str, call: int = 1, *, thought: bool = False) -> Story:
    return story.wait(1).tell(ev.ResearcherSaid, call=call, text=text, is_thought=thought)


def called(story: Story, call: int = 1, **fields: Any) -> Story:
    billed = {"input_tokens": 2_200, "cache_read_tokens": 11_800, "output_tokens": 1_340, "usd": 0.0871, "seconds": 26}
    return story.wait(1).tell(ev.ModelCalled, call=call, model=MODEL, **(fields or billed))


def answering() -> Story:
    """In the middle of an answer."""
    story = Story(gpus=2).tell(ev.WaveAsked, slots=4)
    said(story, "The noise is ", thought=True)
    said(story, "0.004.", thought=True)
    said(story, "Depth and rate ")
    return said(story, "interact.")


def read(story: Story, cells: int = 100) -> str:
    lines = transcript(moment(story.state), Memory(), cells, UNICODE)
    assert all(width(line) <= cells for line in lines)
    return "\n".join(map(plain, lines))


def test_pieces_of_speech_are_one_text_and_thoughts_another() -> None:
    lines = read(answering()).splitlines()
    assert lines[0].endswith("the model · answer 1 · answering")
    assert lines[1:] == ["  The noise is 0.004.", "  Depth and rate interact."]


def test_an_answer_says_its_model_its_tools_its_tokens_and_its_price() -> None:
    story = answering().tell(ev.ToolUsed, call=1, tool="plan_wave", told="DEPTH × MATRIX_LR, 4 experiments")
    lines = read(called(story)).splitlines()
    assert lines[0].endswith(f"{MODEL} · answer 1")
    assert lines[-2] == "  ▸ plan_wave: DEPTH × MATRIX_LR, 4 experiments"
    assert lines[-1] == "  14.0k tokens read, 84 % of them cached · 1.3k written · 26s · $0.087"


def test_a_refused_tool_says_why() -> None:
    story = answering().tell(ev.ToolUsed, call=1, tool="propose_edit", told="softcap", error="it occurs twice")
    assert read(story).splitlines()[-2:] == ["  ▸ propose_edit: softcap", "  ✗ refused: it occurs twice"]


def test_a_call_without_an_answer_says_when_it_is_tried_again() -> None:
    story = Story().tell(ev.WaveAsked, slots=4)
    called(story, error="rate limited", again_at=story.at + 29)
    assert "⚠ no answer: rate limited; tried again at " in read(story)
    now = moment(story.state, now=story.at)
    assert "next try in 28s" in plain(now_line(now, UNICODE))
    assert doing(now) == ("rate limited; next try in 28s", "warning")
    assert doing(moment(story.state, now=story.at + 60))[0] == "rate limited"


def test_long_thoughts_show_their_end_and_long_answers_their_beginning() -> None:
    story = answering()
    said(story, "again " * 2_000 + "thus.", thought=True)
    lines = read(story).splitlines()
    assert lines[-1].endswith("thus.")
    assert len(lines) == 3 + talk.THOUGHT
    said(story, "First. " + "more " * 5_000)
    lines = read(story).splitlines()
    assert lines[3 + talk.THOUGHT].startswith("  First.")
    assert lines[-1] == "  …"


def test_the_notebook_waits_repairs_and_stand_ins_have_their_lines() -> None:
    story = Story().tell(ev.NotebookWritten, text="Depth helps\nuntil 12.")
    story.tell(ev.ResearcherWaits, reason="the depth series", until=story.at + 190)
    assert "waits for results, 3m10s at most: the depth series" in plain(now_line(moment(story.state), UNICODE))
    assert doing(moment(story.state))[0].startswith("waits for results, 3m10s at most")
    story.tell(ev.RepairTried, experiment=ExperimentId("e1"), by=ExperimentId("e2"))
    story.tell(ev.RepairTried, experiment=ExperimentId("e3"), reason="no idea")
    story.tell(ev.StandInAsked, stand_in="designed", reason="it refused")
    assert doing(moment(story.state))[0].startswith("designed stands in; ")
    text = read(story)
    for expected in (
        "• notebook\n  Depth helps\n  until 12.", "○ waits for results, at most 3m10s: the depth series",
        "↻ e1 is repaired as e2", "‼ e3 is not repaired: no idea", "⚠ designed stands in: it refused",
    ):  # fmt: skip
        assert expected in text
    story.tell(ev.StandInAsked, stand_in="", reason="it answers again")
    assert "✓ is back: it answers again" in read(story)
    assert not doing(moment(story.state))[0].startswith("designed")


def test_tokens_and_money_of_all_answers_are_summed_up() -> None:
    parts = summary(moment(called(called(answering()), call=2).state))
    assert parts[-3:] == ["2 model answers", "28.0k tokens read, 84 % cached, 2.7k written", "model $0.17"]
    line = plain(fitting(moment(called(answering()).state), 60))
    assert line.endswith("model $0.09")
    assert len(line) <= 60


def test_the_ticker_tells_the_latest_words_and_keeps_them_out_of_its_lines() -> None:
    story = answering()
    now = moment(story.state, now=story.at + 5)
    last = texts(ticker(now, [], 120, 3, UNICODE))[-1]
    assert last.startswith("▸ researcher: thinking 9s: Depth and rate interact.: 4 experiments asked for")
    narrow = texts(ticker(now, [], 80, 3, UNICODE))[-1]
    assert "interact.: 4 experiments" in narrow
    assert [is_worth_a_line(fact) for fact in called(story).facts[-2:]] == [False, False]
    assert is_worth_a_line(ev.ModelCalled(at=1.0, call=1, model=MODEL, error="overloaded"))


def test_what_was_said_before_it_was_asked_again_is_not_said_now() -> None:
    story = called(answering())
    story.wave({"DEPTH": "8"})
    story.wait(60).tell(ev.WaveAsked, slots=2)
    assert saying.words(story.state, 60) == ""
    assert doing(moment(story.state))[0] == "thinking 0s"


@pytest.mark.parametrize("cells", [20, 60, 120])
@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_words_stay_in_their_cells(bad: str, cells: int) -> None:
    story = Story().tell(ev.WaveAsked, slots=1)
    story.tell(ev.ResearcherSaid, call=1, text=bad).tell(ev.ResearcherSaid, call=1, text=bad, is_thought=True)
    story.tell(ev.ToolUsed, call=1, tool=bad, told=bad, error=bad)
    story.tell(ev.NotebookWritten, text=bad).tell(ev.StandInAsked, stand_in=bad, reason=bad)
    story.tell(ev.ModelCalled, call=1, model=bad, error=bad).tell(ev.RepairTried, experiment=ExperimentId("e1"))
    for glyphs in (UNICODE, ASCII):
        for line in transcript(moment(story.state), Memory(), cells, glyphs):
            assert width(line) <= cells
            assert not FORBIDDEN & set(plain(line))
    story.tell(ev.ResearcherSaid, call=1, text=bad)
    assert not FORBIDDEN & set(saying.words(story.state, cells))


async def test_the_screen_shows_what_comes_while_it_is_open() -> None:
    room = Room(answering().facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("R")
        await pilot.pause(0.2)
        await pilot.pause()

        def shown() -> str:
            reader = room.screen.query_one("#transcript", Widget)
            return "\n".join(plain(line) for line in reader._lines)  # type: ignore[attr-defined]

        assert "Depth and rate interact." in shown()
        fact = ev.ResearcherSaid(at=room.moment.state.at + 1, call=1, text=" So I cross them.")
        room._take(Update([fact], fold(room.moment.state, [fact])))
        room.show_now()
        assert "Depth and rate interact. So I cross them." in shown()
