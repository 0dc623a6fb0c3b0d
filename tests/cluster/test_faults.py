"""Campaigns on a real cluster to which something happens: no run is doubled, none is lost, and the log says it.

Faults that no API can cause are caused by commands that environment variables name; without one its test is skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shlex
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from accounts import account, path_of, put, rights
from expedition import IMAGE, STUB, Expedition, expedition
from lab import Lab, Proxy

from core import events as ev
from core.ids import RunId
from core.tiers import tiers
from k8s.client import ClusterError
from k8s.mirror import job_of

pytestmark = pytest.mark.slow
KILLS = 20
UNFINISHED = "did not end after its result"
OVERDUE = "its time was over, and its pod did not end"
SLOWER = STUB.replace("(2 + seed % 20 / 10)", "(4 + seed % 20 / 10)")
LONG = STUB.replace("(2 + seed % 20 / 10)", "(10 + seed % 20 / 10)")  # so that none ends before its node is missed
HELD = STUB.replace("    time.sleep(", "    while os.path.exists('HOLD'):\n        time.sleep(0.1)\n    time.sleep(")
RESTART, COMPACT, FAIL, RETURN = (
    f"AUTORESEARCH_TEST_{name}" for name in ("APISERVER_RESTART", "COMPACT", "NODE_FAILS", "NODE_RETURNS")
)
WHAT = {
    RESTART: "kills the API server and starts it again, and returns when it answers",
    COMPACT: "compacts the history of the cluster's database",
    FAIL: "makes the node that is its last argument fail",
    RETURN: "brings that node back",
}


async def fault(variable: str, *arguments: str) -> None:
    command = os.environ.get(variable, "")
    if not command:
        pytest.skip(f"Set {variable} to a command that {WHAT[variable]}.")
    process = await asyncio.create_subprocess_exec(
        *shlex.split(command), *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert await process.wait() == 0, command


@contextlib.asynccontextmanager
async def frozen(kubeconfig: str, folder: Path) -> AsyncIterator[tuple[Proxy, str]]:
    """A way to the API server that can be stalled, and the kubeconfig that takes it."""
    config = yaml.safe_load(await asyncio.to_thread(Path(kubeconfig).read_text))
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    proxy = Proxy(server.hostname or "", server.port or 443)
    async with proxy.serving() as port:
        config["clusters"][0]["cluster"]["server"] = f"https://{server.hostname}:{port}"
        (folder / "through").write_text(json.dumps(config))
        yield proxy, str(folder / "through")


def assert_each_outage_ended(trip: Expedition, count: int) -> None:
    """It was told, and the end of it."""
    lost, found = trip.count(ev.ExecutorLost), trip.count(ev.ExecutorFound)
    assert lost >= count
    assert found >= count
    assert trip.state.lost is None


async def test_an_api_server_that_is_killed_three_times_costs_no_run(
    kubeconfig: str, place: str, tmp_path: Path
) -> None:
    async with expedition(kubeconfig, place, tmp_path, train=SLOWER) as trip:
        trip.start("--max-experiments", "40")
        for number in range(3):
            await trip.more(ev.RunEnded, 3)
            await fault(RESTART)
            await trip.has(ev.ExecutorFound, number + 1)
        await trip.settle(40)
        assert not trip.lost()
        assert_each_outage_ended(trip, 3)


async def code_of_watch(trip: Expedition, version: str) -> int:
    """What the server says to somebody who wants to go on from there; 0 if it lets him."""
    query: dict[str, str | int] = {"watch": 1, "resourceVersion": version, "timeoutSeconds": 1}
    try:
        async with trip.connection.stream(trip.path("jobs"), query, inactive_s=5) as stream:
            return int(json.loads(await stream.readline() or b"{}").get("object", {}).get("code", 0))
    except ClusterError as error:
        return error.status


async def test_history_that_was_compacted_costs_no_run(kubeconfig: str, place: str, tmp_path: Path) -> None:
    async with (
        frozen(kubeconfig, tmp_path) as (proxy, through),
        expedition(kubeconfig, place, tmp_path, through=through) as trip,
    ):
        trip.start("--max-experiments", "40")
        await trip.until(lambda: trip.count(ev.RunEnded) > 8)
        old = (await trip.ask("GET", trip.path("jobs")))["metadata"]["resourceVersion"]
        proxy.stall()
        await trip.until(lambda: trip.count(ev.ExecutorLost))
        await fault(COMPACT)
        await fault(RESTART)
        assert await code_of_watch(trip, old) == 410
        proxy.go_on()
        await trip.settle(40)
        assert not trip.lost()
        assert_each_outage_ended(trip, 1)


async def test_an_engine_that_is_killed_twenty_times_doubles_and_loses_nothing(
    kubeconfig: str, place: str, tmp_path: Path
) -> None:
    dice = random.Random(5)
    async with expedition(kubeconfig, place, tmp_path) as trip:
        for number in range(KILLS):
            trip.start("--max-experiments", "40")
            await trip.has(ev.EngineStarted, number + 1)
            await asyncio.sleep(dice.uniform(0.0, 1.5))
            trip.kill()
        trip.start("--max-experiments", "40")
        await trip.settle(40)
        assert trip.count(ev.EngineStarted) == KILLS + 1
        assert not trip.lost()


async def test_runs_of_a_node_that_fails_are_made_elsewhere(kubeconfig: str, place: str, tmp_path: Path) -> None:
    async with expedition(kubeconfig, place, tmp_path, train=LONG) as trip:
        trip.start("--max-experiments", "40")
        await trip.until(lambda: trip.count(ev.RunStarted) > 10)
        node = (await trip.running())[-1].spec.node_name
        await fault(FAIL, node)
        try:
            await trip.until(lambda: is_broken(trip, node), 120)
            await trip.until(lambda: not runs_on(trip, node), 400)  # until then it might come back with its pod
        finally:
            await fault(RETURN, node)
        await trip.until(lambda: not is_broken(trip, node), 120)
        await trip.settle(40, replaced=("its node", UNFINISHED))
        assert all(reason.startswith("its node") for reason in trip.lost())
        assert trip.lost() or unfinished(trip), "what had told its result is not lost"


@pytest.mark.usefixtures("shared_files")
async def test_a_run_that_its_node_takes_along_is_lost_and_made_elsewhere(
    kubeconfig: str, place: str, tmp_path: Path
) -> None:
    """It has told no result when its node fails, and cannot: it costs its experiment nothing."""
    hold = tmp_path / "hold"
    async with expedition(kubeconfig, place, tmp_path, train=HELD.replace("HOLD", str(hold))) as trip:
        hold.touch()
        trip.start("--max-experiments", "30")
        await trip.until(lambda: trip.count(ev.RunStarted) > 10)
        pod = (await trip.running())[-1]
        run = RunId(job_of(pod).removeprefix(f"autoresearch-{trip.state.session}-"))
        await fault(FAIL, pod.spec.node_name)
        try:
            await trip.until(lambda: trip.lost(), 400)
        finally:
            await fault(RETURN, pod.spec.node_name)
            hold.unlink()
        state = await trip.settle(30, replaced=("its node", OVERDUE, UNFINISHED))
        assert [fact.run for fact in trip.of(ev.RunEnded) if fact.outcome == "lost"] == [run]
        told = (f"its node {pod.spec.node_name} stopped answering", OVERDUE)  # where nobody evicts pods, it is missed
        assert trip.lost()[0] in told
        experiment = state.experiments[state.runs[run].experiment]
        again = [state.runs[name].result for name in experiment.runs if name != run]
        assert any(result is not None and result.outcome == "finished" for result in again), "it is made again"
        assert experiment.status != "crashed"


def runs_on(trip: Expedition, node: str) -> bool:
    runs = (trip.state.runs[name] for name in trip.state.active)
    return any(run.gpu is not None and run.gpu.startswith(f"{node}/") for run in runs)


def unfinished(trip: Expedition) -> bool:
    return any(fact.reason == UNFINISHED for fact in trip.of(ev.RunEnded))


def is_broken(trip: Expedition, node: str) -> bool:
    """That node, as the engine sees it."""
    return any(gpu.broken for gpu in trip.state.gpus if gpu.id.startswith(f"{node}/"))


async def test_runs_whose_jobs_somebody_deletes_are_made_again(kubeconfig: str, place: str, tmp_path: Path) -> None:
    async with expedition(kubeconfig, place, tmp_path) as trip:
        trip.start("--max-experiments", "40")
        await trip.until(lambda: trip.count(ev.RunStarted) > 12)
        gone = [pod.metadata.labels["job-name"] for pod in await trip.running()][:3]
        for job in gone:
            await trip.ask("DELETE", trip.path("jobs", job), {"propagationPolicy": "Background"})
        await trip.settle(40)
        assert 1 <= len(trip.lost()) <= 3  # one may have come to its end at that moment
        assert set(trip.lost()) == {"somebody else deleted its Job"}


def foreign(trip: Expedition, pods: int) -> dict[str, Any]:
    """Somebody else's Job on the nodes of the plentiful type; the others are left to validate on."""
    (screening,) = tiers(trip.state).screen
    nodes = sorted({gpu.id.partition("/")[0] for gpu in trip.state.gpus if gpu.type == screening})
    wanted = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]}
    container = {
        "name": "c",
        "image": IMAGE,
        "command": ["sleep", "600"],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [wanted]}}
        },
    }
    spec = {"parallelism": pods, "completions": pods, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "foreign"}, "spec": spec}


