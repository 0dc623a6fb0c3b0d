"""Executors on a cluster, and what becomes of the way to it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from watched import PREPARE, Watched, eventually, watching

from core.clock import SystemClock
from core.ids import RunId, SessionId
from k8s.client import Connection
from k8s.executor import KubernetesExecutor
from k8s.jobs import RUN as LABEL
from k8s.jobs import Campaign
from k8s.settings import ClusterSettings
from k8s.work import Work

NOT_SHOWN = {
    "test_runs_that_do_not_fit_wait_in_the_order_of_their_launch": "the cluster's scheduler decides whose turn it is"
}


class Lab:
    """One session's place: engines come and go."""

    def __init__(self, kubeconfig: str, namespace: str, folder: Path) -> None:
        self.kubeconfig, self.namespace, self.folder = kubeconfig, namespace, folder
        self.session = SessionId(f"test-{secrets.token_hex(3)}")
        self.runs, self.files = folder / "runs", {"prepare.py": PREPARE}

    def put(self, path: str, body: bytes) -> None:
        """Into the workspace."""
        self.files[path] = body

    @contextlib.asynccontextmanager
    async def engine(
        self, *open_runs: RunId, places: int = 1, kubeconfig: str = "", **changes: Any
    ) -> AsyncIterator[Watched[KubernetesExecutor]]:
        """`changes`: of the campaign. The cluster has as many `places` as it has."""
        clock = SystemClock()
        common: dict[str, Any] = {
            "session": self.session,
            "files": self.files,
            "prepare_digest": hashlib.sha256(PREPARE).hexdigest(),
            "timeout_s": 30,
            "env": changes.pop("variables", {}),
        }
        settings = ClusterSettings(
            image=os.environ.get("AUTORESEARCH_TEST_IMAGE", "python:3.12-slim"),
            python=os.environ.get("AUTORESEARCH_TEST_PYTHON", sys.executable),
            user=65534,
            grace_s=2,
        )
        executor = KubernetesExecutor(
            connection=Connection(
                clock=clock, kubeconfig=kubeconfig or self.kubeconfig, namespace=self.namespace, followed=8
            ),
            work=Work(Campaign(**common | changes), settings),
            runs=self.runs,
            clock=clock,
        )
        async with watching(executor, open_runs) as watched:
            yield watched

    async def meanwhile(self, run: RunId) -> None:
        """Until the cluster says that its pod has ended."""

        async def has_ended() -> bool:
            pods = [pod for pod in await self.items("pods") if pod["metadata"]["labels"][LABEL] == run]
            return [pod["status"]["phase"] for pod in pods] == ["Succeeded"]

        assert await eventually(has_ended)

    async def left(self) -> list[str]:
        return [name for kind in ("jobs", "pods", "configmaps") for name in await self.names(kind)]

    async def names(self, kind: str) -> list[str]:
        """Of this session's things: "jobs", "pods" or "configmaps"."""
        return [item["metadata"]["name"] for item in await self.items(kind)]

    async def items(self, kind: str) -> list[Any]:
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        query = {"labelSelector": f"autoresearch-tui/session={self.session}"}
        found = await self.ask("GET", f"{group}/namespaces/{self.namespace}/{kind}", query)
        return list(found["items"])

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
