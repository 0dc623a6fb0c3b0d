"""The Kubernetes executor at scale, and how long a GPU waits between two runs, as a table; nothing is asserted.

`python tests/bench_cluster.py [SECONDS] [PART]`: `scale` needs nothing but this machine, as `played_cluster` answers
for 1,000 nodes from a process of its own; `gap` needs the cluster that AUTORESEARCH_TEST_KUBECONFIG names. Goals stand
beside the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import bench_window as window
import campaign
import expedition
import played_cluster
import psutil
import stub

from core import events as ev
from core.clock import SystemClock
from core.follower import Follower
from core.ids import RunId
from k8s.client import ClusterError, Connection
from k8s.mirror import job_of
from k8s.run import started
from k8s.shapes import Changed, Pod
from k8s.watching import Synced, watch

POOLS, JOBS = "H100:900x8,H200:100x8", {"H100": 1800, "H200": 200}
FULL_S = 600.0  # until nine tenths of so many Jobs run
ENVIRON = {key: value for key, value in stub.environment().items() if "_TEST_" not in key}
Row = tuple[str, str, str]
Moments = dict[tuple[str, RunId], float]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


# --- a thousand nodes -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def played(moments: Moments) -> Iterator[int]:
    """Its port; `moments` gets when it told of starts and ends."""
    command = [sys.executable, str(Path(__file__).with_name("played_cluster.py")), POOLS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        threading.Thread(target=_collect, args=(process.stdout, moments), daemon=True).start()
        try:
            yield port
        finally:
            process.kill()


def _collect(lines: IO[str], moments: Moments) -> None:
    for line in lines:
        what, run, at = line.split()
        moments[what, RunId(run)] = float(at)


class Watched(threading.Thread):
    """A window without a screen: when it knew of each start and end, and how many runs go on."""

    def __init__(self, file: Path) -> None:
        super().__init__(daemon=True)
        self.file, self.known, self.active, self.is_over = file, Moments(), 0, False

    def run(self) -> None:
        asyncio.run(self.follow())

    async def follow(self) -> None:
        async for update in Follower(self.file).updates():
            now = time.time()
            for fact in update.facts:
                if isinstance(fact, ev.RunStarted | ev.RunEnded):
                    self.known["started" if isinstance(fact, ev.RunStarted) else "ended", fact.run] = now
            runs = (update.state.runs[run] for run in update.state.active)
            self.active = sum(run.started_at is not None for run in runs)
            if self.is_over:
                return


def scale(folder: Path, seconds: float) -> Iterator[Row]:
    moments: Moments = {}
    with played(moments) as port:
        workspace = stub.make_stub(folder / "work", train=campaign.UPSTREAM)
        (folder / "kubeconfig").write_text(played_cluster.kubeconfig(port))
        expedition.prepared(workspace, str(folder / "kubeconfig"), "default")
        most = ",".join(f"{kind}:{count}" for kind, count in JOBS.items())
        arguments = ("--no-ui", "--executor", "kubernetes", "--researcher", "random", "--max-gpus", most)
        began = time.monotonic()
        with (
            (folder / "engine.txt").open("wb") as output,
            subprocess.Popen(stub.command(workspace, *arguments), stdout=output, stderr=output, env=ENVIRON) as engine,
        ):
            try:
                yield from engine_rows(workspace, engine.pid, moments, seconds, began)
            finally:
                engine.kill()


def engine_rows(workspace: Path, pid: int, moments: Moments, seconds: float, began: float) -> Iterator[Row]:
    stub.until(stub.file_of(workspace).exists)
    watched, process = Watched(stub.file_of(workspace)), psutil.Process(pid)
    watched.start()
    aim = sum(JOBS.values())
    while watched.active < aim * 0.9 and time.monotonic() - began < FULL_S:
        time.sleep(0.5)
    filled = f"{watched.active} runs after {time.monotonic() - began:.0f} s"
    yield f"{POOLS}: {aim} Jobs", f"{filled}; until then {sum(process.cpu_times()[:2]):.0f} s of CPU", ""
    before, at = sum(process.cpu_times()[:2]), time.time()
    time.sleep(seconds)
    cores = (sum(process.cpu_times()[:2]) - before) / (time.time() - at)
    seen = [key for key, told in moments.items() if at <= told <= at + seconds]
    yield "engine, CPU", f"{cores:.2f} cores, {watched.active} runs, {len(seen) / seconds:.0f} starts and ends/s", "< 1"
    yield "engine, memory", f"{process.memory_info().rss / 1e6:.0f} MB", "< 400 MB"
    time.sleep(5.0)  # what was told last has arrived
    lags = [watched.known[key] - moments[key] for key in seen if key in watched.known]
    late = f"p50 {percentile(lags, 0.5):.2f}, p99 {percentile(lags, 0.99):.2f} s of {len(lags)}"
    yield "from the cluster's event to a window's state", late + f", {len(seen) - len(lags)} missing", "p99 ≤ 1 s"
    watched.is_over = True
    yield from window_rows(workspace, seconds)


def window_rows(workspace: Path, seconds: float) -> Iterator[Row]:
    with window.room(workspace) as glass:
        window.settled(glass)
        yield "window: dashboard, no keys", window._use(window.watched(glass, seconds / 2)), "≤ 35 %, ≤ 250 MB"
        glass.press("t")
        glass.read_for(1.0)
        glass.press("G")  # to the end, from which the keys lead up
        glass.read_for(1.0)
        moves = window.MOVES * int(max(1, seconds / 4))
        yield (
            "window: cursor in the table",
            window.percentiles(window.keys(glass, moves, window.selected_row)),
            ("p50 ≤ 25, p99 ≤ 60 ms"),
        )


# --- sixteen GPUs -----------------------------------------------------------------------------------------------------


class Gaps:
    """Seconds between the end of a run and the start of the next on the same node, as an onlooker sees them."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self._ended: dict[str, float] = {}
        self._seen: dict[str, set[str]] = defaultdict(set)

    def look(self, pod: Pod) -> bool:
        """Whether it ended just now."""
        node, name, now = pod.spec.node_name, pod.name, time.time()
        if started(pod) and name not in self._seen["began"]:
            self._seen["began"].add(name)
            if node in self._ended:
                self.found.append(now - self._ended.pop(node))
        if pod.has_ended and name not in self._seen["ended"]:
            self._seen["ended"].add(name)
            self._ended[node] = now
            return True
        return False


