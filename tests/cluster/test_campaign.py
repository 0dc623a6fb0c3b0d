"""Whole campaigns on a real cluster, by the command line: all is judged, in its place, and nothing is left behind."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import pytest
from checkout import commit_all
from expedition import expedition

from core import events as ev
from core.ids import BASELINE
from core.state import State

PER_WAITING = 4  # GPUs for each Job that may wait
TRAINER = Path(__file__).parents[2] / "trainer"
TRAINING = """\
env = { AUTORESEARCH_DATA = "/corpus", AUTORESEARCH_DEVICE = "cpu", OMP_NUM_THREADS = "1" }
max_gpus = { H100 = 2, H200 = 1 }
baseline_runs = 2
final_runs = 1
replicates = false
"""


def prepare(workspace: Path, texts: Path, data: Path) -> None:
    command = [sys.executable, "prepare.py", "--data", str(texts)]
    subprocess.run(command, cwd=workspace, env={**os.environ, "AUTORESEARCH_DATA": str(data)}, check=True)


def gpu_counts(state: State) -> Counter[str]:
    return Counter(gpu.type for gpu in state.gpus)


async def test_forty_experiments_are_judged_and_nothing_is_left(kubeconfig: str, place: str, tmp_path: Path) -> None:
    async with expedition(kubeconfig, place, tmp_path) as trip:
        trip.start("--max-experiments", "40")
        state = await trip.settle(40)
        assert not trip.lost(), "nothing went wrong"
        gpus = gpu_counts(state)
        for kind, there in gpus.items():
            most = trip.witness.most(kind)
            assert 0 < most <= there + max(1, math.ceil(there / PER_WAITING)), f"too many Jobs for {kind}"
        validates = [run for run in state.runs.values() if run.tier == "validate"]
        assert validates, "something was promoted"
        screen, validate = (kind for kind, _ in gpus.most_common(2))
        assert {run.gpu_type for run in validates} == {validate}
        assert {run.gpu_type for run in state.runs.values()} <= {screen, validate}
        types = {gpu.id: gpu.type for gpu in state.gpus}
        for run in state.runs.values():
            node = trip.witness.nodes[f"autoresearch-{state.session}-{run.id}"]
            assert run.gpu is not None
            assert run.gpu.startswith(f"{node}/"), "it ran where the log says"
            assert types[run.gpu] == run.gpu_type
        assert any(each.status == "kept" for each in state.experiments.values() if each.id != BASELINE)


async def test_what_runs_is_stopped_and_nothing_is_left(kubeconfig: str, place: str, tmp_path: Path) -> None:
    async with expedition(kubeconfig, place, tmp_path) as trip:
        trip.start()
        await trip.until(lambda: trip.count(ev.RunEnded) > 4 and trip.count(ev.RunStarted) > 12)
        trip.command("stop", "--now")
        await trip.settle(None)
        assert trip.count(ev.RunEnded, outcome="cancelled") > 1


@pytest.mark.slow
@pytest.mark.usefixtures("shared_files")
async def test_the_trainer_itself_is_researched(kubeconfig: str, place: str, tmp_path: Path) -> None:
    data, texts = tmp_path / "data", tmp_path / "texts"
    texts.mkdir()
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:120]:
        (texts / f"{path.stem}.txt").write_text(path.read_text("utf-8", "replace")[:8000])
    more = f'[[kubernetes.volumes]]\nmount = "/corpus"\nhost_path = "{data}"'
    async with expedition(kubeconfig, place, tmp_path, train=(TRAINER / "train.py").read_text(), more=more) as trip:
        for name in ("prepare.py", "corpus.py"):
            shutil.copy(TRAINER / name, trip.workspace)
        await asyncio.to_thread(prepare, trip.workspace, texts, data)
        file = trip.workspace / "autoresearch.toml"
        file.write_text(f"{TRAINING}\n{file.read_text()}")
        commit_all(trip.workspace)
        trip.start("--max-experiments", "6", "--time-budget", "2s")
        state = await trip.settle(6)
        finished = [run for run in state.runs.values() if run.result and run.result.outcome == "finished"]
        assert len(finished) >= 6
        assert all(run.fingerprint for run in finished)
