"""Whole campaigns over two hosts, with what may befall them: every run starts once, ends once, and counts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
import stub
from hosts import NO_SSHD, SSHD, Cable, Sshd, filled_disk, small_disk, sshd
from place import until

from core import events as ev
from core import log as logs
from core.fold import fold
from core.state import State

pytestmark = [pytest.mark.slow, pytest.mark.skipif(SSHD is None, reason=NO_SSHD)]
RUNS = 24
LIMIT = ("--no-ui", "--executor", "ssh", "--max-experiments", "20")
TRAIN = stub.TRAIN.replace('SECONDS = "0.1"', 'SECONDS = "0.6"')


def workspace(root: Path, *boxes: Sshd, **changes: object) -> Path:
    tables = "".join(box.table(**changes) for box in boxes)
    return stub.make_stub(root / "work", train=TRAIN, settings=tables)


def ended(folder: Path) -> int:
    return stub.state_of(folder).ended if stub.file_of(folder).exists() else 0


async def finished(process: subprocess.Popen[str]) -> str:
    """What it said; it ended as it should."""
    said, _ = await asyncio.to_thread(process.communicate, timeout=150)
    assert process.returncode == 0, said
    return said


def facts_of(folder: Path) -> list[ev.Fact]:
    return logs.read_all(stub.file_of(folder))


def is_whole(folder: Path, *, may_lose: int = 0) -> State:
    facts = facts_of(folder)
    state = fold(State(), facts)
    starts = Counter(stub.started(folder))
    assert max(starts.values()) == 1, "launched twice"
    ends = Counter(fact.run for fact in facts if isinstance(fact, ev.RunEnded))
    assert max(ends.values()) == 1, "a result was recorded twice"
    assert len(ends) >= RUNS
    assert not state.open, "an experiment has no verdict"
    outcomes = Counter(fact.outcome for fact in facts if isinstance(fact, ev.RunEnded))
    assert outcomes["crashed"] == 0
    assert outcomes["lost"] <= may_lose
    used = {str(fact.gpu).partition("/")[0] for fact in facts if isinstance(fact, ev.RunStarted)}
    assert used == {"box1", "box2"}
    return state


async def test_connections_are_cut_for_ten_seconds(tmp_path: Path) -> None:
    with sshd(tmp_path) as box1, sshd(tmp_path, "box2") as box2:
        async with AsyncExitStack() as stack:
            cables = [Cable(box.port) for box in (box1, box2)]
            for box, cable in zip((box1, box2), cables, strict=True):
                port = await stack.enter_async_context(cable.laid())
                box.known_hosts.write_text(box.known_hosts.read_text().replace(f":{box.port}", f":{port}"))
                box.port = port
            folder = workspace(tmp_path, box1, box2)
            with stub.start(folder, *LIMIT) as engine:
                await until(lambda: ended(folder) >= 5, 60)
                for cable in cables:
                    cable.cut()
                await asyncio.sleep(10)
                for cable in cables:
                    cable.mend()
                await finished(engine)
        is_whole(folder)


async def test_a_server_is_killed_and_started_again(tmp_path: Path) -> None:
    with sshd(tmp_path) as box1, sshd(tmp_path, "box2") as box2:
        folder = workspace(tmp_path, box1, box2)
        with stub.start(folder, *LIMIT) as engine:
            for count, box in ((4, box1), (9, box2), (14, box1)):
                await until(lambda count=count: ended(folder) >= count, 60)  # type: ignore[misc]
                box.kill()
                await asyncio.sleep(1)
                box.start()
            await finished(engine)
        is_whole(folder)


async def test_the_engine_is_killed_again_and_again(tmp_path: Path) -> None:
    with sshd(tmp_path) as box1, sshd(tmp_path, "box2") as box2:
        folder = workspace(tmp_path, box1, box2)
        for count in (2, 5, 9, 14, 19):
            with stub.start(folder, *LIMIT) as engine:
                await until(lambda count=count: ended(folder) >= count, 60)  # type: ignore[misc]
                engine.send_signal(signal.SIGKILL)
        with stub.start(folder, *LIMIT) as engine:
            await finished(engine)
        is_whole(folder)


async def test_the_disk_of_a_host_is_full_for_a_while(tmp_path: Path) -> None:
    with ExitStack() as stack:
        box1, box2 = (stack.enter_context(sshd(tmp_path, name)) for name in ("box1", "box2"))
        stack.enter_context(small_disk(box1.disk))
        folder = workspace(tmp_path, box1, box2)
        with stub.start(folder, *LIMIT) as engine:
            await until(lambda: ended(folder) >= 4, 60)
            rubbish = filled_disk(box1.disk)
            await until(lambda: ended(folder) >= 12, 60)
            assert any("disk" in gpu.held_by for gpu in stub.state_of(folder).gpus)
            rubbish.unlink()
            await finished(engine)
        is_whole(folder, may_lose=2)


async def test_somebody_else_computes_on_a_gpu_for_a_while(tmp_path: Path) -> None:
    with sshd(tmp_path) as box1, sshd(tmp_path, "box2") as box2:
        for box in (box1, box2):
            box.has_gpus(f"0, GPU-{box.name}, NVIDIA H100 80GB HBM3, 81559, Disabled")
        folder = workspace(tmp_path, box1, box2, gpus="")
        with stub.start(folder, *LIMIT) as engine:
            await until(lambda: ended(folder) >= 4, 60)
            box1.has_apps(f"GPU-box1, {os.getpid()}, python")
            await until(held(folder, "box1/gpu0"), 60)
            seen = len(facts_of(folder))
            await until(lambda: ended(folder) >= 12, 60)
            begun = [fact.gpu for fact in facts_of(folder)[seen:] if isinstance(fact, ev.RunStarted)]
            assert set(begun) == {"box2/gpu0"}
            box1.has_apps()
            await finished(engine)
        is_whole(folder)


def held(folder: Path, gpu: str) -> Callable[[], bool]:
    return lambda: any(each.id == gpu and each.held_by for each in stub.state_of(folder).gpus)
