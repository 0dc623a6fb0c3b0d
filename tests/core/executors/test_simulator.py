"""The simulator as an executor: the contract, the fleet, and what a restart finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from campaign import UPSTREAM, config
from contract import CRASH, Bench, Contract
from watched import FOREVER, Watched, watching

from core import virtual
from core.clock import ScaledClock
from core.errors import LogError, NothingRuns, SettingsError
from core.executor import Absent, Ended, FleetObserved, Job, Progressed, Reported, Started, Synced
from core.executors.fate import Crash, Fate, Physics
from core.executors.simulator import Simulator
from core.executors.simulator_fleet import fates, fleet
from core.ids import RunId
from core.surfaces import surface

SURE = Physics(crash_rate=0.0)


def job(run: str = "e1-1", gpu_type: str = "H100", source: str = UPSTREAM) -> Job:
    return Job(run=RunId(run), source=source, seed=7, gpu_type=gpu_type)


SPEED = 1000.0  # of the contract's clock
SCRIPTS: dict[
    str, dict[str, Any]
] = {  # what becomes of the contract's scripts, where it is not a result; seconds of simulated time
    CRASH: {"crash": Crash("ValueError: bad shape", 100.0, "building\nValueError: bad shape")},
    FOREVER: {"training_s": 1e6},
}
NO_SCRIPTS = "it runs no scripts: what becomes of a run is known beforehand"
NO_LIMITS = "its runs take the time that they are given, and print nothing"


class Simulated:
    """One session of the contract's: the clock goes on while no engine is there."""

    def __init__(self, folder: Path) -> None:
        self.runs, self._file, self._clock = folder / "runs", folder / "simulator.jsonl", ScaledClock(0.0, SPEED)

    def put(self, path: str, body: bytes) -> None:
        raise NotImplementedError(NO_SCRIPTS)

    @asynccontextmanager
    async def engine(self, *open_runs: RunId, places: int = 1, **limits: Any) -> AsyncIterator[Watched[Simulator]]:
        assert not limits, NO_LIMITS
        gpus = fleet(f"H100:{places}")
        simulator = Simulator(gpus=gpus, fates=_fate, file=self._file, clock=self._clock)
        async with watching(simulator, open_runs) as watched:
            yield watched

    async def meanwhile(self, run: RunId) -> None:
        await self._clock.sleep(400)

    async def left(self) -> list[str]:
        return []


def _fate(job: Job) -> Fate:
    usual = fates(surface("bowl", config(UPSTREAM), 1), SURE, 0, UPSTREAM)(job)
    return msgspec.structs.replace(usual, val_bpb=1.25, fingerprint="abc", **SCRIPTS.get(job.source, {}))


class TestSimulator(Contract):
    not_shown: ClassVar = {
        "test_each_end_is_told_in_a_sentence": NO_SCRIPTS,
        "test_a_run_that_hangs_after_its_result_has_finished": NO_LIMITS,
        "test_what_exceeds_its_limits_is_killed": NO_LIMITS,
        "test_a_run_gets_its_seed_and_budget_and_no_secret": NO_SCRIPTS,
        "test_each_run_has_its_own_copy_of_the_workspace": NO_SCRIPTS,
        "test_another_prepare_is_not_run": NO_SCRIPTS,
    }

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        return Simulated(tmp_path)


# --- in virtual time --------------------------------------------------------------------------------------------------


class Virtual(Watched[Simulator]):
    def __init__(self, simulator: Simulator, clock: virtual.VirtualClock) -> None:
        super().__init__(simulator)
        self.clock = clock


Story = Callable[[Virtual], Coroutine[Any, Any, None]]


def told(file: Path, story: Story, *open_runs: str, fleet_: str = "H100:1", at: float = 0.0, **more: Any) -> Virtual:
    """What is seen of a story on a simulator."""

    async def main() -> Virtual:
        clock = virtual.running_clock()
        assert clock is not None
        clock.start_at(at)
        physics = more.pop("physics", SURE)
        lots = fates(surface("bowl", config(UPSTREAM), 1), physics, 0, UPSTREAM)
        async with Simulator(gpus=fleet(fleet_), fates=lots, file=file, clock=clock, **more) as simulator:
            watched = Virtual(simulator, clock)
            task = asyncio.create_task(watched.collect(tuple(map(RunId, open_runs))))
            await asyncio.sleep(0)
            await story(watched)
            task.cancel()
        return watched

    return virtual.run(main())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "simulator.jsonl"


