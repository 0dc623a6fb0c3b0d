"""The local executor with real processes: what comes out of `watch`, and what is left behind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from place import (
    FOREVER,
    RESULT,
    RUN,
    Place,
    job,
    linux_only,
    slots,
)

from core.errors import NothingRuns
from core.events import Gpu
from core.executor import Ended, FleetObserved, Job, Progressed, Reported, Started, Synced
from core.executors.gpus import Slot
from core.ids import GpuId, RunId


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# --- how runs end -----------------------------------------------------------------------------------------------------


async def test_a_run_is_watched_from_start_to_result(place: Place) -> None:
    step = "print('step 00001 (50.0%) | loss: 2.5 | tok/sec: 1,000', flush=True)\n"
    source = f"print('fingerprint: abc\\ncorpus: c4')\n{step}import time; time.sleep(0.4)\n{RESULT}"
    async with place.engine() as engine:
        end = await engine.run(source)
    assert [type(seen) for seen in engine.seen] == [
        *(FleetObserved, Synced, Started),
        *(Reported, Progressed, Ended),
    ]
    assert (await engine.first(Started)).gpu == "cpu0"
    reported = await engine.first(Reported)
    assert (reported.fingerprint, reported.exact, reported.params_m) == ("abc", True, None)
    progress = (await engine.first(Progressed)).progress
    assert (progress.step, progress.fraction, progress.loss) == (1, 0.5, 2.5)
    assert (end.outcome, end.exit_code, end.reason, end.tail) == ("finished", 0, "", "")
    assert end.summary
    assert (end.summary.val_bpb, end.fingerprint, end.corpus) == (1.25, "abc", "c4")


async def test_upstreams_model_configuration_is_reported_once_training_has_begun(place: Place) -> None:
    config = """print('Model config: {"depth": 8, "num_params": 50332176}')\n"""
    step = "print('step 00001 (50.0%) | loss: 2.5', flush=True)\n"
    async with place.engine() as engine:
        await engine.run(config + step + RESULT)
        assert len(engine.of(Reported, RUN)) == 1
        reported = await engine.first(Reported)
        assert not reported.exact
        assert reported.params_m == pytest.approx(50.332176)
        assert (reported.step, reported.loss) == (1, 2.5)
        await engine.run(config + RESULT, RunId("e2-1"))
        assert engine.of(Reported, RunId("e2-1")) == []


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
        "prepare.py was changed or removed during the run, so its result is void",
    ),
    "import os\nos.remove('prepare.py'); os.mkfifo('prepare.py')\n" + RESULT: (
        "crashed",
        0,
        "prepare.py was changed or removed during the run, so its result is void",
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
    source = (
        "import os\nfrom lib.model import WIDTH\nassert WIDTH == 4\nopen('lib/model.py', 'w')\n"
        "print(*sorted(name for name in os.listdir() if 'started.json' not in name))\n"  # that is being written
    )
    async with place.engine(links=(tmp_path / "shards",)) as engine:
        await engine.run(source)
    names = ["claim", "lib", "prepare.py", "run.log", "shards", "train.py"]
    assert place.log().split() == names
    assert {path.name for path in (place.runs / RUN).iterdir()} == {*names, "started.json", "exit.json"}
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
