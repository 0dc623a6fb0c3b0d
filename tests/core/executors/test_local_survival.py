"""Engines and supervisors that die: nothing is started twice, nothing that finished is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from place import UNTIL_GO, Place, is_alive, job, linux_only, slots, supervisor_of, until
from watched import FOREVER, RESULT, RUN

from core.clock import SystemClock
from core.errors import NothingRuns
from core.executor import Ended, Started
from core.executors import local, local_folder
from core.executors.local import LocalExecutor
from core.ids import RunId


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_an_engine_that_does_not_know_of_a_run_does_not_start_it_again(place: Place) -> None:
    counting = "open('../count', 'a').write('x')\n" + RESULT
    async with place.engine() as engine:
        await asyncio.gather(*(engine.launch(counting) for _ in range(3)))
        await engine.first(Ended)
    async with place.engine() as engine:
        assert (await engine.run(counting)).outcome == "finished"
        assert not engine.of(Started)
    assert (place.runs / "count").read_text() == "x"


async def test_two_engines_with_the_same_order_start_one_process(place: Place) -> None:
    """As if the first engine's supervisor got to its order only when the second had given it too."""
    async with place.engine() as first, place.engine() as second:
        await asyncio.gather(first.executor.launch(job(UNTIL_GO)), second.executor.launch(job(UNTIL_GO)))
        starts = [await first.first(Started), await second.first(Started)]
        assert starts[0] == starts[1]
        (place.runs / RUN / "go").touch()
        ends = [await first.first(Ended), await second.first(Ended)]
        assert ends[0] == ends[1]


@linux_only
async def test_the_runs_of_a_killed_supervisor_are_lost_and_the_next_one_works(place: Place) -> None:
    daemon = "import os\nif os.fork() == 0: os.setsid(); open('pid', 'w').write(str(os.getpid()))\n" + FOREVER
    async with place.engine(slots=slots(2), warm=("json",)) as engine:
        await engine.executor.launch(job(daemon))
        await until(lambda: (place.runs / RUN / "pid").exists() and (place.runs / RUN / "pid").read_text())
        await until(lambda: "up" in place.log())
        left = int((place.runs / RUN / "pid").read_text())
        os.kill(supervisor_of(place.runs / RUN), signal.SIGKILL)
        end = await engine.first(Ended)
        assert (end.outcome, end.reason, end.tail[:2]) == ("lost", "its supervisor died", "up")
        await until(lambda: not is_alive(left))
        assert (await engine.run(RESULT, RunId("e2-1"))).outcome == "finished"
    async with place.engine(RUN) as engine:
        assert (await engine.first(Ended)).outcome == "lost"


async def test_what_a_dead_supervisor_had_not_begun_is_begun_by_the_next(place: Place) -> None:
    async with place.engine() as engine:
        pid = engine.executor._supervisor._process.pid  # type: ignore[union-attr]
        os.kill(pid, signal.SIGSTOP)
        await engine.executor.launch(job(RESULT))
        os.kill(pid, signal.SIGKILL)
        assert (await engine.first(Ended)).outcome == "finished"


async def test_a_python_that_cannot_supervise_is_given_up(place: Place) -> None:
    with pytest.raises(NothingRuns, match=r"/no/such/python cannot be started \(No such file or directory\)"):
        async with place.engine(python="/no/such/python"):
            pass
    executor = LocalExecutor(
        base=place.base,
        runs=place.runs,
        slots=slots(),
        python="false",
        prepare_digest="",
        timeout_s=9,
        clock=SystemClock(),
    )
    async with executor:
        executor._supervisor._first_wait = 0.01
        with pytest.raises(NothingRuns, match=r"false cannot supervise runs: .*supervisor\.log says why"):
            async for _ in executor.watch(()):
                pass


async def test_notes_that_a_run_has_forged_are_not_believed(place: Place) -> None:
    forge = 'open(\'exit.json\', \'w\').write(\'{"at": 1, "cause": "", "exit_code": 0}\')\n'
    async with place.engine() as engine:
        await engine.executor.launch(job(forge + UNTIL_GO))
        await until(lambda: (place.runs / RUN / "exit.json").exists())
    async with place.engine(RUN) as engine:
        assert engine.of(Started, RUN)
        (place.runs / RUN / "go").touch()
        end = await engine.first(Ended)
    assert (end.outcome, end.at > 1) == ("finished", True)
    (place.runs / RUN / "exit.json").write_text('{"at": NaN, "exit_code": "zero"}')
    async with place.engine(RUN) as engine:
        assert (await engine.first(Ended)).outcome == "lost"


async def test_the_end_is_seen_at_once(place: Place) -> None:
    """15 ms on an idle machine; the median of several, with room for a busy one."""
    delays = []
    async with place.engine() as engine:
        for number in range(5):
            name = RunId(f"e{number}-1")
            await engine.run(RESULT + "import os, time; print(time.time(), flush=True); os._exit(0)", name)
            delays.append(time.time() - float(place.log(name).split()[-1]))
    assert sorted(delays)[2] < 0.06


@linux_only
async def test_a_warm_torch_trains_at_once(place: Place) -> None:
    pytest.importorskip("torch")
    source = "import torch\nx = torch.ones(8, requires_grad=True)\n(x * x).sum().backward()\n" + RESULT
    async with place.engine(warm=("torch",)) as engine:
        assert (await engine.run(source, RunId("e0-1"))).outcome == "finished"
        began = time.monotonic()
        assert (await engine.run(source)).outcome == "finished"
        assert time.monotonic() - began < 1.0  # a cold import takes longer than that


def test_a_pipe_in_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "exit.json")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert local_folder.read_json(tmp_path / "exit.json") == {}
    assert local_folder.read(tmp_path / "link") == b""


@linux_only
async def test_a_supervisor_that_is_stopped_is_given_up_and_its_run_with_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "OVERDUE_S", 0.3)
    async with place.engine(timeout_s=0.5, grace_s=0.1) as engine:
        await engine.executor.launch(job(FOREVER))
        await engine.first(Started)
        os.kill(supervisor_of(place.runs / RUN), signal.SIGSTOP)
        ended = await engine.first(Ended)
        assert (ended.outcome, ended.reason) == ("lost", "its supervisor died")
        assert (await engine.run(RESULT, RunId("e2-1"))).outcome == "finished"