async def run_one(watched: Virtual) -> None:
    await watched.executor.launch(job())
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


def test_a_cancelled_run_is_cancelled_wherever_it_stands_and_frees_its_gpu(file: Path) -> None:
    async def story(watched: Virtual) -> None:
        for name in ("e1-1", "e2-1", "e3-1"):
            await watched.executor.launch(job(name))
        await watched.executor.cancel(RunId("e2-1"))  # it waits
        await watched.clock.sleep(50)
        await watched.executor.cancel(RunId("e1-1"))  # it runs
        await watched.executor.cancel(RunId("e1-1"))
        await watched.executor.cancel(RunId("e9-9"))
        await watched.clock.sleep(1000)

    watched = told(file, story)
    assert [(end.outcome, end.at) for end in watched.of(Ended, RunId("e1-1"))] == [("cancelled", 50.0)]
    assert [(end.outcome, end.at) for end in watched.of(Ended, RunId("e2-1"))] == [("cancelled", 0.0)]
    assert watched.of(Started, RunId("e2-1")) == []
    assert watched.of(Started, RunId("e3-1"))[0].at == 50.0
    assert watched.of(Ended, RunId("e3-1"))[0].outcome == "finished"


def test_runs_that_do_not_fit_wait_in_order_for_a_gpu_of_their_type(file: Path) -> None:
    async def story(watched: Virtual) -> None:
        for name, kind in (("e1-1", "H100"), ("e2-1", "H100"), ("e3-1", "H100"), ("e4-1", "H200")):
            await watched.executor.launch(job(name, kind))
        await watched.clock.sleep(2000)

    watched = told(file, story, fleet_="H100:1,H200:1")
    begun = {seen.run: seen for seen in watched.seen if isinstance(seen, Started)}
    assert list(begun) == ["e1-1", "e4-1", "e2-1", "e3-1"]
    assert begun[RunId("e2-1")].at == watched.of(Ended, RunId("e1-1"))[0].at
    assert begun[RunId("e4-1")].gpu == "H200-0"


def test_a_cluster_takes_its_time_to_place_a_job(file: Path) -> None:
    assert told(file, run_one, queue_s=30.0).of(Started)[0].at == 30.0


def test_a_type_that_is_not_there_never_runs(file: Path) -> None:
    async def story(watched: Virtual) -> None:
        with pytest.raises(NothingRuns, match="There is no A100 in the simulated fleet, only H100: change --fleet"):
            await watched.executor.launch(job(gpu_type="A100"))

    told(file, story)


# --- coming back ------------------------------------------------------------------------------------------------------


async def leave_three(watched: Virtual) -> None:
    """One has ended, one runs, one waits, and one that nobody will ask for runs too."""
    await watched.executor.launch(job("e1-1"))
    await watched.clock.sleep(400)
    for name in ("e2-1", "e8-1", "e3-1"):
        await watched.executor.launch(job(name))
    await watched.clock.sleep(100)


async def launch_again(watched: Virtual) -> None:
    await watched.clock.sleep(1000)
    await watched.executor.launch(job("e8-1"))
    await watched.clock.sleep(1000)


async def wait_long(watched: Virtual) -> None:
    await watched.clock.sleep(1000)


def test_an_engine_that_comes_back_finds_its_runs_as_it_left_them(file: Path) -> None:
    before = told(file, leave_three, fleet_="H100:2")
    again = told(file, launch_again, "e1-1", "e2-1", "e3-1", "e7-1", at=500.0, fleet_="H100:2")
    first, *recalled = again.seen[:6]
    assert isinstance(first, FleetObserved)
    assert recalled[0] == before.of(Ended, RunId("e1-1"))[0]
    assert recalled[1] == before.of(Started, RunId("e2-1"))[0]
    assert recalled[2:] == [Absent(RunId("e3-1")), Absent(RunId("e7-1")), Synced()]
    assert again.of(Ended, RunId("e2-1"))[0].at == pytest.approx(400 + 326, abs=5)
    assert [seen.at > 500 for seen in again.of(Progressed, RunId("e2-1"))] == [True] * len(
        again.of(Progressed, RunId("e2-1"))
    )
    assert len(again.of(Progressed, RunId("e2-1"))) + len(before.of(Progressed, RunId("e2-1"))) == 20
    assert again.of(Started, RunId("e3-1"))[0].at == 500.0, "e8-1 is forgotten, so its GPU is free"
    assert [seen.at for seen in again.of(Started, RunId("e8-1"))] == [1500.0], "as if it had never been launched before"


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
