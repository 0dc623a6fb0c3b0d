"""A Job that makes a second pod: what the executor makes of the first, on an API server that plays a cluster."""

from __future__ import annotations

import time
from typing import Any

import pytest
from lab import Lab
from played_cluster import Played, stamp
from watched import FOREVER, Watched

from core.executor import Ended, Started
from k8s.executor import KubernetesExecutor


async def second_pod(played: Played) -> None:
    """As the controller of Jobs makes it while the first is on its way out."""
    (first,) = played.pods.things.values()
    await played.pods.put({**first, "metadata": {**first["metadata"], "deletionTimestamp": stamp(time.time())}})
    meta: dict[str, Any] = {**first["metadata"], "name": f"{first['metadata']['name']}-2", "uid": "second"}
    await played.pods.put({"metadata": meta, "spec": first["spec"], "status": {"phase": "Pending", "conditions": []}})


async def failed(played: Played, node: str) -> None:
    body = played.nodes.things[node]
    status = {**body["status"], "conditions": [{"type": "Ready", "status": "Unknown"}]}
    await played.nodes.put({**body, "status": status})


async def begun(engine: Watched[KubernetesExecutor]) -> str:
    """The node on which its only run began."""
    await engine.launch(FOREVER)
    return (await engine.first(Started)).gpu.partition("/")[0]


async def test_on_a_node_that_failed_the_first_is_lost_at_once(played: Played, lab: Lab) -> None:
    async with lab.engine() as engine:
        node = await begun(engine)
        await failed(played, node)
        await second_pod(played)
        end = await engine.first(Ended, seconds=4)  # without it, seconds after the grace of the first has passed
    assert (end.outcome, end.reason) == ("lost", f"its node {node} stopped answering")


async def test_on_a_node_that_answers_the_first_is_waited_for(played: Played, lab: Lab) -> None:
    async with lab.engine() as engine:
        await begun(engine)
        await second_pod(played)
        with pytest.raises(TimeoutError):
            await engine.first(Ended, seconds=3)
        first = next(iter(played.pods.things))
        await played.pods.drop(first)
        end = await engine.first(Ended, seconds=8)
    assert end.outcome == "lost"
    assert "stopped answering" not in end.reason
    assert len(engine.of(Ended)) == 1
    assert len(engine.of(Started)) == 1, "the second is not taken for the run"
