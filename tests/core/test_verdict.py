"""Verdicts: better than the noise, or only luck."""

from __future__ import annotations

import math
import statistics

import pytest
from story import E0, Story

from core import events as ev
from core.ids import ExperimentId, run_id
from core.policy import Launch
from core.state import State
from core.verdict import Final, Judgement, Retest, Rules, Wait, fresh, judge, noise, reference, student_t
from core.views import improvement

RULES = Rules()
BASE = (2.500, 2.510, 2.490)


def judged(*scores: float, base: tuple[float, ...] = BASE, rules: Rules = RULES) -> Judgement:
    story = Story().score(E0, *base)
    (name,) = story.wave({"DEPTH": "2"})
    state = story.score(name, *scores).state
    return judge(state, state.experiments[name], rules)


def test_nothing_is_said_before_the_experiment_and_the_baseline_are_measured() -> None:
    assert isinstance(judged(), Wait)
    assert isinstance(judged(2.4, base=(2.5,)), Wait)


def test_nothing_is_kept_on_one_run_however_good() -> None:
    judgement = judged(1.0)
    assert isinstance(judgement, Retest)
    assert "a second seed must confirm it" in judgement.reason


def test_clearly_better_twice_is_kept_with_its_evidence() -> None:
    judgement = judged(2.30, 2.31)
    assert isinstance(judgement, Final)
    assert judgement.verdict == "kept"
    assert judgement.evidence is not None
    assert judgement.evidence.delta == pytest.approx(-0.195)
    assert judgement.reason.startswith("−0.1950 ± ")
    assert "(2 runs, 3 of the baseline)" in judgement.reason


@pytest.mark.parametrize("score", [2.515, 2.60])
def test_no_better_on_the_first_run_is_discarded(score: float) -> None:
    judgement = judged(score)
    assert isinstance(judgement, Final)
    assert judgement.verdict == "discarded"


def test_what_could_be_noise_is_run_again_and_given_up_in_the_end() -> None:
    assert isinstance(judged(2.475, 2.478), Retest)
    last = judged(2.475, 2.478, 2.476, 2.477, rules=Rules(max_retests=3, false_keeps=1e-9, futility=1e-9))
    assert isinstance(last, Final)
    assert last.verdict == "discarded"
    assert "could still be noise" in last.reason
    assert "standard errors needed" in last.reason


def test_little_known_noise_asks_for_more() -> None:
    few = judged(2.455, 2.455, base=(2.500, 2.505, 2.495))
    many = judged(2.455, 2.455, base=(2.500, 2.505, 2.495) * 10)
    assert isinstance(few, Retest)
    assert isinstance(many, Final)
    assert many.verdict == "kept"


def test_no_verdict_before_the_baseline_has_its_replicates_unless_they_fail() -> None:
    story = Story().score(E0, 2.50, 2.51)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.6)
    assert isinstance(judge(story.state, story.state.experiments[name], RULES), Wait)
    for _ in range(5):
        story.crash(story.start(E0))
    assert isinstance(judge(story.state, story.state.experiments[name], RULES), Final)


def test_a_seed_that_diverges_does_not_blur_the_noise_of_the_others() -> None:
    story = Story().score(E0, 2.50, 2.51, 2.49)
    diverged, good = story.wave({"MATRIX_LR": "0.1"}, {"DEPTH": "2"})
    before = noise(story.state, "cpu")
    story.score(diverged, 2.40, 9.0)
    assert noise(story.state, "cpu") == before
    story.score(good, 2.0, 2.0)
    judgement = judge(story.state, story.state.experiments[good], RULES)
    assert isinstance(judgement, Final)
    assert judgement.verdict == "kept"


def test_an_absurd_result_does_not_break_the_fold() -> None:
    story = Story().score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    assert len(story.score(name, 1e200, 1e-200, 1e308, 1e308).state.runs) == 6
    assert story.state.scores[name, "cpu"] == (1e-200,)


def test_a_promoted_experiment_with_many_runs_still_gets_another_look() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.497, 2.497, 2.497).judge(name, "discarded").tell(ev.ExperimentPromoted, experiment=name, by="a")
    judgement = judge(story.state, story.state.experiments[name], RULES)
    assert isinstance(judgement, Retest)


def test_a_crash_of_what_never_worked_or_worked_less_often_is_a_crash_with_its_reason() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3).crash(story.start(name), "NCCL error: an accident")
    assert isinstance(judge(story.state, story.state.experiments[name], RULES), Retest)
    story.crash(story.start(name), "RuntimeError: shape mismatch")
    judgement = judge(story.state, story.state.experiments[name], RULES)
    assert judgement == Final("crashed", "RuntimeError: shape mismatch")


