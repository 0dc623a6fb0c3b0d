"""The end of a session: its gain is measured on runs that took no part in the choice, before the limit is there."""

from __future__ import annotations

from collections import Counter

import pytest
from story import E0, Story

from core import events as ev
from core.ids import ExperimentId
from core.policy import Finish, Launch, Move
from core.verdict import Rules, fresh_start
from core.views import improvement

BASE = (2.500, 2.510, 2.490)
E1 = ExperimentId("e1")
RULES = Rules(final_runs=2)


def kept(story: Story) -> Story:
    """One change, kept on two runs; another waits."""
    name, _ = story.score(E0, *BASE).wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.score(name, 2.0, 2.0).settle(RULES)
    assert story.state.baseline == E1
    return story


def launched(moves: tuple[Move, ...]) -> Counter[ExperimentId]:
    return Counter(move.experiment for move in moves if isinstance(move, Launch))


def replicates(story: Story) -> Counter[ExperimentId]:
    moves = story.settle(RULES)
    return Counter(move.experiment for move in moves if isinstance(move, Launch) and move.purpose == "replicate")


def test_the_end_repeats_the_best_and_the_start_for_a_gain_that_is_no_luck() -> None:
    story = Story(gpus=12).tell(ev.LimitsSet, max_experiments=1).score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.0, 2.0).settle()
    assert launched(story.settle(Rules(final_runs=5))) == {E1: 5, E0: 5}, "those that decided do not count"
    story.score(name, *[2.0] * 5).score(E0, *[2.6] * 5)
    (end,) = story.settle(Rules(final_runs=5))
    assert isinstance(end, Finish)
    gain = improvement(story.state)
    assert gain is not None
    assert gain.start == pytest.approx(2.6)
    assert gain.end == pytest.approx(2.0)
    assert (gain.start_runs, gain.runs) == (5, 5)
    assert gain.start_is_fresh
    assert gain.is_fresh


def test_runs_of_the_start_that_a_kept_change_had_to_beat_are_not_fresh() -> None:
    story = kept(Story(gpus=2))
    assert fresh_start(story.state, "cpu") == ()
    assert fresh_start(story.score(E0, 2.7).state, "cpu") == (2.7,)
    gain = improvement(story.state)
    assert gain is not None
    assert (gain.start_is_fresh, gain.start_runs) == (False, 4), "one alone is not enough"


def test_before_the_limit_of_hours_the_report_comes_first_and_in_time() -> None:
    story = kept(Story(gpus=1).tell(ev.LimitsSet, max_hours=1.0))
    took = story.state.duration_s
    assert took > 0
    story.wait(3600 - (story.state.at - story.state.started_at) - 5.5 * took)
    assert launched(story.settle(RULES))[E0] == 0, "four runs on one GPU, and one that is waited for: not yet"
    story.wait(took)
    for name in (E1, E1, E0, E0):
        assert replicates(story) == {name: 1}
        story.score(name, 2.0 if name == E1 else 2.5)
    gain = improvement(story.state)
    assert gain is not None
    assert gain.is_fresh
    assert gain.start_is_fresh


def test_research_goes_on_beside_the_report() -> None:
    story = kept(Story(gpus=8).tell(ev.LimitsSet, max_hours=1.0))
    story.wait(3595 - (story.state.at - story.state.started_at))
    counts = launched(story.settle(RULES))
    assert counts[E1] >= counts[E0] == 2
    assert counts[ExperimentId("e2")] == 1


@pytest.mark.parametrize(("limit", "runs"), [(85.0, {E0: 1}), (1000.0, {})])
def test_before_the_money_is_used_the_report_comes_first(limit: float, runs: dict[ExperimentId, int]) -> None:
    story = Story(gpus=1).tell(ev.PricesSet, gpu_usd_hour={"cpu": 3600.0}).tell(ev.LimitsSet, max_usd=limit)
    story = kept(story).score(E1, 2.0, 2.0)  # 7 runs of 10 s, at a dollar per second
    assert replicates(story) == runs


def test_a_target_is_reached_on_runs_that_did_not_choose() -> None:
    story = kept(Story(gpus=8).tell(ev.LimitsSet, target_bpb=2.05))
    assert launched(story.settle(RULES))[E1] >= 2, "it looks reached: confirmed first"
    story.score(E1, 2.2, 2.2)
    assert not any(isinstance(move, Finish) for move in story.settle(RULES)), "it was luck"
    story.score(E1, 1.8, 1.8)
    story.score(ExperimentId("e2"), 3.0)
    moves = story.settle(RULES)
    assert moves == (Finish("target reached: val_bpb 2.0000 ≤ 2.05"),)
