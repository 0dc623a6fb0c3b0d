"""The executor's contract on a real SSH server: what comes out of `watch`, and what is left behind on the host."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hosts import Box, Site, asyncsshd, kill_supervisor
from place import FOREVER, RESULT, RUN, UNTIL_GO, job, linux_only, until

from core.errors import NothingRuns
from core.executor import Absent, Ended, FleetObserved, Job, Progressed, Reported, Started, Synced
from core.ids import RunId

OTHER = RunId("e2-1")
STEP = "print('step 00001 (50.0%) | loss: 2.5 | tok/sec: 1,000', flush=True)\n"


async def test_a_run_is_watched_from_start_to_result(site: Site) -> None:
    began = time.time()
    async with site.engine() as engine:
        source = f"print('fingerprint: abc\\ncorpus: c4')\n{STEP}import time; time.sleep(0.8)\n{RESULT}"
        end = await engine.run(source)
    assert [type(seen) for seen in engine.seen] == [FleetObserved, Synced, Started, Reported, Progressed, Ended]
    started, reported = await engine.first(Started), await engine.first(Reported)
    progress = (await engine.first(Progressed)).progress
    assert (started.gpu, began < started.at < end.at) == ("box1/cpu0", True)
    assert (reported.fingerprint, reported.exact) == ("abc", True)
    assert (progress.step, progress.fraction, progress.loss) == (1, 0.5, 2.5)
    assert (end.outcome, end.exit_code, end.reason, end.tail) == ("finished", 0, "", "")
    assert end.summary
    assert (end.summary.val_bpb, end.fingerprint, end.corpus) == (1.25, "abc", "c4")
    assert "val_bpb: 1.25" in site.log(RUN)


ENDS = {
    "raise ValueError('bad \\x1b[31m shape')": ("crashed", 1, "ValueError: bad  shape"),
    "import sys; sys.exit(3)": ("crashed", 3, "exited with code 3 without a result block"),
    "print('hello')": ("crashed", 0, "printed no result: train.py must end with the `---` block"),
    "import os; os.kill(os.getpid(), 9)": ("crashed", -9, "killed by signal 9 (out of memory?)"),
    RESULT + "raise RuntimeError": ("finished", 1, "exited with code 1 after its result"),
    "open('prepare.py', 'a').write('#')\n" + RESULT: (
        "crashed",
        0,
        "prepare.py was changed or removed during the run, so its result is void",
    ),
}


async def test_each_end_is_told_in_a_sentence(site: Site) -> None:
    async with site.engine(gpus="cpu:4") as engine:
        runs = {RunId(f"e{number}-1"): source for number, source in enumerate(ENDS)}
        for run, source in runs.items():
            await engine.executor.launch(job(source, run))
        for run, source in runs.items():
            end = await engine.first(Ended, run)
            assert (end.outcome, end.exit_code, end.reason) == ENDS[source], source
            assert (end.summary is not None) == (end.outcome == "finished")
            assert "\x1b" not in end.tail


async def test_what_exceeds_its_limits_is_killed(site: Site) -> None:
    async with site.engine(gpus="cpu:2", timeout_s=1, output_mb=0.5) as engine:
        await engine.executor.launch(job(FOREVER))
        await engine.executor.launch(job("while True: print('x' * 9999)", OTHER))
        ends = [await engine.first(Ended), await engine.first(Ended, OTHER)]
    assert [end.outcome for end in ends] == ["crashed", "crashed"]
    assert ends[0].reason == "ran longer than 1 s and was killed"
    assert ends[1].reason == "wrote more than 0.5 MB of output and was killed"


async def test_another_prepare_is_not_run(site: Site) -> None:
    site.files = {"prepare.py": b"# easier\n"}
    async with site.engine() as engine:
        end = await engine.run(RESULT)
    assert end.outcome == "crashed"
    assert end.reason == "prepare.py is not the one that this session started with: nothing was run"


async def test_a_cancelled_run_is_cancelled_wherever_it_stands(site: Site, box: Box) -> None:
    async with site.engine() as engine:
        await engine.executor.launch(job(FOREVER))
        await engine.executor.launch(job(FOREVER, OTHER))  # waits for the slot
        await engine.first(Started)
        await engine.executor.cancel(OTHER)
        assert (await engine.first(Ended, OTHER)).outcome == "cancelled"
        await engine.executor.cancel(RUN)
        end = await engine.first(Ended)
        assert (end.outcome, end.exit_code, end.reason) == ("cancelled", -15, "")
        await engine.executor.launch(job(FOREVER, RunId("e3-1")))
        await engine.executor.cancel(RunId("e3-1"))  # on its way
        assert (await engine.first(Ended, RunId("e3-1"))).outcome == "cancelled"
        await engine.executor.cancel(RUN)
        await engine.executor.cancel(RunId("e99-1"))
    assert not engine.of(Started, OTHER)


async def test_a_run_is_started_once_however_often_it_is_ordered(site: Site, box: Box) -> None:
    counting = f"open({str(box.root / 'count')!r}, 'a').write('x')\n" + RESULT
    async with site.engine() as engine:
        await asyncio.gather(*(engine.executor.launch(job(counting)) for _ in range(3)))
        await engine.first(Ended)
        await engine.executor.launch(job(counting))
        assert (await engine.run(RESULT, OTHER)).outcome == "finished"
        assert (len(engine.of(Started, RUN)), len(engine.of(Ended, RUN))) == (1, 1)
    async with site.engine() as engine:
        await engine.executor.launch(job(counting))
        assert (await engine.first(Ended)).outcome == "finished"
    assert (box.root / "count").read_text() == "x"


async def test_another_engine_finds_what_the_last_one_left(site: Site, box: Box) -> None:
    going, done, unknown, after = RUN, OTHER, RunId("e3-1"), RunId("e4-1")
    async with site.engine(gpus="cpu:2") as engine:
        await engine.executor.launch(job(UNTIL_GO, going))
        await engine.executor.launch(job("print('early', flush=True); import time; time.sleep(0.5)\n" + RESULT, done))
        await engine.first(Started, going)
        started = await engine.first(Started, done)
    await until(lambda: (box.run(done) / "exit.json").exists())
    async with site.engine(going, done, unknown, gpus="cpu:2") as engine:
        assert [type(seen) for seen in engine.seen[:5]] == [FleetObserved, Started, Ended, Absent, Synced]
        assert (await engine.first(Started)).gpu == "box1/cpu0"
        end = await engine.first(Ended, done)
        assert (end.outcome, end.at > started.at) == ("finished", True)
        assert site.log(done).count("early") == 1
        await engine.executor.launch(job(RESULT, after))
        assert (await engine.first(Started, after)).gpu == "box1/cpu1"  # the other is taken
        (box.run(going) / "go").touch()
        assert (await engine.first(Ended, going)).outcome == "finished"


async def test_an_adopted_run_can_be_cancelled(site: Site) -> None:
    async with site.engine() as engine:
        await engine.executor.launch(job(FOREVER))
        await engine.first(Started)
    async with site.engine(RUN) as engine:
        await engine.executor.cancel(RUN)
        assert (await engine.first(Ended)).outcome == "cancelled"


@linux_only
async def test_the_run_of_a_killed_supervisor_is_lost(site: Site, box: Box) -> None:
    async with site.engine() as engine:
        await engine.executor.launch(job(FOREVER))
        await engine.first(Started)
        kill_supervisor(box.run(RUN))
        end = await engine.first(Ended)
        assert (end.outcome, end.reason) == ("lost", "its supervisor died")
        assert (await engine.run(RESULT, OTHER)).outcome == "finished"


@linux_only
async def test_no_secret_of_ours_or_of_the_host_reaches_a_run(
    site: Site, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "HF_TOKEN", "DATABASE_URL"):
        monkeypatch.setenv(name, "sesame")
    argv = "import pathlib\nfor each in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
    argv += "    try: print(each.read_bytes().replace(b'\\0', b' '))\n    except OSError: pass\n"
    source = f"import json, os\nprint(json.dumps(dict(os.environ)))\n{argv}"
    async with site.engine(variables={"MINE": "abracadabra"}, env={"HERE": "1"}, time_budget=2.5) as engine:
        await engine.run(source)
    environment, *commands = site.log(RUN).splitlines()
    assert "sesame" not in environment
    assert "abracadabra" not in "".join(commands)
    expected = {
        "AUTORESEARCH_SEED": "7",
        "AUTORESEARCH_TIME_BUDGET": "2.5",
        "CUDA_VISIBLE_DEVICES": "",
        "HERE": "1",
        "MINE": "abracadabra",
    }
    given = json.loads(environment)
    assert expected.items() <= given.items()
    assert not [name for name in given if name.startswith("SSH")]


async def test_a_command_of_the_users_own_runs_instead_of_the_interpreter(site: Site, box: Box) -> None:
    """As a container would: it gets the GPU's number, the run's folder and its variables by name."""
    box.program("box", '#!/bin/sh\necho "$0 $1 $2 $3"\ncat "$4"\ncd "$2" && shift 4 && exec "$@"\n')
    words = (str(box.bin / "box"), "gpu={gpu}", "{folder}", "{run}", "{env}", "{python}", "train.py")
    box.has_gpus("0, GPU-1, NVIDIA H100, 81559, Disabled")
    async with site.engine(gpus="", command=words, variables={"MINE": "1 2"}, time_budget=5) as engine:
        await engine.executor.launch(Job(run=RUN, source=RESULT, seed=7, gpu_type="H100"))
        assert (await engine.first(Ended)).outcome == "finished"
    first, *variables = site.log(RUN).split("\n---")[0].splitlines()
    assert first == f"{box.bin / 'box'} gpu=0 {box.run(RUN)} 2026-11-23-a1b2c3-e1-1"
    expected = {"MINE=1 2", "AUTORESEARCH_SEED=7", "AUTORESEARCH_TIME_BUDGET=5", "PYTHONUNBUFFERED=1"}
    assert set(variables) == expected


async def test_a_type_that_no_host_has_is_refused(site: Site) -> None:
    async with site.engine() as engine:
        with pytest.raises(NothingRuns, match="There is no H100 on these hosts, only cpu"):
            await engine.executor.launch(Job(run=RUN, source="", seed=1, gpu_type="H100"))


async def test_files_are_sent_once(site: Site, box: Box) -> None:
    site.files |= {"lib/model.py": b"WIDTH = 4\n", "empty.txt": b"", "large.bin": os.urandom(1_300_000)}
    source = "from lib.model import WIDTH\nimport os\nassert (WIDTH, os.path.getsize('large.bin')) == (4, 1300000)\n"
    async with site.engine() as engine:
        assert (await engine.run(source + RESULT)).outcome == "finished"
        kept = {path: path.stat().st_mtime_ns for path in (box.disk / "files").iterdir()}
        assert (await engine.run(source + RESULT, OTHER)).outcome == "finished"
    assert len(kept) == 5
    assert {path: path.stat().st_mtime_ns for path in (box.disk / "files").iterdir()} == kept


async def test_a_host_may_have_an_older_python(tmp_path: Path) -> None:
    old = shutil.which("python3.9")
    if old is None or subprocess.run([old, "-c", ""], capture_output=True, check=False).returncode:  # noqa: ASYNC221
        pytest.skip("There is no Python 3.9 here.")
    async with asyncsshd(tmp_path) as box:
        (box.bin / "python3").unlink()
        box.program("python3", f'#!/bin/sh\nexec {old} "$@"\n')
        async with Site(tmp_path, box).engine() as engine:
            assert (await engine.run(RESULT)).outcome == "finished"