def test_lost_runs_are_tried_again_but_not_for_ever() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    verdicts = []
    for _ in range(RULES.max_lost):
        run = story.start(name)
        story.tell(ev.RunEnded, run=run, outcome="lost", reason="power cut")
        verdicts.append(judge(story.state, story.state.experiments[name], RULES))
    assert verdicts[:-1] == [Wait()] * 4
    assert verdicts[-1] == Final("crashed", "its run was lost 5 times (power cut)")


def test_losses_before_a_run_began_say_nothing_of_its_experiment() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    for number in range(2 * RULES.max_lost):
        run = run_id(name, number + 1)
        story.tell(ev.RunRequested, run=run, experiment=name, gpu_type="cpu", seed=1)
        story.tell(ev.RunEnded, run=run, outcome="lost", reason="there is no cpu here")
    assert judge(story.state, story.state.experiments[name], RULES) == Wait()


def test_a_promoted_experiment_gets_more_runs_before_it_is_judged_again() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.52).judge(name, "discarded")
    story.tell(ev.ExperimentPromoted, experiment=name, by="ada")
    judgement = judge(story.state, story.state.experiments[name], RULES)
    assert isinstance(judgement, Retest)
    assert "promoted" in judgement.reason


def test_noise_starts_from_the_prior_and_follows_the_measurements() -> None:
    assert noise(State(), "cpu").sd == pytest.approx(0.015)
    assert noise(State(), "H100").sd == pytest.approx(0.0007)
    measured = noise(Story().score(E0, *[2.0, 2.2] * 20).state, "cpu")
    assert measured.measured_df == 39
    assert measured.sd == pytest.approx(statistics.stdev([2.0, 2.2] * 20), rel=0.02)


@pytest.mark.parametrize(("df", "quantile"), [(3, 3.1824), (5, 2.5706), (10, 2.2281), (30, 2.0423), (1e9, 1.9600)])
def test_student_t_agrees_with_the_tables(df: float, quantile: float) -> None:
    assert math.isclose(student_t(df), quantile, rel_tol=0.01)


def test_the_baseline_on_another_gpu_type_does_not_count() -> None:
    story = Story(gpu_type="H100").score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    story.gpu_type, story.gpus = "H200", Story(gpu_type="H200").gpus
    story.score(name, 1.0)
    assert isinstance(judge(story.state, story.state.experiments[ExperimentId(name)], RULES), Wait)


# --- how much is needed -----------------------------------------------------------------------------------------------


def in_a_wave_of(size: int, *scores: float, rules: Rules = RULES) -> Judgement:
    story = Story().score(E0, *BASE * 4)
    name, *_ = story.wave(*({"DEPTH": str(depth)} for depth in range(5, 5 + size)))
    state = story.score(name, *scores).state
    return judge(state, state.experiments[name], rules)


def test_the_same_evidence_passes_in_a_small_wave_and_not_in_a_large_one() -> None:
    small, large = in_a_wave_of(2, 2.470, 2.470), in_a_wave_of(60, 2.470, 2.470)
    assert isinstance(small, Final)
    assert isinstance(large, Retest)
    assert small.evidence is not None
    assert large.evidence is not None
    assert small.evidence.delta == large.evidence.delta
    assert small.evidence.needed < large.evidence.needed
    assert isinstance(in_a_wave_of(60, 2.470, 2.470, 2.470, 2.470), Final), "more runs make up for it"


def test_a_session_that_may_keep_more_by_luck_needs_less() -> None:
    assert isinstance(in_a_wave_of(60, 2.470, 2.470, rules=Rules(false_keeps=0.6)), Final)


def with_memory(gb: float, price: float = 0.001) -> Judgement:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    for _ in range(2):
        story.tell(ev.RunEnded, run=story.start(E0), outcome="finished", val_bpb=2.5, memory_mb=40 * 1024)
        story.tell(ev.RunEnded, run=story.start(name), outcome="finished", val_bpb=2.44, memory_mb=gb * 1024)
    return judge(story.state, story.state.experiments[name], Rules(memory_price=price))


def test_additional_memory_has_to_be_earned_at_its_price() -> None:
    same, less, more = with_memory(40), with_memory(20), with_memory(80)
    assert isinstance(same, Final)
    assert isinstance(less, Final)
    assert same.evidence is not None
    assert less.evidence is not None
    assert (same.evidence.price, less.evidence.price) == (0, 0), "less memory earns nothing"
    assert not isinstance(more, Final) or more.verdict == "discarded"
    assert "40.0 GB more at 0.0400" in more.reason  # type: ignore[union-attr]
    assert isinstance(with_memory(80, price=0.0), Final)


# --- simplifications --------------------------------------------------------------------------------------------------


def shorter(*scores: float, lines: int = -3) -> Judgement:
    story = Story().score(E0, *BASE * 4)
    (name,) = story.wave({"DEPTH": "2"}, lines=lines)
    state = story.score(name, *scores).state
    return judge(state, state.experiments[name], RULES)


