"""The simulator as an executor: the contract, the fleet, and what a restart finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from campaign import UPSTREAM, config

from core import virtual
from core.errors import LogError, NothingRuns, SettingsError
from core.executor import Absent, Ended, FleetObserved, Job, Observation, Progressed, Reported, Started, Synced
from core.executors.fate import Physics
from core.executors.simulator import Simulator
from core.executors.simulator_fleet import fates, fleet
from core.ids import RunId
from core.surfaces import surface

SURE = Physics(crash_rate=0.0)
Seen = TypeVar("Seen", bound=Observation)


def job(run: str = "e1-1", gpu_type: str = "H100", source: str = UPSTREAM) -> Job:
    return Job(run=RunId(run), source=source, seed=7, gpu_type=gpu_type)


class Watched:
    """A simulator, and all that it has reported."""

    def __init__(self, simulator: Simulator, clock: virtual.VirtualClock) -> None:
        self.simulator, self.clock = simulator, clock
        self.seen: list[Observation] = []

    async def collect(self, open_runs: tuple[RunId, ...]) -> None:
        async for observation in self.simulator.watch(open_runs):
            self.seen.append(observation)

    def of(self, kind: type[Seen], run: str = "e1-1") -> list[Seen]:
        return [seen for seen in self.seen if isinstance(seen, kind) and getattr(seen, "run", run) == run]


Story = Callable[[Watched], Coroutine[Any, Any, None]]


def told(file: Path, story: Story, *open_runs: str, fleet_: str = "H100:1", at: float = 0.0, **more: Any) -> Watched:
    """What is seen of a story on a simulator."""

    async def main() -> Watched:
        clock = virtual.running_clock()
        assert clock is not None
        clock.start_at(at)
        physics = more.pop("physics", SURE)
        lots = fates(surface("bowl", config(UPSTREAM), 1), physics, 0, UPSTREAM)
        async with Simulator(gpus=fleet(fleet_), fates=lots, file=file, clock=clock, **more) as simulator:
            watched = Watched(simulator, clock)
            task = asyncio.create_task(watched.collect(tuple(map(RunId, open_runs))))
            await asyncio.sleep(0)
            await story(watched)
            task.cancel()
        return watched

    return virtual.run(main())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "simulator.jsonl"


async def run_one(watched: Watched) -> None:
    await watched.simulator.launch(job())
    await watched.clock.sleep(1000)


def test_a_run_is_watched_from_start_to_result(file: Path) -> None:
    watched = told(file, run_one)
    kinds = [type(seen) for seen in watched.seen]
    assert kinds == [FleetObserved, Synced, Started, Reported, *[Progressed] * 20, Ended]
    (started,), (reported,), (end,) = watched.of(Started), watched.of(Reported), watched.of(Ended)
    assert (started.gpu, started.at) == ("H100-0", 0.0)
    assert reported.at < 1
    assert reported.fingerprint == end.fingerprint
    assert end.at == pytest.approx(326, abs=5)
    assert (end.outcome, end.corpus) == ("finished", "simulated")
    assert end.summary
    assert 0.9 < end.summary.val_bpb < 1.1
    fractions = [seen.progress.fraction for seen in watched.of(Progressed)]
    assert fractions == pytest.approx([step / 20 for step in range(1, 21)])
    assert [seen.at for seen in watched.of(Progressed)] == sorted(seen.at for seen in watched.of(Progressed))


def test_a_crash_has_its_reason_and_the_end_of_its_log(file: Path) -> None:
    end = told(file, run_one, physics=Physics(crash_rate=1.0)).of(Ended)[0]
    assert (end.outcome, end.exit_code, end.summary) == ("crashed", 1, None)
    assert end.reason
    assert end.tail.startswith("Traceback")


def test_a_run_is_launched_once_however_often_it_is_ordered(file: Path) -> None:
    async def story(watched: Watched) -> None:
        await watched.simulator.launch(job())
        await watched.simulator.launch(job())
        await watched.clock.sleep(1000)
        await watched.simulator.launch(job())
        await watched.clock.sleep(1000)

    watched = told(file, story)
    assert len(watched.of(Started)) == len(watched.of(Ended)) == 1


def test_a_cancelled_run_is_cancelled_wherever_it_stands_and_frees_its_gpu(file: Path) -> None:
    async def story(watched: Watched) -> None:
        for name in ("e1-1", "e2-1", "e3-1"):
            await watched.simulator.launch(job(name))
        await watched.simulator.cancel(RunId("e2-1"))  # it waits
        await watched.clock.sleep(50)
        await watched.simulator.cancel(RunId("e1-1"))  # it runs
        await watched.simulator.cancel(RunId("e1-1"))
        await watched.simulator.cancel(RunId("e9-9"))
        await watched.clock.sleep(1000)

    watched = told(file, story)
    assert [(end.outcome, end.at) for end in watched.of(Ended, "e1-1")] == [("cancelled", 50.0)]
    assert [(end.outcome, end.at) for end in watched.of(Ended, "e2-1")] == [("cancelled", 0.0)]
    assert watched.of(Started, "e2-1") == []
    assert watched.of(Started, "e3-1")[0].at == 50.0
    assert watched.of(Ended, "e3-1")[0].outcome == "finished"


def test_runs_that_do_not_fit_wait_in_order_for_a_gpu_of_their_type(file: Path) -> None:
    async def story(watched: Watched) -> None:
        for name, kind in (("e1-1", "H100"), ("e2-1", "H100"), ("e3-1", "H100"), ("e4-1", "H200")):
            await watched.simulator.launch(job(name, kind))
        await watched.clock.sleep(2000)

    watched = told(file, story, fleet_="H100:1,H200:1")
    begun = {seen.run: seen for seen in watched.seen if isinstance(seen, Started)}
    assert list(begun) == ["e1-1", "e4-1", "e2-1", "e3-1"]
    assert begun[RunId("e2-1")].at == watched.of(Ended, "e1-1")[0].at
    assert begun[RunId("e4-1")].gpu == "H200-0"


def test_a_cluster_takes_its_time_to_place_a_job(file: Path) -> None:
    assert told(file, run_one, queue_s=30.0).of(Started)[0].at == 30.0


def test_a_type_that_is_not_there_never_runs(file: Path) -> None:
    async def story(watched: Watched) -> None:
        with pytest.raises(NothingRuns, match="There is no A100 in the simulated fleet, only H100: change --fleet"):
            await watched.simulator.launch(job(gpu_type="A100"))

    told(file, story)


# --- coming back ------------------------------------------------------------------------------------------------------


async def leave_three(watched: Watched) -> None:
    """One has ended, one runs, one waits, and one that nobody will ask for runs too."""
    await watched.simulator.launch(job("e1-1"))
    await watched.clock.sleep(400)
    for name in ("e2-1", "e8-1", "e3-1"):
        await watched.simulator.launch(job(name))
    await watched.clock.sleep(100)


async def launch_again(watched: Watched) -> None:
    await watched.clock.sleep(1000)
    await watched.simulator.launch(job("e8-1"))
    await watched.clock.sleep(1000)


async def wait_long(watched: Watched) -> None:
    await watched.clock.sleep(1000)


def test_an_engine_that_comes_back_finds_its_runs_as_it_left_them(file: Path) -> None:
    before = told(file, leave_three, fleet_="H100:2")
    again = told(file, launch_again, "e1-1", "e2-1", "e3-1", "e7-1", at=500.0, fleet_="H100:2")
    first, *recalled = again.seen[:6]
    assert isinstance(first, FleetObserved)
    assert recalled[0] == before.of(Ended, "e1-1")[0]
    assert recalled[1] == before.of(Started, "e2-1")[0]
    assert recalled[2:] == [Absent(RunId("e3-1")), Absent(RunId("e7-1")), Synced()]
    assert again.of(Ended, "e2-1")[0].at == pytest.approx(400 + 326, abs=5)
    assert [seen.at > 500 for seen in again.of(Progressed, "e2-1")] == [True] * len(again.of(Progressed, "e2-1"))
    assert len(again.of(Progressed, "e2-1")) + len(before.of(Progressed, "e2-1")) == 20
    assert again.of(Started, "e3-1")[0].at == 500.0, "e8-1 is forgotten, so its GPU is free"
    assert [seen.at for seen in again.of(Started, "e8-1")] == [1500.0], "as if it had never been launched before"


def test_half_a_line_of_a_killed_engine_is_dropped_and_other_damage_told(file: Path) -> None:
    told(file, run_one)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"run":"e2-')
    assert told(file, wait_long, "e1-1").of(Ended)[0].outcome == "finished"
    assert file.read_bytes() == whole
    file.write_bytes(b"{}\n" + whole)
    with pytest.raises(LogError, match=r"Cannot use .*simulator\.jsonl: .*Move it"):
        told(file, wait_long)


# --- the fleet --------------------------------------------------------------------------------------------------------


def test_a_fleet_is_read_from_its_text() -> None:
    gpus = fleet("H100:13, H200 : 3")
    assert [gpu.type for gpu in gpus].count("H100") == 13
    assert (gpus[0].id, gpus[12].id, gpus[-1].id) == ("H100-00", "H100-12", "H200-2")
    assert len({gpu.id for gpu in gpus}) == 16


@pytest.mark.parametrize(
    "text", ["", "H100", "H100:0", "H100:-1", "x:1e9", "H100:1,", "H100:1,H100:2", "a:9999,b:9999"]
)
def test_a_wrong_fleet_gets_a_sentence(text: str) -> None:
    with pytest.raises(SettingsError, match=r'write each GPU type once, .* like "H100:13,H200:3"\.$'):
        fleet(text)
