"""A fleet that is gone for a while: the engine says so, launches and decides nothing, and goes on when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import ClassVar

import imagined
import pytest
from imagined import facts_of, state_of

from core import events as ev
from core import log as logs
from core.errors import NothingRuns
from core.executor import FleetObserved, Job, Observation
from core.executors import simulator
from core.fold import fold
from core.headless import waiting
from core.ids import BASELINE, RunId, run_id
from core.state import State
from core.telling import line

AWAY_S = 3600.0


class Reclaimed(simulator.Simulator):
    """Some time after the first job its GPUs go, and come back an hour later; what runs finishes meanwhile."""

    async def launch(self, job: Job) -> None:
        if not self._notes.known:
            self._tasks.add(asyncio.create_task(self._go_and_come()))
        await super().launch(job)

    async def _go_and_come(self) -> None:
        for seconds, gpus in ((400.0, ()), (AWAY_S, self._gpus)):
            await self._clock.sleep(seconds)
            self._report(FleetObserved(gpus))


class Bare(simulator.Simulator):
    """It finds no GPU when it is asked."""

    async def watch(self, open_runs: Collection[RunId]) -> AsyncIterator[Observation]:
        async for seen in super().watch(open_runs):
            yield FleetObserved(()) if isinstance(seen, FleetObserved) else seen


def test_a_fleet_that_went_is_told_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "Simulator", Reclaimed)
    folder = imagined.workspace(tmp_path / "work")
    assert imagined.campaign(folder, fleet="H100:3", max_experiments=4, seed=1).exit_code == 0
    facts = facts_of(folder)
    _, went, came = (place for place, fact in enumerate(facts) if isinstance(fact, ev.FleetSeen))
    assert facts[came].at - facts[went].at == pytest.approx(AWAY_S, abs=1)
    decided = ev.RunRequested | ev.ExperimentJudged | ev.ExperimentRetested | ev.WaveAsked
    assert not [fact for fact in facts[went:came] if isinstance(fact, decided)]
    assert not [fact for fact in facts if isinstance(fact, ev.RunEnded) and fact.outcome == "lost"]
    meanwhile = fold(State(), facts[:came])
    assert (
        line(facts[went], meanwhile)
        == waiting(meanwhile)
        == ("there is no GPU now: nothing is launched until one comes")
    )
    state = state_of(folder)
    assert (state.open, len(state.gpus), waiting(state)) == ({}, 3, "")


def test_a_session_begins_with_a_gpu_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "Simulator", Bare)
    folder = imagined.workspace(tmp_path / "work")
    with pytest.raises(NothingRuns, match="no GPU"):
        imagined.campaign(folder, fleet="H100:3", max_experiments=4, seed=1)


def test_an_engine_that_comes_back_to_no_gpu_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = imagined.workspace(tmp_path / "work")
    imagined.campaign(folder, fleet="H100:3", max_experiments=2, seed=1)
    before = len(facts_of(folder))
    monkeypatch.setattr(simulator, "Simulator", Bare)
    stopped = imagined.campaign(folder, fleet="H100:3", max_experiments=4, seed=1, for_=600.0)
    assert stopped.exit_code == 0
    later = facts_of(folder)[before:]
    assert [fact.gpus for fact in later if isinstance(fact, ev.FleetSeen)] == [()]
    assert not [fact for fact in later if isinstance(fact, ev.RunRequested | ev.WaveAsked)]


class Cancelling(simulator.Simulator):
    cancelled: ClassVar[list[str]] = []

    async def cancel(self, run: RunId) -> None:
        self.cancelled.append(run)
        await super().cancel(run)


def test_a_run_that_still_waits_for_a_type_that_is_gone_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = imagined.workspace(tmp_path / "work")
    imagined.campaign(folder, fleet="H100:3", max_experiments=2, seed=1)
    state = state_of(folder)
    at, run = state.at, run_id(BASELINE, len(state.experiments[BASELINE].runs) + 1)
    with logs.hold(imagined.file_of(folder)):
        logs.append_all(
            imagined.file_of(folder), [ev.RunRequested(at=at, run=run, experiment=BASELINE, gpu_type="A100", seed=1)]
        )
    monkeypatch.setattr(simulator, "Simulator", Cancelling)
    imagined.campaign(folder, fleet="H100:3", max_experiments=3, seed=1)
    (end,) = (fact for fact in facts_of(folder) if isinstance(fact, ev.RunEnded) and fact.run == run)
    assert (end.outcome, end.reason) == ("lost", "there is no A100 here any more")
    assert Cancelling.cancelled[0] == run, "it may wait there for a GPU to come"
