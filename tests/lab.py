"""An executor on a real cluster, and all that it has reported."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from core.clock import SystemClock
from core.executor import Ended, FleetObserved, Job, Observation, Synced
from core.ids import RunId, SessionId
from k8s.client import Connection
from k8s.executor import KubernetesExecutor
from k8s.jobs import Campaign
from k8s.settings import ClusterSettings
from k8s.work import Work

RUN = RunId("e1-1")
RESULT = "print('---\\nval_bpb: 1.25\\ntraining_seconds: 1')\n"
STEP = "print('step 00001 (50.0%) | loss: 2.5 | tok/sec: 1,000', flush=True)\n"
FOREVER = "import time\nwhile True: time.sleep(0.1)\n"
PREPARE = b"TIME_BUDGET = 1\n"
Seen = TypeVar("Seen", bound=Observation)


class Watched:
    def __init__(self, executor: KubernetesExecutor) -> None:
        self.executor = executor
        self.seen: list[Observation] = []
        self._news = asyncio.Event()

    async def collect(self, open_runs: tuple[RunId, ...]) -> None:
        async for observation in self.executor.watch(open_runs):
            self.seen.append(observation)
            self._news.set()

    def of(self, kind: type[Seen], run: RunId = RUN) -> list[Seen]:
        return [seen for seen in self.seen if isinstance(seen, kind) and getattr(seen, "run", run) == run]

    async def first(self, kind: type[Seen], run: RunId = RUN, seconds: float = 40) -> Seen:
        await self.until(lambda: bool(self.of(kind, run)), seconds)
        return self.of(kind, run)[0]

    async def until(self, claim: Callable[[], bool], seconds: float = 40) -> None:
        async with asyncio.timeout(seconds):
            while not claim():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.2)

    @property
    def gpu_type(self) -> str:
        fleet = next(seen for seen in self.seen if isinstance(seen, FleetObserved))
        return next(gpu.type for gpu in fleet.gpus if not gpu.held_by)

    async def launch(self, source: str, run: RunId = RUN) -> None:
        await self.executor.launch(Job(run=run, source=source, seed=7, gpu_type=self.gpu_type))

    async def run(self, source: str, run: RunId = RUN) -> Ended:
        await self.launch(source, run)
        return await self.first(Ended, run)


class Lab:
    """One session's place: engines come and go."""

    def __init__(self, kubeconfig: str, namespace: str, folder: Path) -> None:
        self.kubeconfig, self.namespace, self.folder = kubeconfig, namespace, folder
        self.session = SessionId(f"test-{secrets.token_hex(3)}")

    @contextlib.asynccontextmanager
    async def engine(self, *open_runs: RunId, timeout_s: float = 30, kubeconfig: str = "") -> AsyncIterator[Watched]:
        clock = SystemClock()
        campaign = Campaign(
            session=self.session,
            files={"prepare.py": PREPARE},
            prepare_digest=hashlib.sha256(PREPARE).hexdigest(),
            timeout_s=timeout_s,
        )
        settings = ClusterSettings(
            image=os.environ.get("AUTORESEARCH_TEST_IMAGE", "python:3.12-slim"),
            python=os.environ.get("AUTORESEARCH_TEST_PYTHON", sys.executable),
            user=65534,
            grace_s=2,
        )
        async with KubernetesExecutor(
            connection=Connection(
                clock=clock, kubeconfig=kubeconfig or self.kubeconfig, namespace=self.namespace, followed=8
            ),
            work=Work(campaign, settings),
            runs=self.folder / "runs",
            clock=clock,
        ) as executor:
            watched = Watched(executor)
            task = asyncio.create_task(watched.collect(open_runs))
            try:
                await watched.first(Synced)
                yield watched
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def names(self, kind: str) -> list[str]:
        """Of this session's things: "jobs", "pods" or "configmaps"."""
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        query = {"labelSelector": f"autoresearch-tui/session={self.session}"}
        found = await self.ask("GET", f"{group}/namespaces/{self.namespace}/{kind}", query)
        return [item["metadata"]["name"] for item in found["items"]]

    async def delete(self, kind: str, name: str) -> None:
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        query = {"propagationPolicy": "Background"}
        await self.ask("DELETE", f"{group}/namespaces/{self.namespace}/{kind}/{name}", query)

    async def occupy(self, name: str) -> None:
        """A pod that is nobody's of ours takes a GPU."""
        image = os.environ.get("AUTORESEARCH_TEST_IMAGE", "python:3.12-slim")
        resources = {"limits": {"nvidia.com/gpu": "1"}}
        container = {"name": "c", "image": image, "command": ["sleep", "600"], "resources": resources}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "restartPolicy": "Never"}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        await self.ask("POST", f"/api/v1/namespaces/{self.namespace}/pods", {}, body)

    async def ask(
        self, method: str, path: str, query: Mapping[str, str | int], body: Mapping[str, Any] | None = None
    ) -> Any:
        async with Connection(clock=SystemClock(), kubeconfig=self.kubeconfig) as connection:
            return json.loads(await connection.request(method, path, query, body))

    async def is_clean(self, seconds: float = 20) -> bool:
        """Whether nothing of this session is left, at the latest after a while."""
        for _ in range(int(seconds * 5)):
            if not [name for kind in ("jobs", "pods", "configmaps") for name in await self.names(kind)]:
                return True
            await asyncio.sleep(0.2)
        return False


class Proxy:
    """Between an engine and the API server; `stall` lets nothing through any more, and closes nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def stall(self) -> None:
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Its port."""
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._open.wait()
            there, back = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
            finally:
                back.close()
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
