"""Why an experiment stands where it stands, in words."""

from __future__ import annotations

import tapes
from hostile import TEXT, check, told
from moments import moment
from story import E0, Story

from core import events as ev
from core.commands import Promote, Veto
from core.fold import fold
from core.ids import ExperimentId, RunId
from core.state import State
from tui.paint import plain
from tui.widgets.why import why_lines


def said(state: State, name: str, cells: int = 80) -> str:
    lines = why_lines(moment(state), state.experiments[ExperimentId(name)], cells)
    return "\n".join(plain(line) for line in lines)


def test_a_verdict_is_told_with_its_numbers() -> None:
    state = fold(State(), tapes.simulated(1.0))
    kept = next(each for each in state.experiments.values() if each.evidence is not None and each.status == "kept")
    assert kept.evidence is not None
    text = " ".join(said(state, kept.id).split())
    assert f"{abs(kept.evidence.delta):.4f} better than {kept.evidence.against} on {kept.evidence.gpu_type}" in text
    assert f"where {kept.evidence.needed:.2f} are needed" in text
    assert all(run in text for run in kept.runs)


def test_every_state_of_an_experiment_has_its_sentence() -> None:
    state = fold(State(), tapes.crossed())
    assert "Discarded: not shown to be better." in said(state, "e1")
    assert "Crashed: it has no val_bpb." in said(state, "e3")
    assert "Kept" in said(state, "e4")
    assert "too slow" in said(state, "e5")
    assert "1 run on the way" in said(state, "e6")
    assert "waits for a GPU" in said(state, "e8")
    assert "Where the session started." in said(state, "e0") or "baseline now" in said(state, "e0")


def test_who_promoted_and_vetoed_stands_in_the_history() -> None:
    story = Story().score(E0, 1.0)
    first, second = story.wave({"DEPTH": "2"}, {"DEPTH": "8"})
    story.order(Promote(experiment=first), by="ada").order(Veto(experiment=second, reason="no"), by="bob")
    assert "promote by ada" in said(story.state, first)
    assert "veto by bob" in said(story.state, second)


def test_a_wave_that_waits_for_approval_says_so() -> None:
    story = Story().score(E0, 1.0)
    from core.commands import Gate

    story.order(Gate(on=True))
    (name,) = story.wave({"DEPTH": "2"})
    assert "waits for your approval (y)" in said(story.state, name)


def test_hostile_words_stay_lines_of_the_pane() -> None:
    state = told().state
    for name in state.experiments:
        for cells in (24, 62, 120):
            lines = why_lines(moment(state), state.experiments[name], cells)
            check(lines, cells)
    assert len(TEXT) > 100_000


def test_what_its_runs_cost_is_said_where_gpus_have_prices() -> None:
    story = Story().score(E0, 1.0)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.0, 2.0)
    assert "Cost" not in said(story.state, name)
    story.tell(ev.PricesSet, gpu_usd_hour={"cpu": 3600.0})
    assert "Cost      $20.00: 2 runs held a GPU for 20s in all, $10.00 per run" in said(story.state, name)


def test_why_a_run_waits_is_said_until_it_starts() -> None:
    story = Story().score(E0, 1.0)
    (name,) = story.wave({"DEPTH": "2"})
    story.tell(ev.RunRequested, run=RunId("e1-1"), experiment=name, gpu_type="cpu", seed=1)
    story.tell(ev.RunWaiting, run=RunId("e1-1"), reason="no GPU is free on the 3 nodes")
    text = said(story.state, name)
    assert "No verdict yet: e1-1 waits: no GPU is free on the 3 nodes." in text
    assert "queued: no GPU is free on the 3 nodes" in text
    story.tell(ev.RunStarted, run=RunId("e1-1"), gpu=story.gpus[0].id)
    assert "no GPU is free" not in said(story.state, name)


def test_noise_is_told_with_the_budget_that_it_was_measured_at() -> None:
    story = Story(gpu_type="H100").engine(budget_s=300.0).score(E0, 2.5, 2.51, 2.49)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.9).settle()
    assert "at 300 s per run (sd, " in " ".join(said(story.state, name).split())


def repeated() -> Story:
    """e2 is found to repeat e1 after both have a result; e3 repeats it too and is stopped."""
    story = Story(gpus=3).score(E0, 2.5, 2.51, 2.49)
    names = story.wave({"DEPTH": "2"}, {"DEPTH": "3"}, {"DEPTH": "5"})
    first, second, third = (story.start(name, gpu=gpu) for gpu, name in enumerate(names))
    story.report(first, "f").finish(first, 2.4).finish(second, 2.41).report(second, "f")
    story.settle()
    story.report(third, "f").settle()
    return story.cancel(third)


def test_a_duplicate_and_its_twin_are_both_told_whose_runs_count() -> None:
    state = repeated().state
    assert state.scores[ExperimentId("e1"), "cpu"] == (2.4, 2.41)
    assert "It computes the same as e1; results count there." in said(state, "e2", 100)
    twin = said(state, "e1", 100)
    assert "Repeated by e2: its run counts here too (e2-1)." in twin
    assert "Repeated by e3, which has no result to add." in twin
    table = [row.split() for row in twin.splitlines() if row.startswith("e")]
    assert ["e2-1", "cpu", "screen", "repeat", "20s", "1", "2.4100"] in table
    assert "e2-1 finished on cpu with 2.4100: it counts here too" in twin


def test_that_they_are_the_same_is_in_the_history_of_both() -> None:
    story = repeated()
    shown = moment(story.state, news=tuple(story.facts))
    told = {
        name: [plain(row) for row in why_lines(shown, story.state.experiments[ExperimentId(name)], 100)]
        for name in ("e1", "e2")
    }
    assert any(row.endswith("e2 turned out to repeat it") for row in told["e1"])
    assert any(row.endswith("turned out to repeat e1") for row in told["e2"])
