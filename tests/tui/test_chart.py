"""The chart in a plain terminal."""

from __future__ import annotations

import pytest
from story import E0, Story

from tui.chart import chart, limits, staircase, summary


def campaign() -> Story:
    story = Story().score(E0, 2.50, 2.52)
    kept, worse, broken, disaster = story.wave({"DEPTH": "2"}, {"DEPTH": "8"}, {"DEPTH": "1"}, {"DEPTH": "16"})
    story.score(kept, 2.30, 2.32).judge(kept, "kept").move(kept)
    story.score(worse, 2.60).judge(worse, "discarded")
    story.crash(story.start(broken)).judge(broken, "crashed")
    return story.score(disaster, 9.0).judge(disaster, "discarded")


def test_the_chart_has_a_mark_per_experiment_and_the_staircase() -> None:
    rows = chart(campaign().state, width=60, height=18).splitlines()
    assert max(map(len, rows[1:])) <= 60
    drawn = "\n".join(rows[1:])
    assert drawn.count("✓") == 2
    assert drawn.count("‼") == 1
    assert "│" in drawn
    assert "e0" in rows[-1]
    assert "e4" in rows[-1]


def test_there_is_no_chart_of_nothing() -> None:
    assert chart(Story().state) == ""
    assert chart(Story().score(E0, 2.5).state) == ""


def test_it_carries_no_escapes_unless_colour_is_asked_for() -> None:
    assert "\x1b" not in chart(campaign().state)
    assert "\x1b" in chart(campaign().state, colour=True)


def test_a_disaster_does_not_squeeze_the_interesting_band() -> None:
    low, high = limits([2.3 + i * 0.01 for i in range(30)] + [9.0])
    assert 2.2 < low < 2.3
    assert high < 2.7


def test_the_staircase_follows_the_lineage() -> None:
    numbers, means = zip(*staircase(campaign().state), strict=True)
    assert numbers == (0, 1)
    assert means == pytest.approx((2.51, 2.31))


def test_the_summary_says_what_was_reached_and_where_the_time_went() -> None:
    text = summary(campaign().state)
    assert text.startswith("val_bpb 2.5100 → 2.3100: −8.0 % ± ")
    assert "(e1 on cpu, 2 fresh runs, 2 fresh of the start; 95 % interval)" in text
    assert "4 experiments, 1 kept, 7 runs" in text
    assert summary(Story().state).startswith("nothing measured yet")
