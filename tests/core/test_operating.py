"""What operators wish for beyond vetoes: reruns, stopped runs, the approval gate. What follows from it in the plan."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.commands import Approve, Gate, Pause, Promote, Rerun, Stop, StopRun, Veto, refusal
from core.errors import Refused
from core.ids import ExperimentId, RunId, WaveId
from core.policy import Ask, Cancel, Finish, Launch, plan
from core.verdict import Rules
from core.views import held, queued

RULES = Rules(replicates=False)


def launched(story: Story) -> list[tuple[str, str]]:
    moves = plan(story.state, RULES, story.at)
    return [(move.experiment, move.purpose) for move in moves if isinstance(move, Launch)]


def measured() -> Story:
    return Story(gpus=2).tell(ev.LimitsSet, max_experiments=1).score(E0, 2.5, 2.51, 2.49)


# --- rerun ------------------------------------------------------------------------------------------------------------


def test_an_open_experiment_is_run_once_more_before_its_verdict() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.9).order(Rerun(experiment=name))
    assert launched(story) == [(name, "retest")], "and not judged, although it is clearly worse"
    story.score(name, 2.9).settle(RULES)
    assert story.state.experiments[name].status == "discarded"
    assert len(story.state.scores[name, "cpu"]) == 2


@pytest.mark.parametrize("verdict", ["discarded", "kept"])
def test_a_rerun_after_the_verdict_is_a_replicate_that_changes_no_verdict(verdict: ev.FinalVerdict) -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.6).judge(name, verdict)
    if verdict == "kept":
        story.move(name).score(name, 2.6, 2.6)
    before = len(story.state.scores[name, "cpu"])
    story.order(Rerun(experiment=name))
    assert launched(story)[0] == (name, "replicate")
    story.score(name, 2.7)
    assert story.state.reruns == {}
    assert len(story.state.scores[name, "cpu"]) == before + 1
    assert story.state.experiments[name].status == verdict


def test_two_wishes_are_two_runs() -> None:
    story = measured().order(Rerun(experiment=E0)).order(Rerun(experiment=E0))
    assert launched(story) == [(E0, "replicate")] * 2


def test_what_crashed_is_tried_again_and_may_turn_out_well() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    story.crash(story.start(name)).settle(RULES)
    assert story.state.experiments[name].status == "crashed"
    story.order(Rerun(experiment=name))
    assert launched(story) == [(name, "retest")]
    story.score(name, 2.3).settle(RULES)
    assert story.state.experiments[name].status == "retest", "it looks better now"


def test_what_has_not_run_is_promoted_and_not_rerun() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    assert "has not run yet; promote it" in refusal(story.state, Rerun(experiment=name))


def test_what_was_vetoed_is_not_rerun() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    story.order(Veto(experiment=name, reason="too slow"))
    assert refusal(story.state, Rerun(experiment=name)) == "e1 is vetoed: too slow."


def test_of_a_duplicate_its_twin_is_rerun() -> None:
    story = Story()
    one, two = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.tell(ev.DuplicateFound, experiment=two, twin=one, reason="same")
    assert refusal(story.state, Rerun(experiment=two)) == "e2 is duplicate; rerun e1."


# --- stopping a run ---------------------------------------------------------------------------------------------------


def test_a_stopped_run_is_cancelled_and_its_experiment_runs_no_more() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.order(StopRun(run=run, reason="it hangs"))
    assert Cancel(run) in plan(story.state, RULES, story.at)
    story.cancel(run)
    experiment = story.state.experiments[name]
    assert (experiment.status, experiment.reason) == ("vetoed", "its run e1-1 was stopped by ada: it hangs")
    assert launched(story) == []


def test_a_rerun_puts_it_back_at_the_end_of_the_queue() -> None:
    story = measured()
    one, two = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    run = story.start(one)
    story.order(StopRun(run=run)).order(Rerun(experiment=one))
    assert Cancel(run) in plan(story.state, RULES, story.at), "the run that was stopped stays stopped"
    story.cancel(run)
    assert queued(story.state) == (two, one)
    assert launched(story) == [(two, "first"), (one, "first")]


def test_what_has_other_results_is_judged_by_them() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.3).settle(RULES)
    run = story.start(name, purpose="retest")
    story.order(StopRun(run=run)).cancel(run)
    assert story.state.experiments[name].status == "retest"
    assert set(launched(story)) == {(name, "retest")}


def test_when_both_runs_of_an_experiment_are_stopped_it_is_vetoed() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    one, two = story.start(name), story.start(name, gpu=1)
    story.order(StopRun(run=one))
    assert story.state.experiments[name].is_open
    story.order(StopRun(run=two))
    assert story.state.experiments[name].status == "vetoed"


def test_a_run_of_the_baseline_is_stopped_and_the_baseline_stays() -> None:
    story = Story().score(E0, 2.5, 2.5)
    run = story.start(E0)
    story.order(StopRun(run=run)).cancel(run)
    assert story.state.experiments[E0].status == "kept"


def test_only_a_run_that_goes_on_can_be_stopped_and_only_once() -> None:
    story = Story().score(E0, 2.5)
    assert refusal(story.state, StopRun(run=RunId("e0-1"))) == "e0-1 ended already: finished."
    assert "no run e7-1" in refusal(story.state, StopRun(run=RunId("e7-1")))
    run = story.start(E0)
    story.order(StopRun(run=run))
    assert refusal(story.state, StopRun(run=run)) == "e0-2 is being stopped already."


def test_the_seconds_of_a_stopped_run_are_booked_once_whatever_follows() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.wait(5).order(StopRun(run=run)).cancel(run)
    assert story.state.booked["vetoed"] == pytest.approx(6)
    story.order(Rerun(experiment=name))
    assert story.state.booked["vetoed"] == 0
    assert story.state.booked["cancelled"] == pytest.approx(6)


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_a_wave_waits_at_the_gate_until_it_is_approved() -> None:
    story = measured().order(Gate(on=True))
    (name,) = story.wave({"DEPTH": "2"})
    assert held(story.state) == (WaveId("w1"),)
    assert launched(story) == []
    story.order(Approve(wave=WaveId("w1")))
    assert held(story.state) == ()
    assert launched(story) == [(name, "first")]


def test_turning_the_gate_off_approves_what_waits() -> None:
    story = measured().order(Gate(on=True))
    (name,) = story.wave({"DEPTH": "2"})
    story.order(Gate(on=False))
    assert not story.state.waves[WaveId("w1")].held
    assert launched(story) == [(name, "first")]


def test_the_gate_holds_neither_waves_from_before_nor_what_the_baseline_needs() -> None:
    story = Story(gpus=4).tell(ev.LimitsSet, max_experiments=2)
    (name,) = story.wave({"DEPTH": "2"})
    story.order(Gate(on=True)).wave({"DEPTH": "3"})
    assert launched(story) == [(E0, "replicate")] * 3 + [(name, "first")]


def test_while_a_wave_waits_the_researcher_is_not_asked_over_and_over() -> None:
    story = Story(gpus=2).score(E0, 2.5, 2.51, 2.49).order(Gate(on=True))
    story.wave(*({"DEPTH": str(depth)} for depth in range(5, 15)))
    assert not any(isinstance(move, Ask) for move in plan(story.state, RULES, story.at))


def test_a_wave_whose_experiments_are_all_vetoed_waits_for_nothing() -> None:
    story = Story().order(Gate(on=True))
    (name,) = story.wave({"DEPTH": "2"})
    story.order(Veto(experiment=name))
    assert held(story.state) == ()


def test_a_gate_that_is_on_cannot_be_turned_on_and_what_does_not_wait_cannot_be_approved() -> None:
    story = Story().order(Gate(on=True))
    assert refusal(story.state, Gate(on=True)) == "The approval gate is on already."
    assert refusal(story.state, Approve(wave=WaveId("w9"))) == "There is no w9 yet."
    story.wave({"DEPTH": "2"})
    story.order(Approve(wave=WaveId("w1")))
    assert refusal(story.state, Approve(wave=WaveId("w1"))) == "w1 does not wait for approval."


# --- a lost executor, and refusals ------------------------------------------------------------------------------------


def test_nothing_is_judged_or_launched_while_the_executor_is_lost() -> None:
    story = measured()
    (name,) = story.wave({"DEPTH": "2"})
    story.crash(story.start(name)).tell(ev.ExecutorLost, reason="no route to the cluster")
    assert plan(story.state, RULES, story.at) == ()
    assert story.state.lost is not None
    assert story.state.lost.reason == "no route to the cluster"
    story.tell(ev.ExecutorFound)
    assert plan(story.state, RULES, story.at) != ()


def test_a_fleet_that_is_seen_is_not_lost() -> None:
    story = Story().tell(ev.ExecutorLost, reason="no route")
    assert story.tell(ev.FleetSeen, gpus=story.gpus).state.lost is None


def test_an_engine_whose_executor_is_lost_can_still_be_stopped() -> None:
    story = measured()
    story.start(E0)
    story.tell(ev.ExecutorLost, reason="no route").order(Stop())
    assert plan(story.state, RULES, story.at) == (), "it waits for its running jobs"
    story.order(Stop(now=True))
    (move,) = plan(story.state, RULES, story.at)
    assert isinstance(move, Finish)
    assert "stopped by ada while the executor could not be reached" in move.reason


def test_a_refusal_is_the_sentence_that_a_command_would_be_answered_with() -> None:
    story = Story()
    assert refusal(story.state, Pause()) == ""
    assert refusal(story.state, Promote(experiment=E0)).startswith("e0 is kept")
    with pytest.raises(Refused, match="no experiment e7"):
        story.order(Rerun(experiment=ExperimentId("e7")))
