"""The fold: facts in, state out, whatever the facts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import E0, Story

from core import events as ev
from core.commands import Approve, Gate, MaxGpus, Note, Pause, Promote, Rerun, Resume, Stop, StopRun, Undo, Veto
from core.fold import fold
from core.ids import ExperimentId, RunId, WaveId
from core.looks import next_look
from core.patch import Change
from core.policy import Ask, plan
from core.researcher import Idea, Plan
from core.state import State
from core.thinking import WaveOffered
from core.verdict import Rules
from core.views import elapsed, source_of

Sample = Callable[[], list[ev.Known]]


@cache
def campaign() -> list[ev.Known]:
    """A session with everything in it: kept, discarded, crashed, vetoed, a restart."""
    story = Story().score(E0, 2.50, 2.51)
    kept, worse, broken, vetoed = story.wave(
        {"DEPTH": "2"}, {"DEPTH": "8"}, {"MATRIX_LR": "9.0"}, {"WARMDOWN_RATIO": "0.9"}, factors={"DEPTH": ("2", "8")}
    )
    story.score(kept, 2.30, 2.31).judge(kept, "kept").move(kept)
    story.score(worse, 2.60).judge(worse, "discarded")
    story.crash(story.start(broken)).judge(broken, "crashed")
    run = story.start(vetoed)
    story.tell(ev.RunProgressed, run=run, step=3, fraction=0.1, loss=5.0)
    story.tell(ev.ExperimentVetoed, experiment=vetoed, by="ada", reason="too slow")
    story.wait(1).tell(ev.RunEnded, run=run, outcome="finished", val_bpb=1.0)
    story.tell(ev.ResearchPaused, by="ada").wait(5).tell(ev.ResearchResumed, by="ada")
    story.tell(ev.NoteAdded, by="ada", text="look at depth").wait(100).engine()
    story.tell(ev.WaveAsked, slots=2).tell(ev.ResearchFailed, reason="offline")
    return story.wait(5).tell(ev.EngineStopped, reason="enough").facts


@cache
def verdicts() -> list[ev.Known]:
    """A session with the rest: two tiers, screened, duplicate, stopped early, rebased, merged, split."""
    story = Story().fleet(H100=9, H200=2).tell(ev.TiersSet, screen=("H100",), validate=("H200",))
    story.score(E0, 2.5, 2.51, 2.49).score(E0, 2.4, 2.41, 2.39, on="H200")
    good, slow, same, bad, late = story.wave(*({"DEPTH": str(depth)} for depth in range(5, 10)))
    other, last = story.wave({"MATRIX_LR": "0.1"}, {"WARMDOWN_RATIO": "0.9"})
    story.score(good, 2.2).settle()
    story.score(good, 2.2).score(other, 2.2, 2.2).settle()
    twins = [story.start(name, gpu=gpu) for gpu, name in enumerate((slow, same, late))]
    for run in twins:
        story.report(run, "f")
    story.progress(twins[2], 9.0, 8.0, 7.0).settle()
    story.cancel(twins[1]).finish(twins[0], 2.6).finish(twins[2], 2.61)
    stopped = story.start(bad, gpu=3)
    story.tell(ev.RunStopped, run=stopped, reason="loss 9").cancel(stopped).settle()
    story.tell(ev.ExperimentPromoted, experiment=bad, by="ada").settle()
    story.score(ExperimentId("e8"), 2.6, on="H200").settle()
    story.score(good, 2.0, 2.0, on="H200").settle()
    assert story.state.experiments[last].rebased == good
    return story.tell(ev.ExperimentRetested, experiment=last, reason="looks better").facts


@cache
def operations() -> list[ev.Known]:
    """A session in which the operator does and undoes everything, and the cluster is lost for a while."""
    story = Story().tell(ev.LimitsSet, max_usd=9.0).tell(ev.PricesSet, gpu_usd_hour={"cpu": 2.0}).score(E0, 2.5, 2.51)
    one, two, three = story.wave(*({"DEPTH": str(depth)} for depth in (2, 3, 5)))
    story.order(Veto(experiment=one)).order(Undo())
    story.order(Promote(experiment=two)).order(Undo()).order(Note(text="a")).order(Undo()).order(Note(text="b"))
    run = story.start(one)
    story.order(StopRun(run=run, reason="hangs")).cancel(run).order(Rerun(experiment=one)).order(Undo())
    story.order(Rerun(experiment=one)).crash(story.start(one)).judge(one, "crashed").order(Rerun(experiment=one))
    story.score(two, 2.7).judge(two, "discarded").order(Rerun(experiment=two)).order(Promote(experiment=two))
    story.order(Gate(on=True)).wave({"DEPTH": "6"})
    story.order(Approve(wave=WaveId("w2"))).order(Undo()).order(Gate(on=False)).order(Undo()).order(Gate(on=False))
    story.order(MaxGpus(gpu_type="cpu", limit=1)).order(Undo()).tell(ev.ReadySet, gpus_each=4)
    story.tell(ev.RunRequested, run=RunId("e9-9"), experiment=three, gpu_type="cpu", seed=1)
    story.tell(ev.RunWaiting, run=RunId("e9-9"), reason="no GPU is free").cancel(RunId("e9-9"))
    story.start(three, gpu=1)
    story.tell(ev.ExecutorLost, reason="no route").wait(9).tell(ev.ExecutorFound).tell(ev.ExecutorLost, reason="again")
    story.order(Pause(reason="lunch")).order(Resume()).order(Undo()).engine()
    return story.order(Stop()).facts


@cache
def thoughts() -> list[ev.Known]:
    """A session whose researcher thinks aloud: it fails once, is stood in for, repairs, notes and waits."""
    story = Story().tell(ev.WaveAsked, slots=2)
    story.tell(ev.ResearcherSaid, call=1, text="Depth first.").tell(ev.ToolUsed, call=1, tool="results", told="all")
    story.tell(ev.ModelCalled, call=1, model="m", error="overloaded", again_at=9.0, usd=0.25)
    story.tell(ev.StandInAsked, stand_in="designed", reason="no answer for 60 s")
    (one,) = story.wave({"DEPTH": "2"})
    story.crash(story.start(one)).judge(one, "crashed").tell(ev.StandInAsked, stand_in="", reason="it answers again")
    story.wait(90_000).tell(
        ev.ModelCalled, call=2, model="m", input_tokens=5, cache_read_tokens=7, output_tokens=3, usd=0.5
    )
    story.tell(ev.RepairTried, experiment=one, reason="out of memory at any depth")
    story.tell(WaveOffered, by="mcp", plan=Plan(reason="r", ideas=(Idea(title="t", change=Change()),)))
    story.tell(ev.NotebookWritten, text="depth 2 crashes").tell(ev.WaveAsked, slots=2)
    return story.tell(ev.ResearcherWaits, reason="more results first", until=1e6).facts


SAMPLES = [campaign, verdicts, operations, thoughts]


def test_every_kind_of_fact_about_runs_and_verdicts_is_in_the_samples() -> None:
    told = {type(fact) for fact in (*campaign(), *verdicts(), *operations(), *thoughts())}
    missing = {kind.__name__ for kind in ev.Known.__args__} - {kind.__name__ for kind in told}
    assert missing == {"CommandRefused", "ProposalRejected", "ResultImported"}


def test_the_way_of_every_verdict_is_in_the_state() -> None:
    state = fold(State(), verdicts())
    status = {name: experiment.status for name, experiment in state.experiments.items()}
    named = ("e1", "e3", "e5", "e8")
    assert [status[ExperimentId(name)] for name in named] == ["kept", "duplicate", "duplicate", "discarded"]
    assert state.experiments[ExperimentId("e8")].of == ("e1", "e6")
    assert state.experiments[ExperimentId("e6")].alone
    assert state.scores[ExperimentId("e2"), "H100"] == (2.6, 2.61), "the late duplicate counts for its twin"
    assert state.merges >= 1
    assert sum(state.counts.values()) == sum(not e.is_open for e in state.experiments.values()) - 1
    assert (state.tiers.screen, state.tiers.validate) == (("H100",), ("H200",))


def test_what_a_model_said_and_cost_is_in_the_state() -> None:
    state = fold(State(), thoughts())
    used = state.usage["m"]
    assert (used.calls, used.input_tokens, used.cache_read_tokens, used.output_tokens) == (2, 5, 7, 3)
    assert state.model_usd == used.usd == 0.75
    assert sorted(state.model_usd_days.values()) == [0.25, 0.5], "a day that is over is not paid again"
    assert [entry.text for entry in state.notebook] == ["depth 2 crashes"]
    assert state.repairs[ExperimentId("e1")].reason == "out of memory at any depth"
    assert (state.stand_in, state.calls, state.asked) == ("", 2, None)
    assert isinstance(state.talk[0], ev.ResearcherSaid)


def test_a_researcher_that_waits_is_asked_again_when_there_is_news_or_its_time_is_over() -> None:
    story = Story().score(E0, 2.5, 2.5, 2.5).tell(ev.WaveAsked, slots=2)
    story.tell(ev.ResearcherWaits, reason="more results first", until=story.at + 60)
    assert not any(isinstance(move, Ask) for move in plan(story.state, Rules(), story.at + 59))
    assert any(isinstance(move, Ask) for move in plan(story.state, Rules(), story.at + 60))
    assert 60 < next_look(story.state, story.at) < 60.1
    story.tell(ev.NoteAdded, by="ada", text="look at depth")
    assert story.state.waits is None
    assert any(isinstance(move, Ask) for move in plan(story.state, Rules(), story.at))


def test_a_campaign_folds_to_what_happened() -> None:
    state = fold(State(), campaign())
    assert {name: experiment.status for name, experiment in state.experiments.items()} == {
        "e0": "kept",
        "e1": "kept",
        "e2": "discarded",
        "e3": "crashed",
        "e4": "vetoed",
    }
    assert state.counts == {"kept": 1, "discarded": 1, "crashed": 1, "vetoed": 1}
    assert (state.baseline, state.lineage, state.commit) == ("e1", ("e0", "e1"), "def5678")
    assert not state.open
    assert not state.active
    assert state.scores[ExperimentId("e1"), "cpu"] == (2.30, 2.31)
    assert "DEPTH = 2" in source_of(state, ExperimentId("e1"))


def test_a_veto_beats_a_late_success() -> None:
    state = fold(State(), campaign())
    assert state.experiments[ExperimentId("e4")].status == "vetoed"
    assert state.experiments[ExperimentId("e4")].reason == "too slow"


@pytest.mark.parametrize("sample", SAMPLES)
@given(data=st.data())
def test_any_prefix_folds_and_goes_on_to_the_same_state(sample: Sample, data: st.DataObject) -> None:
    facts = sample()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(facts)), max_size=6)))
    state = State()
    for start, end in zip([0, *cuts], [*cuts, len(facts)], strict=True):
        state = fold(state, facts[start:end])
    assert state == fold(State(), facts)


@pytest.mark.parametrize("sample", SAMPLES)
@given(random=st.randoms(use_true_random=False))
def test_facts_in_any_order_and_repeated_never_raise(sample: Sample, random: object) -> None:
    facts = sample() * 2
    random.shuffle(facts)  # type: ignore[attr-defined]
    fold(State(), facts)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_fold_leaves_the_state_it_started_from_as_it_was(sample: Sample) -> None:
    facts = sample()
    for cut in range(len(facts)):
        before = fold(State(), facts[:cut])
        kept = copy.deepcopy(before)
        fold(before, facts[cut:])
        assert before == kept


@pytest.mark.parametrize("fact", [*campaign(), *verdicts(), *operations()], ids=lambda fact: type(fact).__name__)
def test_every_fact_round_trips(fact: ev.Known) -> None:
    assert ev.decode(ev.encode(fact)) == fact


def test_unknown_kinds_survive_byte_for_byte_and_count_as_facts() -> None:
    body = b'{"kind":"GpuCaughtFire","at":12.5,"gpu":"cpu0","deep":{"a":[1,2]}}'
    fact = ev.decode(body)
    assert isinstance(fact, ev.Unknown)
    assert (fact.kind, fact.at) == ("GpuCaughtFire", 12.5)
    assert ev.encode(fact) == body
    assert fold(State(), [fact]).seq == 1
    assert ev.decode_many([body, ev.encode(campaign()[0])])[0] == fact


def test_what_is_not_json_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        ev.decode(b'{"kind": "Run')


def test_a_late_progress_of_an_ended_run_changes_nothing() -> None:
    story = Story().score(E0, 2.5)
    before = story.state
    story.tell(ev.RunProgressed, run=RunId("e0-1"), step=9)
    assert story.state.progress == before.progress == {}


def test_the_time_without_an_engine_does_not_count_as_elapsed() -> None:
    story = Story().wait(100).tell(ev.NoteAdded, by="a", text="last sign of life")
    story.wait(5000).engine().wait(50)
    assert elapsed(story.state, story.at) == pytest.approx(150)


def test_replicates_pool_into_one_noise_estimate() -> None:
    story = Story().score(E0, 1.0, 2.0, 3.0)
    (other,) = story.wave({"DEPTH": "2"})
    story.score(other, 5.0, 7.0)
    spread = story.state.spread["cpu"]
    assert spread.squares == pytest.approx(2.0 + 2.0)
    assert spread.df == 3


def test_a_lost_run_puts_its_experiment_back_in_the_queue() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    assert story.state.experiments[name].status == "running"
    story.tell(ev.RunEnded, run=run, outcome="lost", reason="its supervisor died")
    assert story.state.experiments[name].status == "proposed"
