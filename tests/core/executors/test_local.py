"""The local executor with real processes: what comes out of `watch`, and what is left behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from core.clock import SystemClock
from core.errors import NothingRuns
from core.events import Gpu
from core.executor import Absent, Ended, FleetObserved, Job, Observation, Progressed, Started, Synced
from core.executors import local_folder
from core.executors.gpus import Slot, cpu_slots, gpu_type, local_slots, visible
from core.executors.local import LocalExecutor
from core.executors.local_supervisor import TOKEN
from core.ids import GpuId, RunId

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
Seen = TypeVar("Seen", bound=Observation)
PREPARE = b"TIME_BUDGET = 300\n"
RESULT = "print('---\\nval_bpb: 1.25\\ntraining_seconds: 2.0')\n"
FOREVER = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
UNTIL_GO = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n" + RESULT
RUN = RunId("e1-1")


def slots(count: int = 1) -> tuple[Slot, ...]:
    return tuple(Slot(Gpu(GpuId(f"cpu{index}"), "cpu"), cpus=None) for index in range(count))


def job(source: str, run: RunId = RUN) -> Job:
    return Job(run=run, source=source, seed=7, gpu_type="cpu")


class Watched:
    """An executor, and all that it has reported."""

    def __init__(self, executor: LocalExecutor) -> None:
        self.executor = executor
        self.seen: list[Observation] = []
        self._news = asyncio.Condition()

    async def collect(self, open_runs: tuple[RunId, ...]) -> None:
        async for observation in self.executor.watch(open_runs):
            async with self._news:
                self.seen.append(observation)
                self._news.notify_all()

    def of(self, kind: type[Seen], run: RunId) -> list[Seen]:
        return [seen for seen in self.seen if isinstance(seen, kind) and getattr(seen, "run", "") == run]

    async def first(self, kind: type[Seen], run: RunId = RUN) -> Seen:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: self.of(kind, run))
        return self.of(kind, run)[0]

    async def synced(self) -> None:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: any(isinstance(seen, Synced) for seen in self.seen))

    async def run(self, source: str, run: RunId = RUN) -> Ended:
        await self.executor.launch(job(source, run))
        return await self.first(Ended, run)


class Place:
    def __init__(self, root: Path) -> None:
        self.base, self.runs = root / "base", root / "runs"
        self.base.mkdir()
        (self.base / "prepare.py").write_bytes(PREPARE)

    @asynccontextmanager
    async def engine(self, *open_runs: RunId, **changes: Any) -> AsyncIterator[Watched]:
        settings: dict[str, Any] = {
            "base": self.base,
            "runs": self.runs,
            "slots": slots(),
            "python": sys.executable,
            "prepare_digest": hashlib.sha256(PREPARE).hexdigest(),
            "timeout_s": 60,
            "grace_s": 0.3,
            "clock": SystemClock(),
        }
        async with LocalExecutor(**settings | changes) as executor:
            watched = Watched(executor)
            task = asyncio.create_task(watched.collect(open_runs), name="collect")
            try:
                await watched.synced()
                yield watched
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def log(self, run: RunId = RUN) -> str:
        return (self.runs / run / "run.log").read_text()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  other processes tell us nothing
            await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def supervisor_of(folder: Path) -> int:
    return int((folder / "claim").read_text().split()[0])


# --- how runs end -----------------------------------------------------------------------------------------------------


async def test_a_run_is_watched_from_start_to_result(place: Place) -> None:
    step = "print('step 00001 (50.0%) | loss: 2.5 | tok/sec: 1,000', flush=True)\n"
    source = f"{step}print('fingerprint: abc\\ncorpus: c4', flush=True)\nimport time; time.sleep(0.4)\n{RESULT}"
    async with place.engine() as engine:
        end = await engine.run(source)
    assert [type(seen) for seen in engine.seen] == [FleetObserved, Synced, Started, Progressed, Ended]
    assert (await engine.first(Started)).gpu == "cpu0"
    progress = (await engine.first(Progressed)).progress
    assert (progress.step, progress.fraction, progress.loss) == (1, 0.5, 2.5)
    assert (end.outcome, end.exit_code, end.reason, end.tail) == ("finished", 0, "", "")
    assert end.summary
    assert (end.summary.val_bpb, end.fingerprint, end.corpus) == (1.25, "abc", "c4")


ENDS = {
    "raise ValueError('bad \\x1b[31m shape')": ("crashed", 1, "ValueError: bad  shape"),
    "import sys; sys.exit(3)": ("crashed", 3, "exited with code 3 without a result block"),
    "print('hello')": ("crashed", 0, "printed no result: train.py must end with the `---` block"),
    "print('---\\nval_bpb: nan')": ("crashed", 0, "val_bpb is nan"),
    "print('FAIL'); import sys; sys.exit(1)": ("crashed", 1, "loss not finite or exploding"),
    "import os; os.kill(os.getpid(), 9)": ("crashed", -9, "killed by signal 9 (out of memory?)"),
    "import os; os.kill(os.getpid(), 11)": ("crashed", -11, "killed by signal 11 (SIGSEGV)"),
    RESULT + "raise RuntimeError": ("finished", 1, "exited with code 1 after its result"),
    "open('prepare.py', 'a').write('#')\n" + RESULT: (
        "crashed",
        0,
        "prepare.py was changed during the run, so its result is void",
    ),
    "import os\nos.remove('prepare.py'); os.mkfifo('prepare.py')\n" + RESULT: (
        "crashed",
        0,
        "prepare.py was changed during the run, so its result is void",
    ),
    "open('prepare.py', 'a').close()\n" + RESULT: ("finished", 0, ""),
}


async def test_each_end_is_told_in_a_sentence(place: Place) -> None:
    async with place.engine() as engine:
        for number, (source, expected) in enumerate(ENDS.items()):
            end = await engine.run(source, RunId(f"e{number}-1"))
            assert (end.outcome, end.exit_code, end.reason) == expected, source
            assert (end.summary is not None) == (end.outcome == "finished")
            assert "\x1b" not in end.tail


async def test_what_exceeds_its_limits_is_killed(place: Place) -> None:
    limits = {"timeout_s": 1, "output_mb": 0.5, "memory_mb": 150 if sys.platform.startswith("linux") else 0}
    async with place.engine(slots=slots(3), **limits) as engine:
        sleeper, talker = RunId("e1-1"), RunId("e2-1")
        await engine.executor.launch(job("import signal\nsignal.signal(15, signal.SIG_IGN)\n" + FOREVER, sleeper))
        await engine.executor.launch(job("while True: print('x' * 9999)", talker))
        end = await engine.run("x = bytearray(300 << 20)\n" + FOREVER, RunId("e3-1"))
        ends = [end, await engine.first(Ended, sleeper), await engine.first(Ended, talker)]
    assert {end.outcome for end in ends} == {"crashed"}
    if limits["memory_mb"]:
        assert end.reason == "used more than 150 MB of memory and was killed"
    assert ends[1].reason == "ran longer than 1 s and was killed"
    assert ends[2].reason == "wrote more than 0.5 MB of output and was killed"


async def test_a_run_that_hangs_after_its_result_has_finished(place: Place) -> None:
    async with place.engine(timeout_s=0.7) as engine:
        end = await engine.run(RESULT + FOREVER)
    assert (end.outcome, end.reason) == ("finished", "did not end after its result")


async def test_another_prepare_is_not_run(place: Place) -> None:
    (place.base / "prepare.py").write_text("# easier\n")
    async with place.engine() as engine:
        end = await engine.run(RESULT)
    assert end.outcome == "crashed"
    assert end.reason == "prepare.py is not the one that this session started with: nothing was run"
    assert not (place.runs / RUN / "run.log").exists()


async def test_a_cancelled_run_is_cancelled_wherever_it_stands(place: Place) -> None:
    async with place.engine() as engine:
        await engine.executor.launch(job(FOREVER))
        await engine.executor.launch(job(FOREVER, RunId("e2-1")))  # waits for the slot
        await engine.first(Started)
        await engine.executor.cancel(RunId("e2-1"))
        assert (await engine.first(Ended, RunId("e2-1"))).outcome == "cancelled"
        await engine.executor.cancel(RUN)
        end = await engine.first(Ended)
        assert (end.outcome, end.exit_code, end.reason) == ("cancelled", -15, "")
        await engine.executor.cancel(RUN)
        await engine.executor.cancel(RunId("e99-1"))
    assert not engine.of(Started, RunId("e2-1"))


# --- what a run gets --------------------------------------------------------------------------------------------------


@linux_only
@pytest.mark.parametrize("warm", [(), ("json",)], ids=["cold", "warm"])
async def test_no_secret_reaches_a_run(place: Place, monkeypatch: pytest.MonkeyPatch, warm: tuple[str, ...]) -> None:
    for name in ("ANTHROPIC_API_KEY", "HF_TOKEN", "CUDA_SECRET", "DATABASE_URL"):
        monkeypatch.setenv(name, "sesame")
    monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")
    source = "import json, os\nprint(json.dumps(dict(os.environ)))\nprint(open('/proc/self/environ').read())\n"
    core = min(os.sched_getaffinity(0))
    pinned = (Slot(Gpu(GpuId("cpu0"), "cpu"), cpus=(core,)),)
    async with place.engine(slots=pinned, time_budget=2.5, warm=warm, env={"MINE": "1"}) as engine:
        await engine.run(source + "print(os.sched_getaffinity(0))")
    environment, raw, affinity = place.log().splitlines()
    assert "sesame" not in environment + raw
    assert affinity == f"{{{core}}}"
    expected = {
        "AUTORESEARCH_SEED": "7",
        "AUTORESEARCH_TIME_BUDGET": "2.5",
        "CUDA_MODULE_LOADING": "LAZY",
        "CUDA_VISIBLE_DEVICES": "",
        "MINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    assert expected.items() <= json.loads(environment).items()


async def test_a_run_has_its_own_copy_of_the_workspace(place: Place, tmp_path: Path) -> None:
    (place.base / "lib").mkdir()
    (place.base / "lib" / "model.py").write_text("WIDTH = 4")
    (place.base / ".env").write_text("secret")
    (place.base / "exit.json").write_text("{}")
    (place.base / "loop").symlink_to(tmp_path)
    (tmp_path / "shards").mkdir()
    source = "import os\nfrom lib.model import WIDTH\nprint(WIDTH, sorted(os.listdir()))\nopen('lib/model.py', 'w')\n"
    async with place.engine(links=(tmp_path / "shards",)) as engine:
        await engine.run(source)
    names = ["claim", "lib", "prepare.py", "run.log", "shards", "started.json", "train.py"]
    logged = place.log().replace("'.started.json-", "'started.json").replace(", 'started.json'", "")
    assert logged.startswith("4 ['claim', 'lib', 'prepare.py', 'run.log', 'shards'")
    assert {path.name for path in (place.runs / RUN).iterdir()} == {*names, "exit.json"}
    assert (place.base / "lib" / "model.py").read_text() == "WIDTH = 4"


@pytest.mark.parametrize("keep", [False, True])
async def test_checkpoints_are_cleared_away(place: Place, keep: bool) -> None:
    source = "import os\nfor n in ('model.pt', 'notes.txt'): open(n, 'w').truncate(5 if n[0] == 'n' else 20 << 20)\n"
    async with place.engine(keep_files=keep) as engine:
        await engine.run(source + RESULT)
    names = {path.name for path in (place.runs / RUN).iterdir()}
    assert {"notes.txt", "train.py", "prepare.py", "run.log", "exit.json"} <= names
    assert ("model.pt" in names) is keep


async def test_runs_that_do_not_fit_wait_in_order(place: Place) -> None:
    names = [RunId(f"e{number}-1") for number in range(5)]
    async with place.engine(slots=slots(2)) as engine:
        for name in names:
            await engine.executor.launch(job(RESULT, name))
        for name in names:
            assert (await engine.first(Ended, name)).outcome == "finished"
        assert [seen.run for seen in engine.seen if isinstance(seen, Started)] == names
        with pytest.raises(NothingRuns, match="There is no H100 on this machine, only cpu"):
            await engine.executor.launch(Job(run=RunId("e9-1"), source="", seed=1, gpu_type="H100"))


# --- engines and supervisors that die ---------------------------------------------------------------------------------


async def test_a_run_is_started_once(place: Place) -> None:
    counting = "open('../count', 'a').write('x')\n" + RESULT
    async with place.engine() as engine:
        await asyncio.gather(*(engine.executor.launch(job(counting)) for _ in range(3)))
        await engine.first(Ended)
        await engine.executor.launch(job(counting))
    async with place.engine() as engine:
        await engine.executor.launch(job(counting))
        assert (await engine.first(Ended)).outcome == "finished"
        assert not engine.of(Started, RUN)
    assert (place.runs / "count").read_text() == "x"


async def test_another_engine_finds_what_the_last_one_left(place: Place) -> None:
    going, done, unknown, after = RUN, RunId("e2-1"), RunId("e3-1"), RunId("e4-1")
    async with place.engine(slots=slots(2)) as engine:
        await engine.executor.launch(job(UNTIL_GO, going))
        await engine.executor.launch(job("import time; time.sleep(0.2)\n" + RESULT, done))
        started = await engine.first(Started, done)
    await until(lambda: (place.runs / done / "exit.json").exists())
    async with place.engine(going, done, unknown, slots=slots(2)) as engine:
        assert isinstance(engine.seen[0], FleetObserved)
        assert [type(seen) for seen in engine.seen[1:5]] == [Started, Ended, Absent, Synced]
        assert (await engine.first(Started)).gpu == "cpu0"
        end = await engine.first(Ended, done)
        assert end.outcome == "finished"
        assert end.at > started.at + 0.1
        await engine.executor.launch(job(RESULT, after))
        assert (await engine.first(Started, after)).gpu == "cpu1"  # the other is taken
        (place.runs / going / "go").touch()
        assert (await engine.first(Ended, going)).outcome == "finished"


async def test_an_adopted_run_can_be_cancelled(place: Place) -> None:
    async with place.engine() as engine:
        await engine.executor.launch(job(FOREVER))
        await engine.first(Started)
    async with place.engine(RUN) as engine:
        await engine.executor.cancel(RUN)
        assert (await engine.first(Ended)).outcome == "cancelled"


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
        await engine.first(Started)
        await until(lambda: (place.runs / RUN / "pid").exists() and (place.runs / RUN / "pid").read_text())
        left = int((place.runs / RUN / "pid").read_text())
        os.kill(supervisor_of(place.runs / RUN), signal.SIGKILL)
        end = await engine.first(Ended)
        assert (end.outcome, end.reason, end.tail) == ("lost", "its supervisor died", "up\nup")
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


# --- slots ------------------------------------------------------------------------------------------------------------


def test_gpus_go_by_their_short_names() -> None:
    names = {
        "NVIDIA H100 80GB HBM3": "H100",
        "NVIDIA H100 PCIe": "H100",
        "NVIDIA H200": "H200",
        "NVIDIA A100-SXM4-80GB": "A100",
        "NVIDIA GeForce RTX 4090": "RTX 4090",
        "NVIDIA GeForce RTX 3080 Laptop GPU": "RTX 3080",
        "NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada Generation",
        "Tesla V100-SXM2-16GB": "V100",
        "NVIDIA L40S": "L40S",
        "NVIDIA": "GPU",
    }
    assert {name: gpu_type(name) for name in names} == names


def test_cores_are_shared_out_evenly() -> None:
    cores = tuple(range(16))
    assert [slot.cpus for slot in cpu_slots(cores, 3)] == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9), (10, 11, 12, 13, 14)]
    assert len(cpu_slots(cores, None)) == 8
    assert [slot.cpus for slot in cpu_slots((4, 6), 5)] == [(4,), (6,), (4,), (6,), (4,)]
    assert len(cpu_slots((4, 6), 99)) == 8


def test_no_slots_is_an_error() -> None:
    with pytest.raises(NothingRuns, match="set slots to 1 or more"):
        local_slots(0)
    with pytest.raises(NothingRuns, match="No CPU core"):
        cpu_slots((), None)
    assert len(local_slots(1)) == 1


def test_cuda_visible_devices_is_respected() -> None:
    two = tuple(Slot(Gpu(GpuId(f"gpu{index}"), "H100"), index=index) for index in range(2))
    assert visible(two, None) == two
    assert visible(two, "1") == two[1:]
    assert visible(two, "") == ()
    assert visible(two, "GPU-8f2e") == two


def test_a_pipe_in_place_of_a_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "exit.json")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert local_folder.read_json(tmp_path / "exit.json") == {}
    assert local_folder.read(tmp_path / "link") == b""
    assert TOKEN not in os.environ
