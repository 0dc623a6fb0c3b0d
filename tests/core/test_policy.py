"""The plan: what follows from a state, from scratch each time."""

from __future__ import annotations

from collections import Counter

import pytest
from story import E0, Story

from core import events as ev
from core.ids import GpuId
from core.policy import Ask, AskAgain, Cancel, Commit, Finish, Judge, Launch, Move, plan
from core.setbacks import LONGEST_S
from core.state import State
from core.tiers import MAX_LOST
from core.verdict import Rules

RULES = Rules()
DEPTHS: dict[str, tuple[str, ...]] = {"DEPTH": ("1", "2", "3", "4", "5", "6", "7", "8", "9")}


def planned(story: Story, rules: Rules = RULES) -> tuple[Move, ...]:
    return plan(story.state, rules, story.at)


def kinds(moves: tuple[Move, ...]) -> Counter[str]:
    return Counter(type(move).__name__ for move in moves)


def launched(moves: tuple[Move, ...]) -> list[str]:
    return [move.run for move in moves if isinstance(move, Launch)]


def test_a_fresh_session_measures_the_baseline_on_every_gpu() -> None:
    assert launched(planned(Story(gpus=2))) == ["e0-1", "e0-2"]


def test_gpus_beyond_the_baseline_ask_for_ideas_at_once() -> None:
    moves = planned(Story(gpus=16))
    assert launched(moves) == ["e0-1", "e0-2", "e0-3"]
    assert [move for move in moves if isinstance(move, Ask)] == [Ask(16)]


def test_without_an_engine_there_is_nothing_to_do() -> None:
    assert planned(Story().tell(ev.EngineStopped, reason="x")) == ()
    assert plan(State(), RULES, 0.0) == ()


def test_seeds_differ_between_runs_and_follow_from_the_session() -> None:
    moves = [move for move in planned(Story(gpus=3)) if isinstance(move, Launch)]
    assert len({move.seed for move in moves}) == 3
    assert moves == [move for move in planned(Story(gpus=3)) if isinstance(move, Launch)]


def measured(gpus: int = 2) -> Story:
    return Story(gpus=gpus).score(E0, 2.50, 2.51, 2.49)


def test_queued_experiments_fill_free_gpus_in_order() -> None:
    story = measured()
    story.wave({"DEPTH": "2"}, {"DEPTH": "8"}, {"DEPTH": "6"})
    assert launched(planned(story)) == ["e1-1", "e2-1"]


def test_a_promoted_experiment_goes_first() -> None:
    story = measured()
    *_, last = story.wave({"DEPTH": "2"}, {"DEPTH": "8"}, {"DEPTH": "6"})
    assert launched(planned(story.tell(ev.ExperimentPromoted, experiment=last, by="ada")))[0] == "e3-1"


def test_a_retest_goes_before_new_experiments_and_is_recorded_with_its_reason() -> None:
    story = measured()
    first, _ = story.wave({"DEPTH": "2"}, {"DEPTH": "8"})
    story.score(first, 2.40)
    (move,) = planned(story)
    assert isinstance(move, AskAgain)
    story.tell(ev.ExperimentRetested, experiment=first, reason=move.reason, evidence=move.evidence)
    assert launched(planned(story))[0] == "e1-2"


def test_only_the_most_promising_candidates_are_confirmed_at_a_time() -> None:
    story = measured()
    names = story.wave(*({"DEPTH": str(depth)} for depth in range(5, 10)), factors=DEPTHS)
    for name, score in zip(names, (2.40, 2.22, 2.35, 2.20, 2.45), strict=True):
        story.score(name, score)
    assert [move.experiment for move in planned(story) if isinstance(move, AskAgain)] == ["e4", "e2"]


def test_a_candidate_far_behind_the_best_waits_for_its_verdict() -> None:
    story = measured()
    first, second = story.wave({"DEPTH": "2"}, {"DEPTH": "3"}, factors=DEPTHS)
    story.score(first, 2.2).score(second, 2.42)
    assert [move.experiment for move in planned(story) if isinstance(move, AskAgain)] == ["e1"]


def test_a_candidate_far_behind_one_that_is_being_confirmed_waits_too() -> None:
    story = measured()
    first, second = story.wave({"DEPTH": "2"}, {"DEPTH": "3"}, factors=DEPTHS)
    story.score(first, 2.2)
    (move,) = [move for move in planned(story) if isinstance(move, AskAgain)]
    story.tell(ev.ExperimentRetested, experiment=first, reason=move.reason, evidence=move.evidence)
    story.start(first)
    story.score(second, 2.42)
    assert "AskAgain" not in kinds(planned(story))
    assert "e2-2" not in launched(planned(story))


def test_a_candidate_that_looks_worse_after_its_second_run_is_run_again_nevertheless() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    story.tell(ev.LimitsSet, max_experiments=1).score(name, 2.2)
    (move,) = [move for move in planned(story) if isinstance(move, AskAgain)]
    story.tell(ev.ExperimentRetested, experiment=name, reason=move.reason, evidence=move.evidence)
    story.score(name, 2.7)
    assert "AskAgain" in kinds(planned(story)) or "Judge" in kinds(planned(story))


