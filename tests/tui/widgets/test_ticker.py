"""The ticker: what just happened, and what the researcher is doing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from moments import assert_fits, hostile, hostile_facts, moment, texts
from story import E0, Story
from tapes import crossed, simulated

from core import events as ev
from core.fold import fold
from core.state import State
from tui.glyphs import ASCII, UNICODE
from tui.moment import Moment
from tui.widgets.ticker import Entry, about, clock, entry, ticker, word_of

CROSSED = fold(State(), crossed())


def entries(facts: Sequence[ev.Fact], state: State) -> list[Entry]:
    return [told for fact in facts if (told := entry(fact, state)) is not None]


def test_the_newest_is_last_and_the_researcher_below_it() -> None:
    told = entries(crossed(), CROSSED)
    lines = texts(ticker(moment(CROSSED), told, 100, 4, UNICODE))
    assert lines[-2].endswith("vetoed by ada: too slow")
    assert lines[-3].endswith("e4 ✓ kept: so")
    assert lines[-1] == "▸ researcher: next wave after 1 queued, 4 GPUs free"


def test_every_line_has_its_time_and_a_glyph() -> None:
    told = entries(crossed(), CROSSED)
    veto = told[-1]
    (line,) = texts(ticker(moment(CROSSED), [veto], 100, 2, UNICODE))[:1]
    assert line.startswith(f"{clock(veto.at)} ⊘ e5 ")


def test_what_the_researcher_does_is_said() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0).tell(ev.WaveAsked, slots=13)
    lines = texts(ticker(moment(story.state, now=story.at + 34), [], 100, 3, UNICODE))
    assert lines[-1] == "▸ researcher: thinking 34s: 13 experiments asked for, 2 GPUs free"
    story.tell(ev.ResearchFailed, reason="the key is wrong", fatal=True)
    assert "gave up: the key is wrong" in texts(ticker(moment(story.state), [], 100, 3, UNICODE))[-1]


def test_facts_that_come_every_second_are_no_news() -> None:
    facts = simulated(0.3)
    state = fold(State(), facts)
    assert not [told for told in entries(facts, state) if told.text == ""]
    assert entry(next(fact for fact in facts if isinstance(fact, ev.RunProgressed)), state) is None


@pytest.mark.parametrize("verdict", ["kept", "discarded", "crashed"])
def test_a_verdict_has_the_word_of_its_state(verdict: ev.FinalVerdict) -> None:
    assert word_of(ev.ExperimentJudged(at=1.0, experiment=E0, verdict=verdict, reason="")) == verdict


def test_a_line_knows_its_experiment_by_name_or_by_run() -> None:
    ended = next(fact for fact in crossed() if isinstance(fact, ev.RunEnded) and fact.run == "e3-1")
    assert about(ended, CROSSED) == "e3"
    assert about(next(fact for fact in crossed() if isinstance(fact, ev.ExperimentVetoed)), CROSSED) == "e5"
    assert about(ev.RunEnded(at=1.0, run="gone-1", outcome="lost"), CROSSED) is None  # type: ignore[arg-type]


def test_the_cursor_keeps_its_line_in_view_and_says_how_much_is_newer() -> None:
    told = entries(crossed(), CROSSED)
    lines = texts(ticker(moment(CROSSED), told, 100, 5, UNICODE, 0))
    assert told[0].text[:40] in lines[0]
    assert lines[-1].endswith(f"↓ {len(told) - 4} newer")


@pytest.mark.parametrize(("mode", "said"), [("loading", "Reading the session…"), ("live", "Nothing has happened yet.")])
def test_without_news_one_sentence_says_why(mode: str, said: str) -> None:
    assert texts(ticker(Moment(mode=mode), [], 60, 4, UNICODE))[2] == said or said in texts(  # type: ignore[arg-type]
        ticker(Moment(mode=mode), [], 60, 4, UNICODE)  # type: ignore[arg-type]
    )


def test_hostile_texts_break_nothing() -> None:
    told = entries(hostile_facts(), hostile())
    assert len(told) >= 10
    for cells in (5, 12, 40, 120):
        for height in (1, 2, 4, 30):
            for glyphs in (UNICODE, ASCII):
                for cursor in (None, 0, len(told) - 1):
                    assert_fits(ticker(moment(hostile()), told, cells, height, glyphs, cursor), cells, height)


def test_a_time_that_is_none_is_dashes() -> None:
    assert clock(1e300) == "--:--:--"
