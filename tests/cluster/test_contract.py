"""The executor's contract on a real cluster: what comes out of `watch`, and what is left behind."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from lab import FOREVER, RESULT, RUN, STEP, Lab, Proxy, Watched

from core.executor import Absent, Ended, FleetObserved, Found, Job, Lost, Progressed, Reported, Started, Synced, Waiting
from core.ids import RunId

OTHER = RunId("e2-1")


async def test_a_run_is_watched_from_start_to_result_and_leaves_nothing(lab: Lab) -> None:
    source = f"print('fingerprint: abc\\ncorpus: c4')\n{STEP}import time; time.sleep(2)\n{RESULT}"
    async with lab.engine() as engine:
        end = await engine.run(source)
        kinds = [type(seen) for seen in engine.seen if not isinstance(seen, FleetObserved)]
        started, reported = await engine.first(Started), await engine.first(Reported)
        progress = (await engine.first(Progressed)).progress
    assert kinds == [Synced, Started, Reported, Progressed, Ended]
    assert started.gpu in {gpu.id for seen in engine.seen if isinstance(seen, FleetObserved) for gpu in seen.gpus}
    assert (reported.fingerprint, progress.step, progress.loss) == ("abc", 1, 2.5)
    assert (end.outcome, end.exit_code, end.reason, end.tail) == ("finished", 0, "", "")
    assert end.summary
    assert (end.summary.val_bpb, end.fingerprint, end.corpus) == (1.25, "abc", "c4")
    assert started.at <= end.at
    assert "val_bpb: 1.25" in (lab.folder / "runs" / RUN / "run.log").read_text()
    assert await lab.is_clean()


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


async def test_each_end_is_told_in_a_sentence(lab: Lab) -> None:
    async with lab.engine() as engine:
        runs = {RunId(f"e{number}-1"): source for number, source in enumerate(ENDS)}
        await asyncio.gather(*(engine.launch(source, run) for run, source in runs.items()))
        for run, source in runs.items():
            end = await engine.first(Ended, run)
            assert (end.outcome, end.exit_code, end.reason) == ENDS[source], source
            assert (end.summary is not None) == (end.outcome == "finished")
            assert "\x1b" not in end.tail


async def test_a_run_that_takes_too_long_is_killed(lab: Lab) -> None:
    async with lab.engine(timeout_s=2) as engine:
        end = await engine.run(FOREVER)
    assert (end.outcome, end.reason) == ("crashed", "ran longer than 2 s and was killed")


async def test_a_run_is_launched_once_however_often_it_is_ordered(lab: Lab) -> None:
    async with lab.engine() as engine:
        await engine.launch(RESULT)
        await engine.launch(RESULT)
        await engine.first(Ended)
        await engine.launch(RESULT)
        await asyncio.sleep(1)
        assert len(engine.of(Started)) == len(engine.of(Ended)) == 1
    async with lab.engine(RUN) as later:
        assert len(later.of(Ended)) == 1
        await later.launch(RESULT)
        await asyncio.sleep(1)
        assert not later.of(Started)
    assert await lab.is_clean()


async def test_a_cancelled_run_is_cancelled_wherever_it_stands(lab: Lab) -> None:
    async with lab.engine() as engine:
        await engine.launch(FOREVER)
        await engine.launch(FOREVER, OTHER)
        await engine.executor.cancel(OTHER)  # on its way
        await engine.first(Started)
        await engine.executor.cancel(RUN)
        assert (await engine.first(Ended)).outcome == "cancelled"
        assert (await engine.first(Ended, OTHER)).outcome == "cancelled"
        await engine.executor.cancel(RUN)
        await engine.executor.cancel(RunId("e99-1"))
    assert await lab.is_clean()


async def test_an_engine_that_comes_back_finds_its_runs(lab: Lab) -> None:
    async with lab.engine() as engine:
        await engine.launch("import time; time.sleep(4)\n" + RESULT)
        await engine.launch("import time; time.sleep(0.5)\n" + RESULT, OTHER)
        await engine.first(Started)
        await engine.first(Started, OTHER)
    await asyncio.sleep(2)
    began = time.time()
    async with lab.engine(RUN, OTHER, RunId("e3-1")) as later:
        assert [type(seen) for seen in later.seen if getattr(seen, "run", "") == "e3-1"] == [Absent]
        assert (await later.first(Started)).at < began
        assert (await later.first(Ended, OTHER)).outcome == "finished"
        await later.launch(RESULT)
        assert (await later.first(Ended)).outcome == "finished"
        assert len(later.of(Started)) == len(later.of(Ended)) == 1
    assert await lab.is_clean()


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
    assert await lab.is_clean()


async def test_a_type_that_the_cluster_does_not_have_is_told(lab: Lab) -> None:
    async with lab.engine() as engine:
        await engine.executor.launch(Job(run=RUN, source=RESULT, seed=1, gpu_type="Abacus"))
        assert "there is no Abacus in the cluster now" in (await engine.first(Waiting)).reason
        await engine.executor.cancel(RUN)
        assert (await engine.first(Ended)).outcome == "cancelled"


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
    assert await lab.is_clean()


async def test_a_pod_of_somebody_else_holds_its_gpu_until_it_goes(lab: Lab) -> None:
    def holders(engine: Watched) -> set[str]:
        seen = [each for each in engine.seen if isinstance(each, FleetObserved)]
        return {gpu.held_by for gpu in seen[-1].gpus}

    async with lab.engine() as engine:
        await lab.occupy("intruder")
        await engine.until(lambda: lab.namespace in holders(engine))
        await lab.delete("pods", "intruder")
        await engine.until(lambda: lab.namespace not in holders(engine))
