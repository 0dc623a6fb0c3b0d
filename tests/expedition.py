"""A campaign on a real cluster: its workspace, its engine as a process, and a witness of what the cluster really ran.

The witness asks the API server for Jobs and pods itself and reads no log of ours; `settle` holds the two against each
other. Knows nothing of what goes wrong meanwhile: that is each test's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import stub
from checkout import commit_all

from core import events as ev
from core import log as logs
from core.clock import SystemClock
from core.fold import fold
from core.state import State
from core.views import proposed
from k8s.client import ClusterError, Connection
from k8s.inventory import MANAGED, MANAGER
from k8s.jobs import TYPE
from k8s.mirror import job_of
from k8s.run import started, terminated
from k8s.shapes import Changed, Job, Pod, Thing, seconds
from k8s.watching import Stale, Synced, watch

IMAGE = os.environ.get("AUTORESEARCH_TEST_IMAGE", "python:3.12-slim")
PYTHON = os.environ.get("AUTORESEARCH_TEST_PYTHON", sys.executable)
_LINES = [line for line in stub.TRAIN.splitlines() if "starts" not in line.lower()]
STUB = "\n".join([*_LINES, ""]).replace("float(SECONDS)", "(2 + seed % 20 / 10)")  # takes 2 to 4 s
KINDS = {"jobs": "/apis/batch/v1", "pods": "/api/v1", "configmaps": "/api/v1"}


class Witness:
    """What was seen of the namespace from outside.

    How many Jobs there were at a time is counted by the cluster's own revisions, which one count gives to all objects:
    two watches do not tell which of two things came first, and a Job is marked as complete after its pod has ended.
    """

    def __init__(self) -> None:
        self.live: dict[str, str] = {}  # Jobs that have not ended: their GPU type, by name
        self._kinds: dict[str, str] = {}  # of all Jobs
        self._made: dict[str, int] = {}  # the revision at which a Job was there
        self._over: dict[str, int] = {}  # and the one at which it, or the container of its pod, had ended
        self.uids: dict[str, set[str]] = defaultdict(set)  # of all Jobs of a name
        self.began: dict[str, set[str]] = defaultdict(set)  # pods in which something ran, by their Job
        self.nodes: dict[str, str] = {}  # where it ran, by Job

    def job(self, job: Job, gone: bool) -> None:
        self.uids[job.name].add(job.metadata.uid)
        over = any(each.type in ("Complete", "Failed") and each.status == "True" for each in job.status.conditions)
        self.live.pop(job.name, None)
        self._kinds[job.name] = job.metadata.annotations.get(TYPE, "")
        self._made.setdefault(job.name, int(job.metadata.resource_version))
        if gone or over or job.metadata.deletion_timestamp:
            self._ended(job.name, job.metadata.resource_version)
        else:
            self.live[job.name] = self._kinds[job.name]

    def _ended(self, job: str, revision: str) -> None:
        self._over[job] = min(int(revision), self._over.get(job, sys.maxsize))

    def most(self, kind: str) -> int:
        """Jobs of a GPU type at a time."""
        changes = [(self._made[job], 1) for job, other in self._kinds.items() if other == kind]
        changes += [(self._over[job], -1) for job, other in self._kinds.items() if other == kind and job in self._over]
        return max(itertools.accumulate(change for _, change in sorted(changes)), default=0)

    def pod(self, pod: Pod, gone: bool) -> None:
        if gone or pod.has_ended or terminated(pod) is not None:
            self._ended(job_of(pod), pod.metadata.resource_version)
        if started(pod) is not None:
            self.began[job_of(pod)].add(pod.metadata.uid)
            self.nodes[job_of(pod)] = pod.spec.node_name

    async def look(
        self, connection: Connection, kind: type[Thing], path: str, take: Callable[[Thing, bool], None]
    ) -> None:
        query = {"labelSelector": f"{MANAGER}={MANAGED}"}
        async for seen in watch(connection, kind, path, query, clock=SystemClock()):
            match seen:
                case Synced(items):
                    if kind is Job:
                        self.live.clear()
                    for item in items:
                        take(item, False)
                case Changed(what, item):
                    take(item, what == "DELETED")
                case Stale():
                    pass


class Expedition:
    def __init__(self, connection: Connection, workspace: Path) -> None:
        self.connection, self.workspace = connection, workspace
        self.witness = Witness()
        self.output = workspace.with_name("engine.txt")
        self._engine: subprocess.Popen[bytes] | None = None

    # --- the engine ---

    def start(self, *arguments: str) -> None:
        with self.output.open("ab") as output:
            self._engine = subprocess.Popen(
                stub.command(self.workspace, "--no-ui", "--executor", "kubernetes", *arguments),
                env={key: value for key, value in stub.environment().items() if "_TEST_" not in key},
                cwd=self.workspace.parent,
                stdout=output,
                stderr=output,
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._engine is not None and self._engine.poll() is None:
            self._engine.send_signal(number)
            self._engine.wait(30)

    async def ended(self, seconds: float = 180) -> int:
        """The exit code of the engine, once it has ended by itself."""
        assert self._engine is not None
        await self.until(lambda: self._engine is not None and self._engine.poll() is not None, seconds)
        return self._engine.returncode

    def command(self, *arguments: str) -> None:
        done = stub.run(self.workspace, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def give(self, kubeconfig: str) -> None:
        """To the engines that are started from now on."""
        prepared(self.workspace, kubeconfig, self.connection.namespace)

    # --- its log ---

    def facts(self) -> list[ev.Fact]:
        file = stub.file_of(self.workspace)
        return logs.read_all(file) if file.exists() else []

    def of(self, *kinds: type[ev.Event]) -> list[Any]:
        return [fact for fact in self.facts() if isinstance(fact, kinds)]

    @property
    def state(self) -> State:
        return fold(State(), self.facts())

    def count(self, kind: type[ev.Event], **claims: object) -> int:
        return sum(all(getattr(fact, key) == value for key, value in claims.items()) for fact in self.of(kind))

    def lost(self) -> list[str]:
        """Why runs were."""
        return [fact.reason for fact in self.of(ev.RunEnded) if fact.outcome == "lost"]

    async def until(self, claim: Callable[[], object], seconds: float = 60) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not claim():  # noqa: ASYNC110  another process tells us nothing
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"waited in vain; the engine said:\n{self.said()}") from None

    async def more(self, kind: type[ev.Event], number: int, seconds: float = 60) -> None:
        """Until so many more are in the log."""
        await self.has(kind, self.count(kind) + number, seconds)

    async def has(self, kind: type[ev.Event], number: int, seconds: float = 60) -> None:
        """Until so many are in the log."""
        await self.until(lambda: self.count(kind) >= number, seconds)

    def said(self) -> str:
        return self.output.read_text(errors="replace")[-6000:] if self.output.exists() else ""

    # --- the cluster ---

    async def ask(self, method: str, path: str, query: Mapping[str, str | int] = {}, body: Any = None) -> Any:
        return json.loads(await self.connection.request(method, path, query, body))

    def path(self, kind: str, name: str = "") -> str:
        return f"{KINDS[kind]}/namespaces/{self.connection.namespace}/{kind}" + (f"/{name}" if name else "")

    async def names(self, kind: str) -> list[str]:
        found = await self.ask("GET", self.path(kind), {"labelSelector": f"{MANAGER}={MANAGED}"})
        return [item["metadata"]["name"] for item in found["items"]]

    async def running(self) -> list[Pod]:
        """Pods of ours in which something runs now, the latest last."""
        body = await self.connection.request("GET", self.path("pods"), {"labelSelector": f"{MANAGER}={MANAGED}"})
        found = msgspec.json.decode(msgspec.Raw(body), type=_Pods).items
        pods = [pod for pod in found if pod.status.phase == "Running" and pod.spec.node_name]
        return sorted(pods, key=lambda pod: seconds(started(pod)))

    async def left(self) -> list[str]:
        return [f"{kind}/{name}" for kind in KINDS for name in await self.names(kind)]

    # --- what must hold at the end ---

    async def settle(self, experiments: int | None, *, replaced: tuple[str, ...] = ()) -> State:
        """No run doubled and none lost, nothing left behind. `experiments`: None if it was stopped before its end;
        `replaced`: beginnings of the reasons of lost runs whose Job made a second pod.
        """
        assert await self.ended() == 0, self.said()
        state = self.state
        if experiments is not None:
            assert proposed(state) == experiments, self.said()
            assert not state.open, "all are judged"
        assert not state.active, "all runs have ended"
        requested = [fact.run for fact in self.of(ev.RunRequested)]
        ends = Counter(fact.run for fact in self.of(ev.RunEnded))
        assert max(Counter(requested).values()) == 1
        assert ends == Counter(requested), "each has one end"
        await self.is_as_it_says(state, replaced)
        async with asyncio.timeout(30):
            while left := await self.left():  # noqa: ASYNC110  nobody tells us
                await asyncio.sleep(0.5)
        assert left == []
        return state

    async def is_as_it_says(self, state: State, replaced: tuple[str, ...]) -> None:
        """What the cluster ran is what the log says, once each."""
        names = {name: f"autoresearch-{state.session}-{name}" for name in state.runs}
        began, uids = self.witness.began, self.witness.uids
        assert set(uids) <= set(names.values()), "no Job but those of the log"
        for name, job in names.items():
            result = state.runs[name].result
            assert result is not None
            assert len(uids[job]) <= 1, f"{name} was made twice"
            if not (replaced and result.reason.startswith(replaced)):
                assert len(began[job]) <= 1, f"{name} ran twice"
                assert len(await self.created(job)) <= 1, f"{name} had two pods"
            if result.outcome == "finished":
                assert began[job], f"{name} ran"

    async def created(self, job: str) -> set[str]:
        """Pods that were made for a Job, as the cluster itself noted."""
        events = f"/api/v1/namespaces/{self.connection.namespace}/events"
        found = await self.ask("GET", events, {"fieldSelector": f"involvedObject.name={job},reason=SuccessfulCreate"})
        return {item["message"] for item in found["items"]}


class _Pods(msgspec.Struct):
    items: tuple[Pod, ...] = ()


@contextlib.asynccontextmanager
async def expedition(
    kubeconfig: str, namespace: str, folder: Path, *, train: str = STUB, through: str = "", more: str = ""
) -> AsyncIterator[Expedition]:
    """`through`: the engine's own kubeconfig. `more`: lines at the end of autoresearch.toml, below [kubernetes]."""
    workspace = stub.make_stub(folder / "work", train=train)
    prepared(workspace, through or kubeconfig, namespace, more)
    async with Connection(clock=SystemClock(), kubeconfig=kubeconfig, namespace=namespace) as connection:
        trip = Expedition(connection, workspace)
        looks = [
            asyncio.create_task(trip.witness.look(connection, Job, trip.path("jobs"), trip.witness.job)),
            asyncio.create_task(trip.witness.look(connection, Pod, trip.path("pods"), trip.witness.pod)),
        ]
        try:
            yield trip
        finally:
            trip.kill()
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)
            for name in await _or_none(trip.names("jobs")):
                with contextlib.suppress(ClusterError):
                    await trip.ask("DELETE", trip.path("jobs", name), {"propagationPolicy": "Background"})


async def _or_none(names: Any) -> list[str]:
    try:
        found: list[str] = await names
    except ClusterError:
        return []
    return found


def prepared(workspace: Path, kubeconfig: str, namespace: str, more: str = "") -> None:
    """Its settings are committed."""
    given = {"kubeconfig": kubeconfig, "namespace": namespace, "image": IMAGE, "python": PYTHON}
    lines = ["[kubernetes]", "user = 65534", "grace_s = 2", *(f'{key} = "{value}"' for key, value in given.items())]
    (workspace / "autoresearch.toml").write_text("\n".join([*lines, more, ""]))
    commit_all(workspace)
