"""The executor's contract on a real cluster: what comes out of `watch`, and what is left behind."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from contract import Bench, Contract
from lab import NOT_SHOWN, Lab, Proxy
from watched import FOREVER, RESULT, Watched, is_clean

from core.executor import Ended, FleetObserved, Found, Lost, Started
from k8s.executor import KubernetesExecutor


class TestCluster(Contract):
    not_shown = NOT_SHOWN

    @pytest.fixture
    def bench(self, lab: Lab) -> Bench:
        return lab


@pytest.mark.parametrize(("kind", "reason"), [("jobs", "somebody else deleted its Job"), ("pods", "somebody else")])
async def test_a_run_that_somebody_deletes_is_lost(lab: Lab, kind: str, reason: str) -> None:
    async with lab.engine() as engine:
        await engine.launch(FOREVER)
        await engine.first(Started)
        await lab.delete(kind, (await lab.names(kind))[0])
        end = await engine.first(Ended)
        assert end.outcome == "lost"
        assert end.reason.startswith(reason)
        assert len(engine.of(Started)) == 1
    assert await is_clean(lab)


async def test_a_connection_that_freezes_is_told_and_costs_no_run(lab: Lab, tmp_path: Path) -> None:
    config = yaml.safe_load(Path(lab.kubeconfig).read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    proxy = Proxy(server.hostname or "", server.port or 443)
    async with proxy.serving() as port:
        config["clusters"][0]["cluster"]["server"] = f"https://{server.hostname}:{port}"
        (tmp_path / "through").write_text(json.dumps(config))
        async with lab.engine(kubeconfig=str(tmp_path / "through")) as engine:
            await engine.launch("import time; time.sleep(3)\n" + RESULT)
            await engine.first(Started)
            proxy.stall()
            assert "does not answer" in (await engine.first(Lost)).reason
            proxy.go_on()
            await engine.first(Found)
            assert (await engine.first(Ended)).outcome == "finished"
            assert len(engine.of(Started)) == len(engine.of(Ended)) == 1
    assert await is_clean(lab)


async def test_a_pod_of_somebody_else_holds_its_gpu_until_it_goes(lab: Lab) -> None:
    def holders(engine: Watched[KubernetesExecutor]) -> set[str]:
        seen = [each for each in engine.seen if isinstance(each, FleetObserved)]
        return {gpu.held_by for gpu in seen[-1].gpus}

    async with lab.engine() as engine:
        await lab.occupy("intruder")
        await engine.until(lambda: lab.namespace in holders(engine))
        await lab.delete("pods", "intruder")
        await engine.until(lambda: lab.namespace not in holders(engine))
