"""Orders for one run: made once and deleted, however often the cluster has to be asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from wire import Answer, Asked, Reply, Wire, kubeconfig, serve

from core.clock import SystemClock
from k8s.client import ClusterError, Connection
from k8s.orders import SEEN_S, Orders

JOB = {"metadata": {"name": "run"}}
JOBS, MAPS = "/apis/batch/v1/namespaces/lab/jobs", "/api/v1/namespaces/lab/configmaps"
MADE = {"metadata": {"name": "run", "uid": "u1"}}


class Hurried(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def status(code: int, reason: str, message: str = "no") -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message}


def answering(*answers: tuple[int, dict[str, Any]]) -> Answer:
    """In turn; then 200."""
    left = iter(answers)

    async def answer(_: Asked, reply: Reply) -> None:
        await reply.full(*next(left, (200, MADE)))

    return answer


@contextlib.asynccontextmanager
async def ordering(folder: Path, answer: Answer) -> AsyncIterator[tuple[Wire, Orders, list[str]]]:
    troubles: list[str] = []
    clock = Hurried()
    async with serve(answer) as wire:
        config = kubeconfig(folder, f"http://127.0.0.1:{wire.port}")
        async with Connection(clock=clock, kubeconfig=config) as connection:
            told = Orders(
                connection, clock=clock, dice=Random(1), troubled=lambda each: troubles.append(str(each or ""))
            )
            yield wire, told, troubles


def owned(uid: str) -> dict[str, Any]:
    return {"metadata": {"name": "run"}, "owner": uid}


async def test_a_config_map_is_owned_by_its_job(tmp_path: Path) -> None:
    async with ordering(tmp_path, answering()) as (wire, orders, _):
        assert await orders.make(JOB, owned, lambda: True) == "u1"
    assert [(each.method, each.path) for each in wire.asked] == [("POST", JOBS), ("POST", MAPS)]
    assert json.loads(wire.asked[1].body)["owner"] == "u1"


async def test_what_is_there_already_is_ones_own(tmp_path: Path) -> None:
    there = status(409, "AlreadyExists")
    async with ordering(tmp_path, answering(there, (200, MADE), there)) as (wire, orders, _):
        assert await orders.make(JOB, owned, lambda: True) == "u1"
    assert [(each.method, each.path) for each in wire.asked] == [("POST", JOBS), ("GET", f"{JOBS}/run"), ("POST", MAPS)]


@pytest.mark.parametrize(
    "failure", [(503, {}), (502, {}), status(429, "TooManyRequests"), status(403, "Forbidden", "cannot create jobs")]
)
async def test_an_order_that_is_not_taken_is_said_again_and_told(
    tmp_path: Path, failure: tuple[int, dict[str, Any]]
) -> None:
    async with ordering(tmp_path, answering(failure, failure)) as (wire, orders, troubles):
        assert await orders.make(JOB, owned, lambda: True) == "u1"
    assert len(wire.asked) == 4
    assert [bool(each) for each in troubles] == [True, True, False, False]


async def test_an_order_that_no_waiting_mends_is_an_error(tmp_path: Path) -> None:
    async with ordering(tmp_path, answering(status(422, "Invalid", "spec: Required value"))) as (_, orders, _):
        with pytest.raises(ClusterError, match="spec: Required value"):
            await orders.make(JOB, owned, lambda: True)


async def test_an_order_that_is_not_wanted_any_more_is_not_said_again(tmp_path: Path) -> None:
    async with ordering(tmp_path, answering(*[(503, {})] * 99)) as (wire, orders, _):
        assert await orders.make(JOB, owned, lambda: len(wire.asked) < 3) == ""
    assert len(wire.asked) == 3


@pytest.mark.parametrize(("answer", "asked"), [(status(404, "NotFound"), 2), ((503, {}), 3), ((200, MADE), 2)])
async def test_a_job_is_deleted_with_all_that_it_owns_and_what_is_gone_is_fine(
    tmp_path: Path, answer: tuple[int, dict[str, Any]], asked: int
) -> None:
    async with ordering(tmp_path, answering(answer)) as (wire, orders, _):
        await orders.delete("run", pod="p", at_once=True)
    assert len(wire.asked) == asked
    assert json.loads(wire.asked[0].body) == {"propagationPolicy": "Background"}
    assert json.loads(wire.asked[-1].body) == {"gracePeriodSeconds": 0}


async def test_a_pod_is_deleted_once_the_controller_of_jobs_has_seen_that_its_job_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it makes another one in its place."""
    order: list[str] = []

    async def answer(asked: Asked, reply: Reply) -> None:
        order.append(asked.path.rsplit("/", 2)[1])
        await reply.full(200, MADE)

    async def sleep(_: Hurried, seconds: float) -> None:
        order.append(f"{seconds:g} s")

    monkeypatch.setattr(Hurried, "sleep", sleep)
    async with ordering(tmp_path, answer) as (_, orders, _):
        await orders.delete("run", pod="p")
        await orders.delete("run")
    assert order == ["jobs", f"{SEEN_S:g} s", "pods", "jobs"]


async def test_pods_that_may_not_be_deleted_are_left_to_the_cluster(tmp_path: Path) -> None:
    async with ordering(tmp_path, answering((200, MADE), status(403, "Forbidden"))) as (wire, orders, troubles):
        await orders.delete("run", pod="p")
    assert len(wire.asked) == 2
    assert not any(troubles)


QUOTA = 'jobs.batch "run" is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: 4, limited: 4'


@pytest.mark.parametrize("made", [(), ((200, MADE),)])
async def test_a_quota_is_told_to_the_run_and_is_no_trouble_of_the_cluster(
    tmp_path: Path, made: tuple[tuple[int, dict[str, Any]], ...]
) -> None:
    said: list[str] = []
    async with ordering(tmp_path, answering(*made, status(403, "Forbidden", QUOTA))) as (wire, orders, troubles):
        assert await orders.make(JOB, owned, lambda: True, said.append) == "u1"
    assert len(wire.asked) == 3
    assert [QUOTA in each for each in said] == [*[False] * len(made), True, *[False] * (2 - len(made))]
    assert said[-1] == ""
    assert not any(troubles)