def gap(folder: Path, seconds: float) -> Iterator[Row]:
    kubeconfig = os.environ.get("AUTORESEARCH_TEST_KUBECONFIG", "")
    if not kubeconfig:
        yield "GPU idle between two runs", "AUTORESEARCH_TEST_KUBECONFIG names no cluster", ""
        return
    bare, ours = asyncio.run(_gaps(kubeconfig, folder, seconds))
    ratio = percentile(ours, 0.5) / percentile(bare, 0.5)
    for name, found in (("Jobs deleted and created directly", bare), ("campaign", ours)):
        told = f"p50 {percentile(found, 0.5):.2f}, p90 {percentile(found, 0.9):.2f} s of {len(found)}"
        yield f"GPU idle between two runs: {name}", told, ""
    yield "ratio of the medians", f"{ratio:.2f}", "the cluster's own: 1"


async def _gaps(kubeconfig: str, folder: Path, seconds: float) -> tuple[list[float], list[float]]:
    async with Connection(clock=SystemClock(), kubeconfig=kubeconfig) as connection:
        names = [f"autoresearch-bench-{secrets.token_hex(3)}" for _ in range(2)]
        for name in names:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await connection.request("POST", "/api/v1/namespaces", body=body)
        try:
            await asyncio.sleep(3.0)  # until pods are admitted
            return await _bare(kubeconfig, names[0], seconds), await _ours(kubeconfig, names[1], folder, seconds)
        finally:
            for name in names:
                await connection.request("DELETE", f"/api/v1/namespaces/{name}")


async def _pods(connection: Connection, gaps: Gaps, ended: Any = None) -> None:
    path = f"/api/v1/namespaces/{connection.namespace}/pods"
    async for seen in watch(connection, Pod, path, clock=SystemClock()):
        pods = [seen.object] if isinstance(seen, Changed) else seen.items if isinstance(seen, Synced) else ()
        for pod in pods:
            if gaps.look(pod) and ended is not None:
                await ended(pod)


async def _bare(kubeconfig: str, namespace: str, seconds: float) -> list[float]:
    """Sixteen Jobs that train for the same time; each that ends is deleted, and another created at once."""
    gaps, made = Gaps(), 0
    async with Connection(clock=SystemClock(), kubeconfig=kubeconfig, namespace=namespace) as connection:
        jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"

        async def make() -> None:
            nonlocal made
            made += 1
            await connection.request("POST", jobs, body=_job(f"bare-{made}", 2 + made * 7 % 20 / 10))

        async def ended(pod: Pod) -> None:
            with contextlib.suppress(ClusterError):
                gone = connection.request("DELETE", f"{jobs}/{job_of(pod)}", body={"propagationPolicy": "Background"})
                await asyncio.gather(make(), gone)

        for _ in range(16):
            await make()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _pods(connection, gaps, ended)
        await connection.request("DELETE", jobs, {"propagationPolicy": "Background"})
        await asyncio.sleep(5.0)
    return gaps.found


def _job(name: str, seconds: float) -> dict[str, Any]:
    source = f"import time; time.sleep({seconds})"
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    command = [expedition.PYTHON, "-c", source]
    container = {"name": "train", "image": expedition.IMAGE, "command": command, "resources": limits}
    pod = {"restartPolicy": "Never", "containers": [container]}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


async def _ours(kubeconfig: str, namespace: str, folder: Path, seconds: float) -> list[float]:
    gaps = Gaps()
    async with expedition.expedition(kubeconfig, namespace, folder) as trip:
        looks = asyncio.create_task(_pods(trip.connection, gaps))
        trip.start("--researcher", "random")
        await trip.has(ev.RunStarted, 16)
        await asyncio.sleep(seconds)
        looks.cancel()
        await asyncio.to_thread(trip.command, "stop", "--now")
        await trip.ended()
    return gaps.found


def main(seconds: float, names: list[str]) -> None:
    """`names`: parts of the table; all if empty."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} before, {seconds:.0f} s per figure\n")
    for part in (scale, gap):
        if not names or part.__name__ in names:
            with tempfile.TemporaryDirectory() as folder:
                for name, figure, goal in part(Path(folder), seconds):
                    print(f"{name:<56} {figure:<56} {goal:<22} load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, sys.argv[2:])
