"""An API server that plays a cluster of any size, for benches: `python tests/played_cluster.py H100:900x8,H200:100x8`.

Lists and watches as Kubernetes does (versions, pages, bookmarks, 410), Jobs that become pods on nodes with a free GPU,
logs and results. It prints its port, then a line per start and end: what, whose run, and when it told the watches.
Nothing runs, nothing is authorised, and only what our executor asks for is answered.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import json
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from aiohttp import web

Body = dict[str, Any]
KEPT = 50_000  # changes of one kind that a watch may go on from
RUN_S = (120.0, 480.0)
STEPS = 100
PRODUCTS = {"H100": "NVIDIA-H100-80GB-HBM3", "H200": "NVIDIA-H200"}
PRODUCT, GPU = "nvidia.com/gpu.product", "nvidia.com/gpu"


KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters: [{name: played, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: nobody, user: {token: none}}]
contexts: [{name: played, context: {cluster: played, user: nobody, namespace: default}}]
current-context: played
"""


def kubeconfig(port: int) -> str:
    return KUBECONFIG.replace("PORT", str(port))


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


class Kind:
    """Things of one kind, and what happened to them."""

    def __init__(self, versions: Iterator[int]) -> None:
        self._versions, self.version = versions, 0
        self.things: dict[str, Body] = {}
        self._numbers: deque[int] = deque(maxlen=KEPT)
        self._lines: deque[bytes] = deque(maxlen=KEPT)
        self._forgotten = 0
        self._news = asyncio.Event()  # of the next change

    async def put(self, thing: Body) -> None:
        name = thing["metadata"]["name"]
        what = "MODIFIED" if name in self.things else "ADDED"
        self.things[name] = thing
        await self._tell(what, thing)

    async def drop(self, name: str) -> None:
        if thing := self.things.pop(name, None):
            await self._tell("DELETED", thing)

    async def _tell(self, what: str, thing: Body) -> None:
        self.version = next(self._versions)
        thing["metadata"]["resourceVersion"] = str(self.version)
        if len(self._numbers) == KEPT:
            self._forgotten = self._numbers[0]
        self._numbers.append(self.version)
        self._lines.append(json.dumps({"type": what, "object": thing}).encode() + b"\n")
        self._news.set()
        self._news = asyncio.Event()

    async def next(self, seconds: float) -> None:
        """Until something happens, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def since(self, version: int) -> tuple[int, bytes] | None:
        """What came after; None if that is not known any more."""
        if version < self._forgotten:
            return None
        start = bisect.bisect_right(self._numbers, version)
        lines = list(itertools.islice(self._lines, start, None))
        return (self._numbers[-1] if lines else version), b"".join(lines)


class Played:
    look_s = 1.0  # between two looks for more of a log that is followed

    def __init__(self, pools: str, seed: int = 0) -> None:
        self.random, self._versions = random.Random(seed), itertools.count(1)
        self.nodes, self.jobs, self.pods, self.bound = (Kind(self._versions) for _ in range(4))
        self.free: dict[str, deque[str]] = {}  # nodes with a free GPU, once per GPU, by product
        self.waiting: dict[str, deque[str]] = {}  # pods, by product
        self.ends: dict[str, tuple[float, float]] = {}  # when a pod began and will end
        self._pools = [pool.replace("x", ":").split(":") for pool in pools.split(",")]
        self._tasks: set[asyncio.Task[None]] = set()
        self.quotas: dict[str, int] = {}  # how many there may be, by kind: "jobs", "configmaps"
        self.config_map_names: set[str] = set()
        self.hides_others = False  # pods of all namespaces may not be listed or watched

    async def begin(self) -> None:
        for name, count, gpus in self._pools:
            product = PRODUCTS[name]
            self.free[product], self.waiting[product] = deque(), deque()
            for number in range(int(count)):
                node = f"{name.lower()}-{number:04}"
                await self.nodes.put(_node(node, product, gpus))
                self.free[product] += [node] * int(gpus)
            self.random.shuffle(self.free[product])

    def spawn(self, job: Any) -> None:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what a cluster does ---

    async def run(self, job: Body) -> None:
        """From its Job to its end, or until it is deleted."""
        name = job["metadata"]["name"]
        pod = self.pod(f"{name}-pod", job)
        product = _product(job)
        await asyncio.sleep(0.03)
        if name not in self.jobs.things:
            return
        await self.pods.put(pod)
        self.waiting[product].append(pod["metadata"]["name"])
        await self.place(product)

    def pod(self, name: str, job: Body) -> Body:
        return _pod(name, job)

    async def place(self, product: str) -> None:
        while self.waiting[product] and self.free[product]:
            pod = self.pods.things.get(self.waiting[product].popleft())
            if pod is not None:
                pod["spec"]["nodeName"] = self.free[product].popleft()
                self.spawn(self.train(pod, product))

    async def train(self, pod: Body, product: str) -> None:
        name, began = pod["metadata"]["name"], time.time()
        pod["status"] |= {"startTime": stamp(began), "containerStatuses": [container({"waiting": {}})]}
        await self.pods.put(pod)
        await self.bound.put(pod)
        await asyncio.sleep(0.2)
        began, lasts = time.time(), self.random.uniform(*RUN_S)
        self.ends[name] = (began, began + lasts)
        pod["status"] |= {
            "phase": "Running",
            "containerStatuses": [container({"running": {"startedAt": stamp(began)}})],
        }
        self.say("started", pod)
        await self.pods.put(pod)
        await self.bound.put(pod)
        await asyncio.sleep(lasts)
        if name not in self.bound.things:  # its node took it along
            return
        await self.bound.drop(name)
        self.free[product].append(pod["spec"]["nodeName"])
        if name in self.pods.things:
            self.say("ended", pod)
            await self.pods.put(_ended(pod, began, _result(self.random)))
        await self.place(product)

    async def reclaim(self, *nodes: str) -> None:
        """They are gone, and with them the pods that they had."""
        for node in nodes:
            product = self.nodes.things[node]["metadata"]["labels"][PRODUCT]
            self.free[product] = deque(name for name in self.free[product] if name != node)
            await self.nodes.drop(node)
        for name, pod in list(self.bound.things.items()):
            if pod["spec"]["nodeName"] in nodes:
                await self.bound.drop(name)
                await self.pods.drop(name)

    async def occupy(self, node: str) -> None:
        """A pod of somebody else takes a GPU."""
        product = self.nodes.things[node]["metadata"]["labels"][PRODUCT]
        self.free[product].remove(node)
        meta = {"name": f"on-{node}", "uid": f"on-{node}", "namespace": "lab", "creationTimestamp": stamp(time.time())}
        spec = {"nodeName": node, "containers": [{"name": "c", "resources": {"limits": {GPU: "1"}}}]}
        await self.bound.put({"metadata": meta, "spec": spec, "status": {"phase": "Running"}})

    async def give(self, node: str, pool: str = "H100", gpus: int = 1) -> None:
        product = PRODUCTS[pool]
        await self.nodes.put(_node(node, product, str(gpus)))
        self.free[product] += [node] * gpus
        await self.place(product)

    def say(self, what: str, pod: Body) -> None:
        print(what, pod["metadata"]["labels"]["autoresearch-tui/run"], time.time(), flush=True)

    # --- what it answers ---

    def kind(self, request: web.Request) -> Kind:
        what = request.match_info["kind"]
        if what == "pods" and "fieldSelector" in request.query:
            return self.bound
        return {"nodes": self.nodes, "jobs": self.jobs, "pods": self.pods}[what]

    async def listed(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["kind"] == "events":
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
        kind = self.kind(request)
        if kind is self.bound and self.hides_others:
            return _refusal('pods is forbidden: User "nobody" cannot list resource "pods" at the cluster scope')
        if "watch" in request.query:
            return await self.watched(request, kind)
        start, size = int(request.query.get("continue", 0)), int(request.query.get("limit", 500))
        items = list(kind.things.values())[start : start + size]
        more = str(start + size) if start + size < len(kind.things) else ""
        meta = {"resourceVersion": str(max(kind.version, 1)), "continue": more}
        return web.json_response({"metadata": meta, "items": items})

    async def watched(self, request: web.Request, kind: Kind) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        answer = web.StreamResponse()
        await answer.prepare(request)
        deadline = time.monotonic() + int(request.query["timeoutSeconds"])
        while (left := deadline - time.monotonic()) > 0 and not (kind is self.bound and self.hides_others):
            found = kind.since(version)
            if found is None:
                gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
                await answer.write(json.dumps(gone).encode() + b"\n")
                return answer
            if found[1]:
                version = found[0]
                await answer.write(found[1])
                continue
            await kind.next(left)
        bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}
        await answer.write(json.dumps(bookmark).encode() + b"\n")
        return answer

    async def made(self, request: web.Request) -> web.Response:
        body = await request.json()
        name, kind = body["metadata"]["name"], request.match_info["kind"]
        there = self.config_map_names if kind == "configmaps" else self.jobs.things.keys()
        if name not in there and len(there) >= self.quotas.get(kind, KEPT):
            what = f"count/{kind}.batch" if kind == "jobs" else kind
            counts = f"requested: {what}=1, used: {what}={len(there)}, limited: {what}={self.quotas[kind]}"
            return _refusal(f'{kind} "{name}" is forbidden: exceeded quota: few, {counts}')
        if kind == "configmaps":
            self.config_map_names.add(name)
            return web.json_response(body, status=201)
        if name in self.jobs.things:
            return web.json_response({"code": 409, "reason": "AlreadyExists", "message": "there"}, status=409)
        body["metadata"] |= {"uid": f"uid-{name}", "namespace": "default", "creationTimestamp": stamp(time.time())}
        body.setdefault("status", {})
        await self.jobs.put(body)
        self.spawn(self.run(body))
        return web.json_response(body, status=201)

    async def one(self, request: web.Request) -> web.Response:
        found = self.jobs.things.get(request.match_info["name"])
        return web.json_response(found or {"code": 404, "reason": "NotFound"}, status=200 if found else 404)

    async def deleted(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if request.match_info["kind"] == "jobs":
            await self.jobs.drop(name)
            await self.pods.drop(f"{name}-pod")
            self.config_map_names.discard(name)
        return web.json_response({})

    async def log(self, request: web.Request) -> web.StreamResponse:
        """What would have been printed by now; followed, a line every second."""
        name = request.match_info["name"]
        is_followed = "follow" in request.query
        answer = web.StreamResponse()
        await answer.prepare(request)
        said = 0
        while True:
            lines = self.lines(name)
            if not is_followed and "tailLines" in request.query:
                lines = lines[-int(request.query["tailLines"]) :]
            for at, line in lines[said:]:
                prefix = f"{stamp(at)[:-1]}.{int(at % 1 * 1e6):06}Z " if is_followed else ""
                with contextlib.suppress(ConnectionError):  # who followed has heard enough
                    await answer.write(f"{prefix}{line}\n".encode())
            said = len(lines)
            if not is_followed or name not in self.pods.things or time.time() > self.ends[name][1]:
                return answer
            await asyncio.sleep(self.look_s)

    def lines(self, pod: str) -> list[tuple[float, str]]:
        began, ends = self.ends.get(pod, (0.0, 0.0))
        done = int(min(1.0, (time.time() - began) / (ends - began)) * STEPS) if ends else 0
        shown = [
            (
                began + step / STEPS * (ends - began),
                f"step {step:05d} ({step:.1f}%) | loss: {6 - step / 50:.6f} | dt: 20ms",
            )
            for step in range(done)
        ]
        status = self.pods.things.get(pod, {}).get("status", {}).get("containerStatuses", [{}])[0]
        over = status.get("state", {}).get("terminated")
        return [*shown, *((ends, line) for line in json.loads(over["message"])["log"].splitlines())] if over else shown


def _refusal(message: str) -> web.Response:
    return web.json_response({"code": 403, "reason": "Forbidden", "message": message}, status=403)


# --- bodies -----------------------------------------------------------------------------------------------------------


def _node(name: str, product: str, gpus: str) -> Body:
    ready = [{"type": "Ready", "status": "True"}]
    status = {"allocatable": {GPU: gpus}, "capacity": {GPU: gpus}, "conditions": ready}
    labels = {PRODUCT: product, "kubernetes.io/hostname": name}
    return {"metadata": {"name": name, "uid": name, "labels": labels}, "spec": {}, "status": status}


def _product(job: Body) -> str:
    """Of the GPU that it asks for, by its node affinity."""
    affinity = job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return str(terms[0]["matchExpressions"][0]["values"][0])


def _pod(name: str, job: Body) -> Body:
    labels = {**job["metadata"]["labels"], "job-name": job["metadata"]["name"]}
    spec = {"containers": [{"name": "train", "resources": {"limits": {GPU: "1"}}}]}
    meta = {"name": name, "uid": f"uid-{name}", "namespace": "default", "labels": labels}
    meta["creationTimestamp"] = stamp(time.time())
    return {"metadata": meta, "spec": spec, "status": {"phase": "Pending", "conditions": []}}


def container(state: Body) -> Body:
    return {"name": "train", "image": "trainer", "restartCount": 0, "state": state}


def _ended(pod: Body, began: float, log: str) -> Body:
    told = {"at": time.time(), "exit_code": 0, "signal": None, "cause": "", "reason": "", "log": log}
    pod["status"] |= over(began, 0, json.dumps(told))
    return pod


def over(began: float, code: int, message: str) -> Body:
    """The status of a pod whose container has ended, with what it left to say."""
    times = {"startedAt": stamp(began), "finishedAt": stamp(time.time())}
    how = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [container({"terminated": {**how, **times}})],
    }


def _result(dice: random.Random) -> str:
    return f"---\nval_bpb: {dice.gauss(1.0, 0.003):.6f}\ntraining_seconds: 100\ntotal_seconds: 110\nnum_steps: 100\n"


async def serve(played: Played) -> tuple[web.AppRunner, int]:
    """And its port."""
    await played.begin()
    app = web.Application(client_max_size=1 << 24)
    for root in ("/api/v1", "/apis/batch/v1"):
        app.router.add_get(f"{root}/{{kind}}", played.listed)
        app.router.add_get(f"{root}/namespaces/default/{{kind}}", played.listed)
        app.router.add_post(f"{root}/namespaces/default/{{kind}}", played.made)
        app.router.add_get(f"{root}/namespaces/default/{{kind}}/{{name}}", played.one)
        app.router.add_delete(f"{root}/namespaces/default/{{kind}}/{{name}}", played.deleted)
    app.router.add_get("/api/v1/namespaces/default/pods/{name}/log", played.log)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    return runner, site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]


async def main(pools: str) -> None:
    _, port = await serve(Played(pools))
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
