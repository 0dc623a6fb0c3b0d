"""Runs as Slurm jobs behind a login node: against a fake Slurm on the host's PATH, made of one small program."""

from __future__ import annotations

import os
import signal

import pytest
from hosts import Box, Site
from place import UNTIL_GO, until
from slurm import Slurm
from watched import FOREVER, OTHER, RESULT, RUN

from core.executor import Absent, Ended, FleetObserved, Job, Started, Waiting
from core.hosts import link
from core.ids import RunId


@pytest.fixture
def slurm(box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Slurm:
    """Asked ten times as often, which the agent is told in its own source."""
    text = (link.FAR / "slurm.py").read_text()
    for name, value in (("POLL_S", 10.0), ("HURRY_S", 2.0), ("SETTLE_S", 30.0)):
        assert f"{name} = {value}" in text
        text = text.replace(f"{name} = {value}", f"{name} = {value / 20}")
    (box.root / "slurm.py").write_text(text)
    programs = tuple(path for path in link.PROGRAMS if path.name != "slurm.py")
    monkeypatch.setattr(link, "PROGRAMS", (*programs, box.root / "slurm.py"))
    link._bundle.cache_clear()
    return Slurm(box)


@pytest.fixture(autouse=True)
def _own_programs() -> object:
    yield
    link._bundle.cache_clear()


LAB = {"gpus": "H100:2", "slurm": {"partition": "gpu", "gres": "gpu:1", "account": "lab"}}


def order(source: str, run: RunId = RUN) -> Job:
    return Job(run=run, source=source, seed=7, gpu_type="H100")


async def test_a_run_is_a_job(site: Site, slurm: Slurm) -> None:
    source = "import os\nprint('sees', os.environ['CUDA_VISIBLE_DEVICES'], os.environ['AUTORESEARCH_SEED'])\n"
    async with site.engine(**LAB) as engine:
        await engine.executor.launch(order(source + "import time; time.sleep(1)\n" + RESULT))
        end = await engine.first(Ended)
    assert (end.outcome, end.reason) == ("finished", "")
    (started,) = engine.of(Started, RUN)
    assert started.gpu == "box1/slurm0"
    assert "sees 5 7" in site.log(RUN)
    (call,) = slurm.calls("sbatch")
    assert {"--partition=gpu", "--gres=gpu:1", "--account=lab", "--export=NONE", "--no-requeue"} <= set(call)
    assert "--job-name=autoresearch-2026-11-23-a1b2c3-e1-1" in call


async def test_a_crash_is_told_as_elsewhere(site: Site, slurm: Slurm) -> None:
    async with site.engine(**LAB) as engine:
        await engine.executor.launch(order("raise ValueError('bad shape')"))
        end = await engine.first(Ended)
    assert (end.outcome, end.exit_code, end.reason) == ("crashed", 1, "ValueError: bad shape")


async def test_a_job_that_waits_is_cancelled_at_once_and_one_that_runs_is_stopped(site: Site, slurm: Slurm) -> None:
    async with site.engine(**LAB) as engine:
        await engine.executor.launch(order(FOREVER))
        await engine.first(Started)
        slurm.switch("hold")
        await engine.executor.launch(order(FOREVER, OTHER))
        await until(lambda: len(slurm.calls("sbatch")) == 2)
        await engine.executor.cancel(OTHER)
        await engine.executor.cancel(RUN)
        assert [(await engine.first(Ended, run)).outcome for run in (RUN, OTHER)] == ["cancelled", "cancelled"]
    assert not engine.of(Started, OTHER)


async def test_an_engine_that_comes_back_finds_its_jobs(site: Site, box: Box, slurm: Slurm) -> None:
    slurm.switch("hold")
    async with site.engine(**LAB) as engine:
        await engine.executor.launch(order(RESULT))
        await until(lambda: engine.of(Waiting, RUN))
        assert engine.of(Waiting, RUN)[0].reason == "Slurm: Resources"
    async with site.engine(RUN, **LAB) as engine:
        assert engine.of(Absent, RUN)  # not begun: the engine says it again
        await engine.executor.launch(order(RESULT))
        slurm.switch("hold", on=False)
        assert (await engine.first(Ended)).outcome == "finished"
    assert len(slurm.calls("sbatch")) == 1


@pytest.mark.parametrize("waits", [True, False])
async def test_a_job_whose_number_was_never_heard_is_found_by_its_name(
    site: Site, box: Box, slurm: Slurm, waits: bool
) -> None:
    """The agent dies between telling Slurm and taking note of it."""
    slurm.switch("deaf")
    slurm.switch("hold", on=waits)
    async with site.engine(**LAB) as engine:
        await engine.executor.launch(order(RESULT))
        await until(lambda: not (slurm.folder / "deaf").exists())
        await until(lambda: (box.run(RUN) / "job.json").exists())
        slurm.switch("hold", on=False)
        assert (await engine.first(Ended)).outcome == "finished"
    assert len(slurm.calls("sbatch")) == 1


async def test_a_job_that_slurm_ends_is_lost_with_slurms_word_for_it(site: Site, slurm: Slurm) -> None:
    async with site.engine(**LAB) as engine:
        await engine.executor.launch(order(FOREVER))
        await engine.first(Started)
        for pid in slurm.pids:
            os.kill(pid, signal.SIGKILL)
        slurm.end("NODE_FAIL")
        end = await engine.first(Ended)
    assert (end.outcome, end.reason) == ("lost", "its Slurm job 4000 ended without a word (NODE_FAIL)")


async def test_a_controller_that_is_away_costs_no_run(site: Site, box: Box, slurm: Slurm) -> None:
    async with site.engine(**LAB) as engine:
        await engine.executor.launch(order(UNTIL_GO))
        await engine.first(Started)
        slurm.switch("down")
        asked = len(slurm.calls("squeue"))
        (box.run(RUN) / "go").touch()
        await until(lambda: len(slurm.calls("squeue")) > asked + 2)
        assert not engine.of(Ended, RUN)
        slurm.switch("down", on=False)
        assert (await engine.first(Ended)).outcome == "finished"


async def test_a_job_that_is_refused_is_told_in_the_fleet(site: Site, slurm: Slurm) -> None:
    lab = {**LAB, "slurm": {"partition": "closed"}}
    async with site.engine(**lab) as engine:
        await engine.executor.launch(order(RESULT))
        await until(lambda: any(seen.gpus[0].broken for seen in engine.seen if isinstance(seen, FleetObserved)))
        await engine.executor.cancel(RUN)
        assert (await engine.first(Ended)).outcome == "cancelled"
    held = [seen for seen in engine.seen if isinstance(seen, FleetObserved)][-1].gpus[0].held_by
    assert held == "refuses runs: sbatch: error: invalid partition specified: closed"


async def test_slurm_is_asked_once_for_all_jobs(site: Site, slurm: Slurm) -> None:
    async with site.engine(**LAB) as engine:
        for run in (RUN, OTHER):
            await engine.executor.launch(order(UNTIL_GO, run))
        for run in (RUN, OTHER):
            await engine.first(Started, run)
        before = len(slurm.calls("squeue"))
        await until(lambda: len(slurm.calls("squeue")) >= before + 3)
        assert slurm.calls("squeue")[-1] == ["--me", "--noheader", "--states=all", "--format=%i|%T|%r"]
        for run in (RUN, OTHER):
            (site.boxes[0].run(run) / "go").touch()
            assert (await engine.first(Ended, run)).outcome == "finished"
