"""What each Job says of itself, from the engine through the executor to an API server that plays a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import expedition
import played_cluster
import pytest
import stub
from played_cluster import Played

from core import log as logs
from core import session
from core.fold import fold
from core.settings import load
from core.state import State
from k8s.parts import kubernetes_executor


class Noting(Played):
    """Keeps the Jobs and pods that were made."""

    def __init__(self, pools: str) -> None:
        super().__init__(pools)
        self.jobs_made: dict[str, dict[str, Any]] = {}

    async def run(self, job: dict[str, Any]) -> None:
        self.jobs_made[job["metadata"]["labels"]["autoresearch-tui/run"]] = job
        await super().run(job)


async def test_every_job_names_its_session_experiment_wave_and_tier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(played_cluster, "RUN_S", (0.1, 0.2))
    played = Noting("H100:2x2,H200:1x1")
    runner, port = await played_cluster.serve(played)
    (tmp_path / "kubeconfig").write_text(played_cluster.kubeconfig(port))
    folder = stub.make_stub(tmp_path / "work")
    expedition.prepared(folder, str(tmp_path / "kubeconfig"), "default")
    loaded = load(folder, {}, {"executor": "kubernetes", "researcher": "random", "max_experiments": 3})
    async with asyncio.timeout(60):
        await session.research(folder, loaded, "0", executors={"kubernetes": kubernetes_executor})
    await played.end()
    await runner.cleanup()
    state = fold(State(), logs.read_all(stub.file_of(folder)))
    assert played.jobs_made.keys() == state.runs.keys()
    assert len({run.experiment for run in state.runs.values()}) == 4
    for run in state.runs.values():
        wave = state.experiments[run.experiment].wave
        said = {"session": state.session, "experiment": run.experiment, "tier": run.tier, "gpu-type": run.gpu_type}
        expected = said | ({"wave": wave} if wave else {})
        job = played.jobs_made[run.id]
        for meta in (job["metadata"], job["spec"]["template"]["metadata"]):
            assert meta["annotations"] == {f"autoresearch-tui/{key}": value for key, value in expected.items()}
