"""What the engine does with what runs report and with runs that are hopeless: in virtual time, with given ideas."""

from __future__ import annotations

from pathlib import Path

import imagined
import pytest
from imagined import facts_of, state_of

from core import events as ev
from core.patch import Change
from core.researcher import Idea, Plan
from core.researchers import chosen
from core.state import State


class Scripted:
    """Proposes its settings once."""

    name = "scripted"

    def __init__(self, *settings: dict[str, str]) -> None:
        self._ideas = tuple(Idea(title=str(one), change=Change(settings=one)) for one in settings)

    async def propose(self, state: State, slots: int) -> Plan:
        ideas, self._ideas = self._ideas, ()
        return Plan(reason="as told", ideas=ideas)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return imagined.workspace(tmp_path / "work")


def campaign(folder: Path, monkeypatch: pytest.MonkeyPatch, *ideas: dict[str, str]) -> list[ev.Fact]:
    """On one type of GPU, with as many experiments as there are ideas."""
    monkeypatch.setattr(chosen, "_statistics", lambda name, settings: Scripted(*ideas))
    imagined.campaign(folder, fleet="H100:6", max_experiments=len(ideas), seed=1)
    return facts_of(folder)


def test_a_run_reports_its_fingerprint_once_in_its_first_second(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = campaign(folder, monkeypatch, {"WEIGHT_DECAY": "0.3"})
    reports = [fact for fact in facts if isinstance(fact, ev.RunReported)]
    started = {fact.run: fact.at for fact in facts if isinstance(fact, ev.RunStarted)}
    assert len(reports) == len({fact.run for fact in reports}) == len(started)
    assert all(fact.at - started[fact.run] < 1 and fact.exact and fact.params_m for fact in reports)
    assert state_of(folder).runs[reports[0].run].fingerprint == reports[0].fingerprint


def test_a_hopeless_run_is_recorded_as_stopped_before_it_is_cancelled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = campaign(folder, monkeypatch, {"SCALAR_LR": "0.01"})
    (stop,) = [fact for fact in facts if isinstance(fact, ev.RunStopped)]
    (end,) = [fact for fact in facts if isinstance(fact, ev.RunEnded) and fact.run == stop.run]
    assert facts.index(stop) < facts.index(end)
    assert end.outcome == "cancelled"
    state = state_of(folder)
    run = state.runs[stop.run]
    assert run.started_at is not None
    assert end.at - run.started_at < 200, "long before its end"
    assert state.experiments[run.experiment].status == "discarded"


def test_six_ratios_are_paid_for_as_four_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratios = (48, 72, 80, 90, 96, 56)
    facts = campaign(folder, monkeypatch, *({"ASPECT_RATIO": str(ratio)} for ratio in ratios))
    state = state_of(folder)
    twins = {one.title: one.twin for one in state.experiments.values() if one.status == "duplicate"}
    assert twins == {"{'ASPECT_RATIO': '80'}": "e2", "{'ASPECT_RATIO': '96'}": "e4", "{'ASPECT_RATIO': '56'}": "e0"}
    found = [fact for fact in facts if isinstance(fact, ev.DuplicateFound)]
    for duplicate in found:
        (run,) = state.experiments[duplicate.experiment].runs
        ended = state.runs[run]
        assert ended.ended_at is not None
        assert ended.started_at is not None
        assert ended.ended_at - ended.started_at < 5
