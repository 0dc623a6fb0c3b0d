"""The local executor with real processes: what comes out of `watch`, and what is left behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from contract import Bench, Contract
from place import Place, linux_only
from watched import FOREVER, RESULT, RUN

from core.errors import NothingRuns
from core.events import Gpu
from core.executor import Job, Reported
from core.executors.gpus import Slot
from core.ids import GpuId, RunId


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class TestLocal(Contract):
    @pytest.fixture(params=[(), pytest.param(("json",), marks=linux_only)], ids=["cold", "warm"])
    def bench(self, request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
        return Place(tmp_path, warm=request.param)


# --- how runs end -----------------------------------------------------------------------------------------------------


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


@linux_only
async def test_what_takes_too_much_memory_is_killed(place: Place) -> None:
    async with place.engine(memory_mb=150) as engine:
        end = await engine.run("x = bytearray(300 << 20)\n" + FOREVER)
    assert (end.outcome, end.reason) == ("crashed", "used more than 150 MB of memory and was killed")


async def test_a_type_that_this_machine_does_not_have_is_refused(place: Place) -> None:
    async with place.engine() as engine:
        with pytest.raises(NothingRuns, match="There is no H100 on this machine, only cpu"):
            await engine.executor.launch(Job(run=RUN, source="", seed=1, gpu_type="H100"))


# --- what a run gets --------------------------------------------------------------------------------------------------


@linux_only
async def test_a_run_gets_its_share_of_the_machine(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")
    core = min(os.sched_getaffinity(0))
    pinned = (Slot(Gpu(GpuId("cpu0"), "cpu"), cpus=(core,)),)
    async with place.engine(slots=pinned) as engine:
        await engine.run("import json, os\nprint(json.dumps(dict(os.environ)))\nprint(os.sched_getaffinity(0))")
    environment, affinity = place.log().splitlines()
    assert affinity == f"{{{core}}}"
    expected = {"CUDA_MODULE_LOADING": "LAZY", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
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