def test_of_several_that_are_better_the_best_is_kept_first() -> None:
    story = measured()
    good, better = story.wave({"DEPTH": "2"}, {"DEPTH": "1"}, factors=DEPTHS)
    story.score(good, 2.3, 2.3).score(better, 2.1, 2.1)
    assert [(m.experiment, m.verdict) for m in planned(story) if isinstance(m, Judge)] == [("e2", "kept")]
    story.judge(better, "kept")
    assert Commit(better) in planned(story)
    story.move(better)
    assert [(m.experiment, m.verdict) for m in planned(story) if isinstance(m, Judge)] == [("e1", "discarded")]


def test_no_wave_is_asked_for_while_the_baseline_is_about_to_move() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3, 2.3).judge(name, "kept")
    assert kinds(planned(story)) == {"Commit": 1}


def test_a_vetoed_run_is_cancelled_until_it_has_ended() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.tell(ev.ExperimentVetoed, experiment=name, by="ada")
    assert Cancel(run) in planned(story)
    story.tell(ev.RunEnded, run=run, outcome="cancelled")
    assert Cancel(run) not in planned(story)


def test_a_pause_starts_nothing_and_judges_what_ends() -> None:
    story = measured()
    worse, _ = story.wave({"DEPTH": "2"}, {"DEPTH": "8"})
    run = story.start(worse)
    story.tell(ev.ResearchPaused, by="ada")
    assert planned(story) == ()
    story.finish(run, 2.9)
    assert kinds(planned(story)) == {"Judge": 1}


def test_a_stop_waits_for_running_jobs_unless_it_is_now() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.tell(ev.StopRequested, by="ada")
    assert planned(story) == ()
    assert planned(story.tell(ev.StopRequested, by="ada", now=True)) == (Cancel(run),)
    story.tell(ev.RunEnded, run=run, outcome="cancelled")
    assert planned(story) == (Finish("stopped by ada"),)


def test_the_limit_of_experiments_ends_the_session_when_all_are_judged() -> None:
    story = measured().tell(ev.LimitsSet, max_experiments=1)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.9)
    assert kinds(planned(story)) == {"Judge": 1}
    story.judge(name, "discarded")
    assert planned(story) == (Finish("all 1 experiments of this session are done"),)


def test_the_limit_of_hours_starts_nothing_new_and_lets_runs_finish() -> None:
    story = measured().tell(ev.LimitsSet, max_hours=1.0)
    run = story.start(E0)
    story.wait(3600)
    assert planned(story) == ()
    story.finish(run, 2.5)
    (finish,) = planned(story)
    assert finish == Finish("the 1 h of this session are used")


def test_the_target_ends_the_session_once_more_than_one_run_reaches_it() -> None:
    story = Story(gpus=1).tell(ev.LimitsSet, target_bpb=2.51).score(E0, 2.5)
    assert "Finish" not in kinds(planned(story))
    assert isinstance(planned(story.score(E0, 2.5))[-1], Finish)


def test_a_baseline_that_crashes_twice_ends_with_nothing_can_run_here() -> None:
    story = Story(gpus=2)
    first, second = story.start(E0), story.start(E0, gpu=1)
    (other,) = story.wave({"DEPTH": "2"})
    story.crash(first, "ModuleNotFoundError: No module named 'torch'")
    assert "Finish" not in kinds(planned(story)), "one crash may be an accident"
    run = story.start(other)
    story.crash(second, "ModuleNotFoundError: No module named 'torch'")
    assert planned(story) == (Cancel(run),)
    (finish,) = planned(story.tell(ev.RunEnded, run=run, outcome="cancelled"))
    assert isinstance(finish, Finish)
    assert finish.exit_code == 3
    assert "No module named 'torch'" in finish.reason


def test_replicates_of_the_baseline_that_fail_are_repeated_but_not_for_ever() -> None:
    story = Story(gpus=1)
    story.crash(story.start(E0)).score(E0, 2.5)
    story.crash(story.start(E0))
    assert launched(planned(story)) == ["e0-4"], "one of three worked"
    story.crash(story.start(E0)).crash(story.start(E0), "killed by signal 9")
    (finish,) = planned(story)
    assert finish == Finish(
        "only 1 of 5 runs of the baseline worked, too few to compare with: killed by signal 9", exit_code=3
    )


def test_an_engine_started_again_tries_a_broken_baseline_again() -> None:
    story = Story(gpus=2)
    first, second = story.start(E0), story.start(E0, gpu=1)
    story.crash(first).crash(second).tell(ev.EngineStopped, reason="x", exit_code=3).wait(60).engine()
    assert launched(planned(story)) == ["e0-3", "e0-4"]


