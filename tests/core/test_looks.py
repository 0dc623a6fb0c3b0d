"""Time alone changes the plan only at moments that are known in advance."""

from __future__ import annotations

import math

import pytest
from story import E0, Story

from core import events as ev
from core.looks import AFTER_S, next_look
from core.placement import PATIENCE_S
from core.policy import EARLY, EARLY_S


def test_without_limits_questions_and_runs_only_news_count() -> None:
    story = Story()
    assert next_look(story.state, story.at) == math.inf


def test_the_end_of_the_hours_is_looked_for() -> None:
    story = Story()
    begun = story.state.span_at
    story.tell(ev.LimitsSet, max_hours=1.0)
    assert next_look(story.state, begun + 600) == pytest.approx(3000 + AFTER_S)
    assert next_look(story.state, begun + 3601) == math.inf


def test_patience_with_a_researcher_ends() -> None:
    story = Story().tell(ev.WaveAsked, slots=4)
    assert next_look(story.state, story.at) == pytest.approx(PATIENCE_S + AFTER_S)


def test_the_moment_to_ask_comes_before_a_run_ends() -> None:
    story = Story().score(E0, 2.5)
    story.start(E0)
    started = next(run.started_at for run in story.state.runs.values() if run.ended_at is None)
    assert started is not None
    expected = started + story.state.duration_s - story.state.think_s * EARLY - EARLY_S + AFTER_S - story.at
    assert expected > 0
    assert next_look(story.state, story.at) == pytest.approx(expected)
