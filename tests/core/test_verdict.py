"""Verdicts: better than the noise, or only luck."""

from __future__ import annotations

import math
import statistics

import pytest
from story import E0, Story

from core import events as ev
from core.ids import ExperimentId
from core.state import State
from core.verdict import Final, Judgement, Retest, Rules, Wait, judge, noise, student_t

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


@pytest.mark.parametrize("score", [2.50, 2.60, 2.499])
def test_no_better_on_the_first_run_is_discarded(score: float) -> None:
    judgement = judged(score)
    assert isinstance(judgement, Final)
    assert judgement.verdict == "discarded"


def test_what_could_be_noise_is_run_again_and_given_up_in_the_end() -> None:
    assert isinstance(judged(2.475, 2.478), Retest)
    last = judged(2.475, 2.478, 2.476, 2.477, rules=Rules(keep_sigmas=9))
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
    for _ in range(3):
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


def test_a_crash_in_any_run_is_a_crash_with_its_reason() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3).crash(story.start(name), "RuntimeError: shape mismatch")
    judgement = judge(story.state, story.state.experiments[name], RULES)
    assert judgement == Final("crashed", "RuntimeError: shape mismatch")


def test_lost_runs_are_tried_again_but_not_for_ever() -> None:
    story = Story().score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    verdicts = []
    for _ in range(3):
        run = story.start(name)
        story.tell(ev.RunEnded, run=run, outcome="lost", reason="power cut")
        verdicts.append(judge(story.state, story.state.experiments[name], RULES))
    assert verdicts[:2] == [Wait(), Wait()]
    assert verdicts[2] == Final("crashed", "its run was lost 3 times (power cut)")


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
