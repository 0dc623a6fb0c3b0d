"""The played cluster with nodes that work: a pod's command runs as a process of this machine, its files in a folder.

So the Kubernetes executor can be tested where there is no cluster. Knows no images, no users and no network.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import played_cluster
from aiohttp import web
from played_cluster import Body, Kind, Played, stamp

MESSAGE_BYTES = 4096


class Working(Played):
    look_s = 0.1

    def __init__(self, pools: str, folder: Path) -> None:
        super().__init__(pools)
        self.folder, self.config_maps = folder, Kind(self._versions)
        self.logs: dict[str, list[tuple[float, str]]] = {}
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    def kind(self, request: web.Request) -> Kind:
        return self.config_maps if request.match_info["kind"] == "configmaps" else super().kind(request)

    async def made(self, request: web.Request) -> web.Response:
        if request.match_info["kind"] == "configmaps":
            await self.config_maps.put(await request.json())
        return await super().made(request)

    async def deleted(self, request: web.Request) -> web.Response:
        """A Job takes its ConfigMap along, and its pod, which is given its time to end."""
        name = request.match_info["name"].removesuffix("-pod")
        if request.match_info["kind"] == "jobs":
            await self.jobs.drop(name)
            await self.config_maps.drop(name)
        self.spawn(self.stop(f"{name}-pod"))
        return web.json_response({})

    async def stop(self, pod: str) -> None:
        body, process = self.pods.things.get(pod), self.processes.get(pod)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return
        body["metadata"]["deletionTimestamp"] = stamp(time.time())
        await self.pods.put(body)
        if process is not None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(body["spec"]["terminationGracePeriodSeconds"]):
                    await process.wait()
            kill(process)
        while pod in self.processes:
            await self.pods.next(1)
        await self.pods.drop(pod)

    # --- what a node does ---

    def pod(self, name: str, job: Body) -> Body:
        return {**super().pod(name, job), "spec": job["spec"]["template"]["spec"]}

    async def train(self, pod: Body, product: str) -> None:
        name = pod["metadata"]["name"]
        pod["status"] |= {"startTime": stamp(time.time())}
        pod["status"]["containerStatuses"] = [played_cluster.container({"waiting": {}})]
        await self.tell(pod)
        while name.removesuffix("-pod") not in self.config_maps.things and name in self.pods.things:
            await self.config_maps.next(1)
        if name in self.pods.things:
            await self.work(pod, self.folder / name)
        await self.bound.drop(name)
        self.free[product].append(pod["spec"]["nodeName"])
        await self.place(product)

    async def work(self, pod: Body, folder: Path) -> None:
        name, (container,) = pod["metadata"]["name"], pod["spec"]["containers"]
        self.mount(pod, folder)

        def there(text: str) -> str:
            """`$$` is how Kubernetes is told of a dollar."""
            text = text.replace("$$", "$").replace("/autoresearch/", f"{folder}/")
            return text.replace(container["terminationMessagePath"], f"{folder}/message")

        env = {variable["name"]: there(variable["value"]) for variable in container["env"]}
        process = await asyncio.create_subprocess_exec(
            *map(there, container["command"]),
            env={"PATH": os.environ["PATH"], "KUBERNETES_SERVICE_HOST": "10.0.0.1", **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 20,
            start_new_session=True,
        )
        began, self.processes[name] = time.time(), process
        self.ends[name] = (began, float("inf"))
        running = {"running": {"startedAt": stamp(began)}}
        pod["status"] |= {"phase": "Running", "containerStatuses": [played_cluster.container(running)]}
        await self.tell(pod)
        assert process.stdout is not None
        async for line in process.stdout:
            self.logs.setdefault(name, []).append((time.time(), line.decode(errors="replace").rstrip("\n")))
        code = await process.wait()
        kill(process)
        self.ends[name] = (began, time.time())
        message = (folder / "message").read_bytes()[:MESSAGE_BYTES].decode(errors="replace")
        pod["status"] |= played_cluster.over(began, code if code >= 0 else 128 - code, message)
        shutil.rmtree(folder)
        del self.processes[name]
        await self.tell(pod)

    def mount(self, pod: Body, folder: Path) -> None:
        """The ConfigMap as files, with the paths that the pod asks for; and where it says how it ended."""
        (source,) = (volume["configMap"] for volume in pod["spec"]["volumes"] if volume["name"] == "source")
        body = self.config_maps.things[source["name"]]
        for item in source["items"]:
            target, key = folder / "source" / item["path"], item["key"]
            target.parent.mkdir(parents=True, exist_ok=True)
            text = body["data"].get(key)
            target.write_bytes(base64.b64decode(body["binaryData"][key]) if text is None else text.encode())
        (folder / "message").touch()

    async def tell(self, pod: Body) -> None:
        if pod["metadata"]["name"] in self.pods.things:
            await self.pods.put(pod)
            await self.bound.put(pod)

    def lines(self, pod: str) -> list[tuple[float, str]]:
        return self.logs.get(pod, [])

    async def end(self) -> None:
        for process in self.processes.values():
            kill(process)
        await super().end()


def kill(process: asyncio.subprocess.Process) -> None:
    """And all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def working(pools: str, folder: Path) -> AsyncIterator[str]:
    """The file that says how it is reached."""
    cluster = Working(pools, folder / "pods")
    runner, port = await played_cluster.serve(cluster)
    (folder / "kubeconfig").write_text(played_cluster.kubeconfig(port))
    try:
        yield str(folder / "kubeconfig")
    finally:
        await runner.cleanup()
        await cluster.end()
