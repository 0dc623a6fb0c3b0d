"""Progress from logs: some are followed, the others looked into by turns; each run reports at most once a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from wire import Asked, Reply, kubeconfig, serve

from core.clock import SystemClock
from core.executor import Progressed, Reported
from core.ids import RunId
from k8s.client import Connection
from k8s.logs import Place
from k8s.progress import Listening

START = "2026-11-23T10:00:00Z fingerprint: abc"
STEP = "step %05d (10.0%%) | loss: 2.5"


async def listened(
    folder: Path, runs: int, followed: int, seconds: float
) -> tuple[list[Progressed | Reported], list[Asked]]:
    """What is reported of `runs` runs that take a step every 50 ms, and what was asked for it."""
    clock = SystemClock()
    began = clock.now()

    async def answer(asked: Asked, reply: Reply) -> None:
        if "follow" not in asked.query:
            step = int((clock.now() - began) * 20)
            return await reply.full(200, f"fingerprint: abc\n{STEP % step}\n".encode())
        await reply.begin()
        await reply.line(START.encode())
        for step in range(1000):
            await reply.line(f"2026-11-23T10:00:{step // 20:02}.{step % 20:02}Z {STEP % step}".encode())
            await asyncio.sleep(0.05)
        return None

    told: list[Progressed | Reported] = []
    async with serve(answer) as wire:
        config = kubeconfig(folder, f"http://127.0.0.1:{wire.port}")
        async with Connection(clock=clock, kubeconfig=config) as connection:
            try:
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                    listening = Listening(connection, clock=clock, followed=followed, tasks=tasks, report=told.append)
                    tasks.create_task(listening.rounds())
                    for number in range(runs):
                        listening.begin(RunId(f"e{number}-1"), Place("lab", f"p{number}", "train"))
                    await asyncio.sleep(seconds)
            except TimeoutError:
                return told, wire.asked
    return told, wire.asked


async def test_followed_runs_report_what_they_compute_once_and_then_every_second(tmp_path: Path) -> None:
    told, asked = await listened(tmp_path, runs=2, followed=2, seconds=2.5)
    reports = Counter(type(each).__name__ + each.run for each in told)
    assert reports["Reportede0-1"] == reports["Reportede1-1"] == 1
    assert 2 <= reports["Progressede0-1"] <= 3
    assert len(asked) == 2


async def test_runs_that_are_not_followed_are_looked_into_by_turns(tmp_path: Path) -> None:
    told, asked = await listened(tmp_path, runs=12, followed=2, seconds=5)
    assert sum("follow" in each.query for each in asked) == 2
    assert {each.run for each in told if isinstance(each, Progressed)} == {f"e{number}-1" for number in range(12)}
    assert Counter(each.run for each in told if isinstance(each, Reported)) == {f"e{n}-1": 1 for n in range(12)}


async def test_a_place_that_becomes_free_is_taken_by_a_run_that_waited(tmp_path: Path) -> None:
    clock = SystemClock()

    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.line(START.encode())
        await asyncio.sleep(60)

    async with serve(answer) as wire:
        config = kubeconfig(tmp_path, f"http://127.0.0.1:{wire.port}")
        async with Connection(clock=clock, kubeconfig=config) as connection, asyncio.TaskGroup() as tasks:
            told: list[Progressed | Reported] = []
            listening = Listening(connection, clock=clock, followed=1, tasks=tasks, report=told.append)
            first, second = RunId("e1-1"), RunId("e2-1")
            listening.begin(first, Place("lab", "p1", "train"))
            listening.begin(second, Place("lab", "p2", "train"))
            while len(told) < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            reader = listening.end(first)
            assert reader is not None
            assert reader.fingerprint == "abc"
            while len(told) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert [each.run for each in told] == [first, second]
            assert listening.end(RunId("e9-9")) is None
            listening.end(second)
    assert [each.path for each in wire.asked] == [f"/api/v1/namespaces/lab/pods/p{n}/log" for n in (1, 2)]
