"""What the chart draws, kept up to date as states come."""

from __future__ import annotations

import tapes
from story import E0, Story

from core.fold import fold
from core.state import State
from tui.widgets.marks import Collector, boundaries, marks


def test_every_result_and_every_crash_has_a_mark() -> None:
    state = fold(State(), tapes.crossed())
    found = {str(mark.experiment): mark for mark in Collector().of(state).marks}
    assert found["e1"].val_bpb == 1.012
    assert found["e3"].val_bpb is None
    assert found["e3"].status == "crashed"
    assert found["e4"].runs == 2
    assert "e8" not in found  # it has no result yet


def test_a_state_that_changed_elsewhere_gives_the_very_same_series() -> None:
    story = Story().score(E0, 1.0, 1.01)
    collector = Collector()
    before = collector.of(story.state)
    names = story.wave({"DEPTH": "2"})
    assert collector.of(story.state).marks == before.marks
    assert collector.of(story.state) is collector.of(story.state)
    story.score(names[0], 0.9)
    assert [mark.experiment for mark in collector.of(story.state).marks] == ["e0", "e1"]


def test_growing_state_by_state_ends_where_one_look_at_the_end_does() -> None:
    facts, collector, state = tapes.simulated(0.5), Collector(), State()
    for start in range(0, len(facts), 37):
        state = fold(state, facts[start : start + 37])
        grown = collector.of(state)
    assert grown == Collector().of(state)
    assert len(grown.types) == 2


def test_a_jump_back_forgets_what_had_not_happened_yet() -> None:
    facts, collector = tapes.simulated(0.5), Collector()
    early = fold(State(), facts[: len(facts) // 3])
    collector.of(fold(State(), facts))
    assert collector.of(early) == Collector().of(early)


def test_baselines_follow_each_other_per_gpu_type() -> None:
    story = Story().score(E0, 1.0, 1.02)
    (better,) = story.wave({"DEPTH": "2"})
    story.score(better, 0.9, 0.92).judge(better, "kept").move(better)
    (steps,) = Collector().of(story.state).steps.values()
    assert [(step.experiment, round(step.val_bpb, 3)) for step in steps] == [("e0", 1.01), ("e1", 0.91)]
    assert steps[1].at >= steps[0].at


def test_waves_begin_at_their_first_mark() -> None:
    story = Story().score(E0, 1.0)
    first, second = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.score(first, 1.1).score(second, 1.2)
    (third,) = story.wave({"DEPTH": "5"})
    story.score(third, 1.3)
    found = boundaries(Collector().of(story.state).marks)
    assert [(wave, mark.experiment) for wave, mark in found] == [("w1", first), ("w2", third)]


def test_an_experiment_without_a_result_has_no_mark() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    assert marks(story.state, story.state.experiments[name]) == ()