def test_equal_with_fewer_lines_is_kept_as_a_simplification() -> None:
    judgement = shorter(2.500, 2.495, 2.498, 2.500, 2.502, 2.495)
    assert isinstance(judgement, Final)
    assert judgement.verdict == "kept"
    assert "with 3 lines less" in judgement.reason


@pytest.mark.parametrize("lines", [0, 3])
def test_equal_without_fewer_lines_is_not_kept(lines: int) -> None:
    judgement = shorter(2.500, 2.495, 2.498, 2.500, 2.502, 2.495, lines=lines)
    assert isinstance(judgement, Final)
    assert judgement.verdict == "discarded"


def test_a_simplification_is_not_kept_on_one_run_and_not_when_it_is_clearly_worse() -> None:
    assert isinstance(shorter(2.49), Retest)
    assert isinstance(shorter(2.51), Retest), "a little worse may be noise"
    worse = shorter(2.55, 2.55)
    assert isinstance(worse, Final)
    assert worse.verdict == "discarded"


# --- the winner's curse -----------------------------------------------------------------------------------------------


def after_keeping(*scores: float) -> tuple[Story, ExperimentId]:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, *scores).settle()
    assert story.state.baseline == name, "it must be kept for this test"
    return story, name


def test_the_lucky_runs_of_a_narrow_winner_do_not_count_against_the_next() -> None:
    story, name = after_keeping(2.45, 2.45, 2.45)
    assert reference(story.state, name, "cpu") == fresh(story.state, name, "cpu") == ()
    story.score(name, 2.47, 2.48)
    assert reference(story.state, name, "cpu") == fresh(story.state, name, "cpu") == (2.47, 2.48)


def test_the_runs_of_a_clear_winner_count_though_its_gain_is_told_from_fresh_ones() -> None:
    story, name = after_keeping(2.0, 2.0)
    story.score(name, 2.01, 2.02)
    assert reference(story.state, name, "cpu") == (2.0, 2.0, 2.01, 2.02)
    assert fresh(story.state, name, "cpu") == (2.01, 2.02)
    told = improvement(story.state)
    assert told is not None
    assert (told.is_fresh, told.runs) == (True, 2)
    assert told.end == pytest.approx(2.015)


def test_the_train_py_as_found_was_chosen_by_nobody() -> None:
    state = Story().score(E0, *BASE).state
    assert reference(state, E0, "cpu") == fresh(state, E0, "cpu") == BASE


def test_a_narrow_winner_that_does_not_run_any_more_is_compared_with_what_there_is() -> None:
    story, name = after_keeping(2.45, 2.45, 2.45)
    (other,) = story.wave({"MATRIX_LR": "0.1"})
    story.score(other, 2.9)
    assert isinstance(judge(story.state, story.state.experiments[other], RULES), Wait)
    for _ in range(6):
        story.crash(story.start(name))
    assert isinstance(judge(story.state, story.state.experiments[other], RULES), Final)


# --- runs that failed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["cancelled", "lost", "crashed"])
def test_a_run_that_was_stopped_early_is_a_discard_with_its_reason_however_it_ends(outcome: ev.Outcome) -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.tell(ev.RunStopped, run=run, reason="loss 9.1").tell(ev.RunEnded, run=run, outcome=outcome, reason="killed")
    assert judge(story.state, story.state.experiments[name], RULES) == Final("discarded", "stopped early: loss 9.1")


def test_a_run_that_finished_before_it_could_be_stopped_is_judged_by_its_result() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.tell(ev.RunStopped, run=run, reason="loss 9.1").finish(run, 2.4)
    assert isinstance(judge(story.state, story.state.experiments[name], RULES), Retest)


@pytest.mark.parametrize("outcome", ["cancelled", "crashed"])
def test_an_experiment_that_was_stopped_early_runs_again_when_an_operator_promotes_it(outcome: ev.Outcome) -> None:
    story = Story(gpus=1).tell(ev.LimitsSet, max_experiments=1).score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.tell(ev.RunStopped, run=run, reason="loss 9.1").tell(ev.RunEnded, run=run, outcome=outcome)
    story.settle()
    assert story.state.experiments[name].status == "discarded"
    (launch,) = story.tell(ev.ExperimentPromoted, experiment=name, by="ada").settle()
    assert isinstance(launch, Launch)
    assert launch.run == "e1-2"


def test_a_crash_after_a_success_is_tried_again() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3).settle()
    story.crash(story.start(name), "NCCL error: an accident")
    launched = [move.run for move in story.settle() if isinstance(move, Launch)]
    assert "e1-3" in launched
    story.score(name, 2.3).settle()
    assert story.state.experiments[name].status == "kept"
