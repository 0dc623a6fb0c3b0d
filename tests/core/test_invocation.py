"""What an engine says at its start: also where its runs go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core import events as ev
from core.clock import SystemClock
from core.hosts.settings import checked, named
from core.invocation import first_facts
from core.session import _invocation
from core.settings import load
from core.state import State
from core.time_budget import Budget
from core.views import status, where
from k8s.client import Connection
from k8s.executor import KubernetesExecutor


class Elsewhere:
    place = "prod-gpu/ml-team"


def opened(executor: Any, folder: Path) -> ev.EngineStarted:
    fact = next(
        first_facts(
            State(), _invocation(load(folder, {}, {}), State(), "1", executor, Budget(8.0, True)), "designed", 5.0
        )
    )
    assert isinstance(fact, ev.EngineStarted)
    return fact


def test_an_engine_records_where_its_runs_go(tmp_path: Path) -> None:
    fact = opened(Elsewhere(), tmp_path)
    assert fact.place == "prod-gpu/ml-team"
    assert where(fact) == "local prod-gpu/ml-team"
    assert ev.decode(ev.encode(fact)) == fact


def test_one_whose_runs_stay_here_records_nothing_new(tmp_path: Path) -> None:
    fact = opened(object(), tmp_path)
    assert "place" not in json.loads(ev.encode(fact))
    assert where(fact) == f"local on {fact.host}"


def test_what_was_recorded_before_still_reads() -> None:
    body = (
        b'{"kind":"EngineStarted","at":1.0,"pid":1,"host":"h","executor":"kubernetes","researcher":"r","version":"0"}'
    )
    fact = ev.decode(body)
    assert isinstance(fact, ev.EngineStarted)
    assert fact.place == ""
    assert json.loads(ev.encode(fact)) == json.loads(body)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"box1": {}, "box2": {}}, "box1, box2"),
        ({"hpc": {"slurm": {"partition": "gpu"}, "gpus": "H100:4"}}, "hpc (Slurm)"),
        ({f"box{i}": {} for i in range(12)}, "12 hosts"),
    ],
)
def test_hosts_are_named_and_many_are_counted(table: dict[str, Any], said: str) -> None:
    assert named(checked({name: {"address": name, **more} for name, more in table.items()})) == said


def test_the_executors_that_go_elsewhere_say_where() -> None:
    from core.executors.local import LocalExecutor
    from core.executors.simulator import Simulator
    from core.hosts.executor import SshExecutor

    placed = [hasattr(kind, "place") for kind in (KubernetesExecutor, SshExecutor, LocalExecutor, Simulator)]
    assert placed == [True, True, False, False]


async def test_a_cluster_is_its_context_and_namespace(tmp_path: Path) -> None:
    """Read from a kubeconfig; nothing is asked of the cluster."""
    file = tmp_path / "config"
    file.write_text(CONFIG)
    async with Connection(clock=SystemClock(), kubeconfig=str(file)) as connection:
        executor = KubernetesExecutor.__new__(KubernetesExecutor)
        executor._connection = connection
        assert executor.place == "prod-gpu/ml-team"


CONFIG = """
apiVersion: v1
kind: Config
current-context: prod-gpu
contexts: [{name: prod-gpu, context: {cluster: c, user: u, namespace: ml-team}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
"""


def test_status_says_where_runs_go() -> None:
    fact = ev.EngineStarted(
        at=1.0, pid=1, host="h", executor="kubernetes", researcher="r", version="1", place="prod-gpu/ml-team"
    )
    told = status(State(engine=fact), now=2.0, alive=True, pid=1)["engine"]
    assert told == {"alive": True, "pid": 1, "executor": "kubernetes", "place": "prod-gpu/ml-team"}
    assert status(State(), now=2.0, alive=False, pid=None)["engine"]["place"] is None
