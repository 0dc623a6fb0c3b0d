"""The executor's contract on a real SSH server: what comes out of `watch`, and what is left behind on the host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from contract import Bench, Contract
from hosts import Box, Site, asyncsshd, kill_supervisor
from place import job, linux_only
from watched import FOREVER, OTHER, RESULT, RUN

from core.errors import NothingRuns
from core.executor import Ended, Job, Started


class TestHosts(Contract):
    @pytest.fixture
    def bench(self, site: Site) -> Bench:
        return site


async def test_an_engine_that_does_not_know_of_a_run_does_not_start_it_again(site: Site, box: Box) -> None:
    counting = f"open({str(box.root / 'count')!r}, 'a').write('x')\n" + RESULT
    async with site.engine() as engine:
        assert (await engine.run(counting)).outcome == "finished"
    async with site.engine() as engine:
        assert (await engine.run(counting)).outcome == "finished"
    assert (box.root / "count").read_text() == "x"


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
async def test_variables_of_a_run_are_in_no_command_line(site: Site) -> None:
    source = "import json, os, pathlib\nprint(json.dumps(dict(os.environ)))\n"
    source += "for each in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
    source += "    try: print(each.read_bytes().replace(b'\\0', b' '))\n    except OSError: pass\n"
    async with site.engine(variables={"MINE": "abracadabra"}, env={"HERE": "1"}) as engine:
        await engine.run(source)
    environment, *commands = site.log(RUN).splitlines()
    assert "abracadabra" not in "".join(commands)
    expected = {"CUDA_VISIBLE_DEVICES": "", "HERE": "1", "MINE": "abracadabra"}
    assert expected.items() <= json.loads(environment).items()


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
