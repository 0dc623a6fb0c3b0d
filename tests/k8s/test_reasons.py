"""Why runs wait is told when it changes: not of what is about to start, and not too often."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from wire import Asked, Reply, Wire, kubeconfig, serve

from core.clock import SystemClock
from core.executor import Waiting
from core.ids import RunId
from k8s.client import Connection
from k8s.reasons import EVENTS_S, EVERY_S, FIRST_S, STARTING_S, Reasons
from k8s.run import Run
from k8s.shapes import Condition, Job, Meta, Pod, PodSpec, PodStatus

FULL = "0/{0} nodes are available: {0} Insufficient nvidia.com/gpu."
QUOTA = 'Error creating: pods "run-x" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=1, used: 4'


class Told(SystemClock):
    """Says what time it is told."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        return self.at


class Bench(NamedTuple):
    wire: Wire
    clock: Told
    reasons: Reasons
    told: list[Waiting]

    def look(self, run: Run, after: float) -> list[str]:
        """What is said newly `after` seconds."""
        self.clock.at += after
        before = len(self.told)
        self.reasons.look(run)
        return [each.reason for each in self.told[before:]]


@contextlib.asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    async def answer(_: Asked, reply: Reply) -> None:
        event = {"metadata": {"creationTimestamp": "2026-11-23T10:00:00Z"}, "reason": "FailedCreate", "message": QUOTA}
        await reply.full(200, {"metadata": {}, "items": [event]})

    told: list[Waiting] = []
    clock = Told()
    async with serve(answer) as wire:
        config = kubeconfig(folder, f"http://127.0.0.1:{wire.port}")
        async with Connection(clock=SystemClock(), kubeconfig=config) as connection, asyncio.TaskGroup() as tasks:
            yield Bench(wire, clock, Reasons(connection, clock=clock, tasks=tasks, report=told.append), told)


def unscheduled(nodes: int = 3) -> Pod:
    condition = Condition(type="PodScheduled", status="False", reason="Unschedulable", message=FULL.format(nodes))
    return Pod(metadata=Meta(name="run-x"), status=PodStatus(phase="Pending", conditions=(condition,)))


def waits(pod: Pod | None = None) -> Run:
    return Run(RunId("e1-1"), "run", job=Job(metadata=Meta(name="run")), pod=pod)


def no_gpu(nodes: int) -> str:
    return f"no GPU is free on the {nodes} nodes that could take it"


async def test_a_run_that_no_gpu_is_free_for_is_told_of_after_a_moment_and_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        run = waits(unscheduled())
        assert at.look(run, 0) == []
        assert at.look(run, FIRST_S - 0.5) == [], "the scheduler takes a moment"
        assert at.look(run, 0.5) == [no_gpu(3)]
        assert at.look(run, 100) == []
        assert at.wire.asked == [], "the pod says it itself"
        assert not at.told[0].needs_a_person


async def test_numbers_that_change_are_not_told_all_the_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        run = waits(unscheduled(3))
        at.look(run, 0)
        assert at.look(run, FIRST_S) == [no_gpu(3)]
        run.pod = unscheduled(4)
        assert at.look(run, EVERY_S - 1) == []
        assert at.look(run, 1) == [no_gpu(4)]


async def test_another_kind_of_reason_is_told_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        run = waits(unscheduled())
        at.look(run, 0)
        at.look(run, FIRST_S)
        run.pod = Pod(spec=PodSpec(node_name="n1"), status=PodStatus(phase="Pending"))
        assert at.look(run, STARTING_S) == ["n1 prepares it"]


async def test_what_is_only_about_to_start_is_not_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        run = waits(Pod(spec=PodSpec(node_name="n1"), status=PodStatus(phase="Pending")))
        at.look(run, 0)
        assert at.look(run, STARTING_S - 1) == []
        run.started_at = at.clock.at
        assert at.look(run, 100) == []


async def test_what_a_run_without_a_pod_waits_for_is_asked_of_the_events_now_and_then(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        run = waits()
        at.look(run, 0)
        at.look(run, EVENTS_S / 2)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "events of e1-1"))
        (reason,) = at.look(run, 1)
        assert reason.startswith("the namespace's quota is used up: gpus, requested: nvidia.com/gpu=1")
        assert at.look(run, EVENTS_S) == []
        assert at.told[-1].needs_a_person
        assert [asked.query for asked in at.wire.asked] == [{"fieldSelector": "involvedObject.name=run"}]
