"""Which run goes where: what is needed for a verdict first, and never more than what serves one."""

from __future__ import annotations

from collections import Counter

import pytest
from story import E0, Story

from core import events as ev
from core.ids import ExperimentId
from core.placement import MOST_FOR_RETESTS, SPARE_REPLICATES
from core.policy import Launch, Move
from core.verdict import Rules

BASE = (2.500, 2.510, 2.490)
E1 = ExperimentId("e1")


def launched(moves: tuple[Move, ...]) -> list[Launch]:
    return [move for move in moves if isinstance(move, Launch)]


def shown(moves: tuple[Move, ...]) -> list[tuple[str, str]]:
    return [(move.run, move.purpose) for move in launched(moves)]


def candidates(count: int = 4, *, gpus: int = 8) -> Story:
    """Each of the first `count` experiments looks better on one run; two more wait."""
    story = Story(gpus=gpus).score(E0, *BASE)
    names = story.wave(*({"DEPTH": str(depth)} for depth in range(5, 7 + count)))
    for name in names[:count]:
        story.score(name, 2.45)
    return story


def test_the_baseline_comes_before_everything_that_is_compared_with_it() -> None:
    story = Story(gpus=4)
    story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    assert [run for run, _ in shown(story.settle())] == ["e0-1", "e0-2", "e0-3", "e1-1"]


def test_a_replicate_that_is_under_way_is_not_started_again() -> None:
    story = Story(gpus=4)
    story.start(E0)
    story.start(E0, gpu=1)
    assert [run for run, _ in shown(story.settle())] == ["e0-3"]


def test_candidates_then_their_baseline_then_new_ideas() -> None:
    runs = [("e1-2", "retest"), ("e2-2", "retest"), ("e3-2", "retest"), ("e4-2", "retest")]
    assert shown(candidates().settle())[:6] == [*runs, ("e0-4", "replicate"), ("e5-1", "first")]


def test_a_single_gpu_goes_to_what_decides_most() -> None:
    assert shown(candidates(1, gpus=1).settle()) == [("e1-2", "retest")]


@pytest.mark.parametrize(("count", "runs", "enough"), [(1, 1, 2), (4, 1, 4), (9, 1, 6), (9, 4, 12)])
def test_the_baseline_gets_more_runs_the_more_candidates_are_compared_with_it(
    count: int, runs: int, enough: int
) -> None:
    """√k times the runs that a candidate will have, and never more than a dozen."""
    story = candidates(count, gpus=60)
    for number in range(1, count + 1):
        story.score(ExperimentId(f"e{number}"), *[2.475] * (runs - 1))
    more = sum(move.experiment == E0 for move in launched(story.settle()))
    assert len(BASE) + more == max(len(BASE), enough)
    assert enough <= MOST_FOR_RETESTS


def test_idle_gpus_repeat_a_candidate_more_than_once_at_a_time_but_within_its_limit() -> None:
    story = Story(gpus=40).score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    runs = [
        move.run for move in launched(story.score(name, 2.45).settle(Rules(max_retests=3))) if move.experiment == E1
    ]
    assert runs == ["e1-2", "e1-3", "e1-4"]


def test_a_candidate_is_confirmed_on_the_type_it_was_measured_on() -> None:
    story = Story().fleet(H100=3, H200=2).score(E0, *BASE).score(E0, *BASE, on="H200")
    names = story.wave(*({"DEPTH": str(depth)} for depth in range(5, 9)))
    story.score(names[0], 2.45, on="H200")
    retest = next(move for move in launched(story.settle()) if move.experiment == names[0])
    assert (retest.run, retest.gpu_type, retest.tier) == ("e1-2", "H200", "screen")


def test_new_ideas_overflow_to_the_validation_type_when_it_is_free() -> None:
    story = Story().fleet(H100=2, H200=1).score(E0, *BASE).score(E0, *BASE, on="H200")
    story.wave(*({"DEPTH": str(depth)} for depth in range(5, 12)))
    assert Counter(move.gpu_type for move in launched(story.settle())) == {"H100": 2, "H200": 1}


def test_a_gpu_that_another_user_holds_gets_nothing() -> None:
    story = candidates(1, gpus=3)
    held = tuple(ev.Gpu(gpu.id, gpu.type, held_by="bob") for gpu in story.gpus[:2])
    story.tell(ev.FleetSeen, gpus=(*held, story.gpus[2]))
    assert shown(story.settle()) == [("e1-2", "retest")]


@pytest.mark.parametrize("replicates", [True, False])
def test_spare_replicates_run_only_while_the_researcher_thinks_and_are_limited(replicates: bool) -> None:
    story = Story(gpus=20).score(E0, *BASE)
    rules = Rules(replicates=replicates)
    story.tell(ev.WaveAsked, slots=20)
    assert shown(story.settle(rules)) == []
    spare = launched(story.wait(5).settle(rules))
    assert len(spare) == (SPARE_REPLICATES - len(BASE) if replicates else 0)


def test_what_a_baseline_needs_for_two_reasons_is_launched_once() -> None:
    story = candidates(4, gpus=60).tell(ev.WaveAsked, slots=60).wait(5)
    assert sum(move.experiment == E0 for move in launched(story.settle())) == SPARE_REPLICATES - len(BASE)


def test_a_baseline_that_older_ideas_are_still_compared_with_is_measured_on() -> None:
    story = Story(gpus=8).score(E0, *BASE[:2])
    first, other = story.wave({"TOTAL_BATCH_SIZE": "2**13"}, {"DEPTH": "2"})
    story.score(other, 2.45).judge(first, "kept")
    runs = [move.run for move in launched(story.settle())]
    assert story.state.baseline == first
    assert "e0-3" in runs, "e2 is still judged against e0"
    assert {"e1-1", "e1-2", "e1-3"} <= set(runs)


def test_every_run_has_an_id_and_a_seed_of_its_own() -> None:
    story = candidates(gpus=40)
    moves = launched(story.settle())
    assert len({move.run for move in moves}) == len({move.seed for move in moves}) == len(moves) > 5
    assert not {move.run for move in moves} & story.state.runs.keys()