def test_a_baseline_that_is_always_lost_is_not_launched_for_ever() -> None:
    story = Story(gpus=1)
    for _ in range(MAX_LOST + 1):
        (move,) = planned(story.wait(LONGEST_S))
        assert isinstance(move, Launch)
        story.tell(ev.RunEnded, run=story.start(E0), outcome="lost", reason="disk full")
    (finish,) = planned(story)
    assert isinstance(finish, Finish)
    assert finish.exit_code == 3


def test_an_experiment_whose_gpu_type_is_gone_is_measured_on_another() -> None:
    story = Story(gpu_type="H100").score(E0, 2.5, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3)
    story.gpu_type, story.gpus = "cpu", Story().gpus
    story.tell(ev.EngineStopped, reason="x").engine().score(E0, 2.5, 2.5, 2.5)
    assert [(m.run, m.gpu_type) for m in planned(story) if isinstance(m, Launch)] == [("e1-2", "cpu")]
    assert "Finish" not in kinds(planned(story))


def test_an_experiment_whose_first_run_was_lost_on_another_type_is_judged_where_it_ran() -> None:
    story = Story(gpu_type="A100")
    (name,) = story.wave({"DEPTH": "2"})
    story.tell(ev.RunEnded, run=story.start(name), outcome="lost")
    story.gpu_type, story.gpus = "H100", Story(gpu_type="H100").gpus
    story.tell(ev.FleetSeen, gpus=story.gpus).score(E0, 2.5, 2.5, 2.5).score(name, 2.9)
    assert [(m.experiment, m.verdict) for m in planned(story) if isinstance(m, Judge)] == [("e1", "discarded")]


def test_a_researcher_that_gave_up_ends_the_session_when_nothing_is_open() -> None:
    story = measured().tell(ev.ResearchFailed, reason="no key", fatal=True)
    assert planned(story) == (Finish("the researcher cannot go on: no key", 4),)


def test_the_researcher_is_asked_once() -> None:
    story = measured()
    assert kinds(planned(story)) == {"Ask": 1}
    assert "Ask" not in kinds(planned(story.tell(ev.WaveAsked, slots=2)))


def test_idle_gpus_repeat_the_baseline_while_the_researcher_thinks() -> None:
    story = measured().tell(ev.WaveAsked, slots=2)
    assert planned(story) == (), "it may answer at once"
    moves = planned(story.wait(2))
    assert [(move.experiment, move.purpose) for move in moves if isinstance(move, Launch)] == [("e0", "replicate")] * 2


def test_a_slow_researcher_is_asked_before_gpus_are_free() -> None:
    story = measured()
    story.tell(ev.WaveAsked, slots=2).wait(60)
    first, second = story.wave({"DEPTH": "2"}, {"DEPTH": "8"})
    story.start(first)
    story.start(second, gpu=1)
    assert kinds(planned(story)) == {"Ask": 1}, "runs take 10 s, an answer takes 60 s"


def test_each_gpu_type_measures_its_own_baseline() -> None:
    story = Story(gpus=3, gpu_type="H100").score(E0, 1.0, 1.0, 1.0)
    gpus = (*story.gpus, ev.Gpu(GpuId("h200-0"), "H200"))
    moves = planned(story.tell(ev.FleetSeen, gpus=gpus))
    assert [(move.experiment, move.gpu_type) for move in moves if isinstance(move, Launch)] == [("e0", "H200")]


@pytest.mark.parametrize("gpus", [1, 2, 5, 16])
def test_never_more_runs_than_gpus(gpus: int) -> None:
    story = measured(gpus)
    story.wave(*({"DEPTH": str(depth)} for depth in range(5, 40)))
    moves = planned(story)
    assert len(launched(moves)) == gpus
    assert len(set(launched(moves))) == gpus


def test_without_any_gpu_nothing_is_launched_asked_or_decided() -> None:
    story = measured()
    first, second = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.score(first, 2.0, 2.0)
    running = story.start(second)
    assert "Judge" in kinds(planned(story))
    story.tell(ev.FleetSeen, gpus=()).tell(ev.RunEnded, run=running, outcome="lost", reason="its node is gone")
    assert planned(story.wait(600)) == ()
    story.tell(ev.FleetSeen, gpus=story.gpus)
    assert "Judge" in kinds(planned(story))


def test_a_baseline_that_its_last_node_takes_along_is_run_again_and_ends_nothing() -> None:
    story = Story(gpus=1)
    story.wait(60).tell(ev.RunEnded, run=story.start(E0), outcome="lost", reason="its node is gone")
    assert planned(story.tell(ev.FleetSeen, gpus=())) == ()
    assert launched(planned(story.wait(60).tell(ev.FleetSeen, gpus=story.gpus))) == ["e0-2"]


def test_without_any_gpu_the_session_can_be_stopped() -> None:
    story = measured().tell(ev.FleetSeen, gpus=()).tell(ev.StopRequested, by="ada", now=False)
    assert [move.reason for move in planned(story) if isinstance(move, Finish)] == ["stopped by ada"]
