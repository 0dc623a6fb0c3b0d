"""The last GPU node goes, and one comes back: on an API server that plays a cluster."""

from __future__ import annotations

import asyncio

import expedition
import played_cluster
import pytest
import stub
from lab import Lab
from played_cluster import Played
from watched import FOREVER, RUN

from core import events as ev
from core import log as logs
from core import session
from core.executor import Ended, FleetObserved, Job, Started, Waiting
from core.fold import fold
from core.settings import load
from core.state import State
from k8s.parts import kubernetes_executor

NODES = ("h100-0000", "h100-0001")
GONE_S = 6.0


async def test_a_fleet_without_a_gpu_is_told_as_it_is(played: Played, lab: Lab) -> None:
    async with lab.engine() as engine:
        await played.reclaim(*NODES)
        await engine.until(lambda: engine.of(FleetObserved)[-1].gpus == (), 5)
        await played.give("h100-0007")
        await engine.until(lambda: [gpu.id for gpu in engine.of(FleetObserved)[-1].gpus] == ["h100-0007/0"], 5)


async def test_a_run_whose_gpus_went_waits_for_the_next(played: Played, lab: Lab) -> None:
    async with lab.engine() as engine:
        await played.reclaim(*NODES)
        await engine.until(lambda: engine.of(FleetObserved)[-1].gpus == (), 5)
        await engine.executor.launch(Job(run=RUN, source=FOREVER, seed=7, gpu_type="H100"))
        waits = await engine.first(Waiting, seconds=6)
        assert (waits.reason, waits.needs_a_person) == ("there is no H100 in the cluster now", True)
        assert not played.jobs.things
        assert not engine.of(Ended)
        await played.give("h100-0007")
        assert (await engine.first(Started, seconds=5)).gpu == "h100-0007/0"


async def test_a_run_that_waits_for_a_gpu_to_come_can_be_stopped(played: Played, lab: Lab) -> None:
    async with lab.engine() as engine:
        await engine.executor.launch(Job(run=RUN, source=FOREVER, seed=7, gpu_type="Abacus"))
        waits = await engine.first(Waiting, seconds=6)
        assert waits.reason == "there is no Abacus in the cluster now, only H100"
        await engine.executor.cancel(RUN)
        assert (await engine.first(Ended, seconds=5)).outcome == "cancelled"
        assert not played.jobs.things


async def test_a_campaign_waits_for_its_fleet_and_loses_only_what_ran(
    played: Played, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(played_cluster, "RUN_S", (0.4, 0.8))
    folder = stub.make_stub(lab.folder / "work")
    expedition.prepared(folder, lab.kubeconfig, "default")

    def facts() -> list[ev.Known]:
        file = stub.file_of(folder)
        return [fact for fact in logs.read_all(file) if isinstance(fact, ev.Event)] if file.exists() else []

    def lost() -> list[ev.RunEnded]:
        return [fact for fact in facts() if isinstance(fact, ev.RunEnded) and fact.outcome == "lost"]

    async def until(kind: type[ev.Event], number: int) -> None:
        async with asyncio.timeout(40):
            while sum(isinstance(fact, kind) for fact in facts()) < number:  # noqa: ASYNC110  a log tells nobody
                await asyncio.sleep(0.1)

    loaded = load(folder, {}, {"executor": "kubernetes", "researcher": "random", "max_experiments": 8})
    research = session.research(folder, loaded, "0", executors={"kubernetes": kubernetes_executor})
    engine = asyncio.create_task(research)
    await until(ev.RunEnded, 4)
    await played.reclaim(*NODES)
    await asyncio.sleep(GONE_S)
    seen, ran = facts(), sum(isinstance(fact, ev.RunEnded) for fact in facts())
    assert not engine.done()
    went = next(place for place, fact in enumerate(seen) if isinstance(fact, ev.FleetSeen) and not fact.gpus)
    assert not [fact for fact in seen[went:] if isinstance(fact, ev.RunRequested | ev.ExperimentJudged | ev.WaveAsked)]
    assert len(lost()) <= 4, "one per GPU"
    await played.give("h100-0007", gpus=4)
    await until(ev.RunEnded, ran + 1)
    async with asyncio.timeout(60):
        assert (await engine).exit_code == 0
    state = fold(State(), facts())
    assert state.counts.get("crashed", 0) == 0
    assert len(lost()) <= 4
    assert len(state.experiments) >= 9