async def test_gpus_that_a_foreign_job_takes_are_left_to_it(kubeconfig: str, place: str, tmp_path: Path) -> None:
    def theirs(trip: Expedition) -> int:
        return sum(gpu.held_by == place for gpu in trip.state.gpus)

    async with expedition(kubeconfig, place, tmp_path, train=SLOWER) as trip:
        trip.start("--max-experiments", "50")
        await trip.until(lambda: trip.count(ev.RunStarted) > 10)
        await trip.ask("POST", trip.path("jobs"), body=foreign(trip, 6))
        await trip.until(lambda: theirs(trip) == 6)
        await trip.more(ev.RunEnded, 5)
        assert theirs(trip) == 6
        await trip.ask("DELETE", trip.path("jobs", "foreign"), {"propagationPolicy": "Background"})
        await trip.until(lambda: theirs(trip) == 0)
        await trip.settle(50)
        assert not trip.lost()


async def test_a_permission_that_is_taken_and_given_back_costs_no_run(
    kubeconfig: str, place: str, tmp_path: Path
) -> None:
    lab = Lab(kubeconfig, place, tmp_path)
    things = rights(lab)
    (binding,) = (thing for thing in things if thing["kind"] == "RoleBinding")
    async with expedition(kubeconfig, place, tmp_path) as trip, account(lab, trip.connection, things) as own:
        trip.give(own)
        trip.start("--max-experiments", "40")
        await trip.until(lambda: trip.count(ev.RunEnded) > 8)
        await trip.connection.request("DELETE", path_of(lab, binding))
        await trip.until(lambda: trip.count(ev.ExecutorLost))
        await asyncio.sleep(3)
        await put(trip.connection, lab, binding)
        await trip.settle(40)
        assert not trip.lost()
        assert "does not allow" in trip.of(ev.ExecutorLost)[0].reason
        assert_each_outage_ended(trip, 1)


async def test_a_connection_that_freezes_costs_no_run(kubeconfig: str, place: str, tmp_path: Path) -> None:
    async with (
        frozen(kubeconfig, tmp_path) as (proxy, through),
        expedition(kubeconfig, place, tmp_path, through=through) as trip,
    ):
        trip.start("--max-experiments", "40")
        for number in range(2):
            await trip.more(ev.RunEnded, 6)
            proxy.stall()
            await trip.has(ev.ExecutorLost, number + 1)
            await asyncio.sleep(3)
            proxy.go_on()
            await trip.has(ev.ExecutorFound, number + 1)
        await trip.settle(40)
        assert not trip.lost()
        assert "does not answer" in trip.of(ev.ExecutorLost)[0].reason
        assert_each_outage_ended(trip, 2)
