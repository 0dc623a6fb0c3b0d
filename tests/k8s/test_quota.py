"""A quota that refuses a Job or a ConfigMap: the run waits and says so, and goes on when something of it goes."""

from __future__ import annotations

import asyncio

from lab import Lab
from played_cluster import Played
from watched import FOREVER

from core.executor import Ended, Lost, Started, Waiting
from core.ids import RunId

SECOND = RunId("e2-1")
TOLD = "the namespace's quota is used up: few, requested: {0}=1, used: {0}=1, limited: {0}=1"


async def test_a_job_that_a_quota_refuses_waits_with_its_sentence_and_is_made_when_there_is_room(
    played: Played, lab: Lab
) -> None:
    played.quotas = {"jobs": 1}
    async with lab.engine() as engine:
        await engine.launch(FOREVER)
        first = await engine.first(Started)
        await engine.launch(FOREVER, SECOND)
        waits = await engine.first(Waiting, SECOND, seconds=6)
        assert waits.reason.startswith(TOLD.format("count/jobs.batch"))
        assert waits.needs_a_person
        await engine.executor.cancel(first.run)
        await engine.first(Started, SECOND, seconds=6)
        assert not engine.of(Lost)
        assert not engine.of(Ended, SECOND)


async def test_a_config_map_that_a_quota_refuses_does_the_same(played: Played, lab: Lab) -> None:
    played.quotas = {"configmaps": 1}
    played.config_map_names.add("of somebody else")
    played.free["NVIDIA-H100-80GB-HBM3"].clear()  # a pod that has no ConfigMap does not start
    async with lab.engine() as engine:
        await engine.launch(FOREVER)
        waits = await engine.first(Waiting, seconds=6)
        assert waits.reason.startswith(TOLD.format("configmaps"))
        played.quotas.clear()
        async with asyncio.timeout(6):
            while len(played.config_map_names) < 2:  # noqa: ASYNC110  nothing is observed of it
                await asyncio.sleep(0.1)
        assert not engine.of(Lost)
        assert not engine.of(Ended)


async def test_a_run_that_waits_for_a_quota_can_be_stopped(played: Played, lab: Lab) -> None:
    played.quotas = {"jobs": 0}
    async with lab.engine() as engine:
        await engine.launch(FOREVER)
        await engine.first(Waiting, seconds=6)
        await engine.executor.cancel(RunId("e1-1"))
        assert (await engine.first(Ended, seconds=6)).outcome == "cancelled"
        assert not played.jobs.things
