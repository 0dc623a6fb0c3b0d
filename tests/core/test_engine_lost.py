"""An executor that cannot be reached for a while: the engine notes it once, decides nothing, and goes on after."""

from __future__ import annotations

import asyncio
from pathlib import Path

import imagined
import pytest
from imagined import facts_of, state_of

from core import events as ev
from core.executor import Found, Job, Lost, Observation
from core.executors import simulator

OUTAGE: tuple[tuple[float, Observation], ...] = (
    (400.0, Lost("no route to the cluster")),
    (30.0, Lost("no route to the cluster")),
    (700.0, Found()),
    (1.0, Found()),
)


class Unreliable(simulator.Simulator):
    """From its first job on. Runs go on and end meanwhile; what they come to is reported as it happens."""

    async def launch(self, job: Job) -> None:
        if not self._notes.known:
            self._tasks.add(asyncio.create_task(self._fail()))
        await super().launch(job)

    async def _fail(self) -> None:
        for seconds, said in OUTAGE:
            await self._clock.sleep(seconds)
            self._news.append(said)
            self._wake.set()


def test_while_it_is_lost_nothing_is_decided_and_then_the_session_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "Simulator", Unreliable)
    folder = imagined.workspace(tmp_path / "work")
    imagined.campaign(folder, fleet="H100:3", max_experiments=4, seed=1)
    facts = facts_of(folder)
    lost, found = (
        next(place for place, fact in enumerate(facts) if isinstance(fact, kind))
        for kind in (ev.ExecutorLost, ev.ExecutorFound)
    )
    assert facts[found].at - facts[lost].at == pytest.approx(730, abs=1)
    assert sum(isinstance(fact, ev.ExecutorLost | ev.ExecutorFound) for fact in facts) == 2, "each is news only once"
    decided = ev.RunRequested | ev.ExperimentJudged | ev.ExperimentRetested | ev.WaveAsked
    assert not [fact for fact in facts[lost:found] if isinstance(fact, decided)]
    assert [fact for fact in facts[lost:found] if isinstance(fact, ev.RunEnded)], "what ends is taken in"
    assert [fact for fact in facts[found:] if isinstance(fact, decided)]
    state = state_of(folder)
    assert (state.lost, state.open) == (None, {})
