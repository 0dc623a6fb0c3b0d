"""What every executor promises, as tests: `class TestMine(Contract)` with a fixture `bench` runs them all.

A case that an executor cannot show is named by it in `not_shown`, with the reason. Knows no executor.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest
from watched import FOREVER, OTHER, RESULT, RUN, Watched, is_clean

from core.errors import NothingRuns
from core.executor import Absent, Ended, FleetObserved, Job, Progressed, Reported, Started, Synced, Waiting
from core.ids import RunId

NAMES = [RunId(f"e{number}-1") for number in range(3, 9)]

TRAINING = f"""\
import time
print('fingerprint: abc\\ncorpus: simulated', flush=True)
for step in range(1, 9):
    print(f'step {{step:05}} ({{step * 10}}.0%) | loss: {{3 - step / 10}} | tok/sec: 1,000', flush=True)
    time.sleep(0.2)
{RESULT}"""
CRASH = "print('building')\nraise ValueError('bad shape')\n"
SHORT = "import time\ntime.sleep(0.5)\n" + RESULT
LASTING = SHORT.replace("0.5", "3")
ONCE = RESULT + "import random\nprint('dice:', random.random())\n"  # no two executions say the same
DEAF = "import signal\nsignal.signal(15, signal.SIG_IGN)\n" + FOREVER

VOID = "prepare.py was changed or removed during the run, so its result is void"
ENDS = {
    "raise ValueError('bad \\x1b[31m shape')": ("crashed", 1, "ValueError: bad  shape"),
    "import sys; sys.exit(3)": ("crashed", 3, "exited with code 3 without a result block"),
    "print('hello')": ("crashed", 0, "printed no result: train.py must end with the `---` block"),
    "print('---\\nval_bpb: nan')": ("crashed", 0, "val_bpb is nan"),
    "print('FAIL'); import sys; sys.exit(1)": ("crashed", 1, "loss not finite or exploding"),
    "import os; os.kill(os.getpid(), 9)": ("crashed", -9, "killed by signal 9 (out of memory?)"),
    "import os; os.kill(os.getpid(), 11)": ("crashed", -11, "killed by signal 11 (SIGSEGV)"),
    RESULT + "raise RuntimeError": ("finished", 1, "exited with code 1 after its result"),
    "open('prepare.py', 'a').write('#')\n" + RESULT: ("crashed", 0, VOID),
    "import os\nos.remove('prepare.py'); os.mkfifo('prepare.py')\n" + RESULT: ("crashed", 0, VOID),
    "open('prepare.py', 'a').close()\n" + RESULT: ("finished", 0, ""),
}

SECRETS = ("ANTHROPIC_API_KEY", "HF_TOKEN", "CUDA_SECRET", "DATABASE_URL")
TELLING = """\
import json, os, pathlib
said = pathlib.Path('/proc/self/environ')
print(json.dumps(dict(os.environ)))
print(said.read_bytes() if said.exists() else '')
"""
OVERWRITING = f"""\
from lib.model import WIDTH
assert WIDTH == 4
open('lib/model.py', 'w').write('WIDTH = 5')
{RESULT}"""


class Bench(Protocol):
    """Where engines with one kind of executor come and go; one session."""

    runs: Path  # a folder per run, with its log

    def put(self, path: str, body: bytes) -> None:
        """Into the workspace, before an engine."""
        ...

    def engine(
        self,
        *open_runs: RunId,
        places: int = 1,
        timeout_s: float = ...,
        output_mb: float = ...,
        time_budget: float | None = ...,
        variables: Mapping[str, str] = ...,
    ) -> AbstractAsyncContextManager[Watched[Any]]:
        """`places`: how many runs there is room for, at least. `variables`: of all runs, from the settings."""
        ...

    async def meanwhile(self, run: RunId) -> None:
        """Until it has finished, while no engine is there."""
        ...

    async def left(self) -> list[str]:
        """What there is now of runs that have ended, besides what is kept of them."""
        ...


class Contract:
    not_shown: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        assert all(hasattr(Contract, case) for case in cls.not_shown)

    @pytest.fixture(autouse=True)
    def _can_be_shown(self, request: pytest.FixtureRequest) -> None:
        if reason := self.not_shown.get(request.function.__name__):
            pytest.skip(reason)

    # --- how a run is watched

    async def test_the_fleet_is_told_before_all_else(self, bench: Bench) -> None:
        async with bench.engine(places=2) as engine:
            assert [type(seen) for seen in engine.seen[:2]] == [FleetObserved, Synced]
            gpus = engine.of(FleetObserved)[0].gpus
        assert len({gpu.id for gpu in gpus}) == len(gpus) >= 2
        assert all(gpu.type for gpu in gpus)

    async def test_a_run_is_watched_from_start_to_result(self, bench: Bench) -> None:
        async with bench.engine() as engine:
            end = await engine.run(TRAINING)
        kinds = [kind for kind, _ in groupby(map(type, engine.seen)) if kind is not FleetObserved]
        assert kinds == [Synced, Started, Reported, Progressed, Ended]
        (started,), (reported,), told = engine.of(Started), engine.of(Reported), engine.of(Progressed)
        assert started.gpu in {gpu.id for gpu in engine.of(FleetObserved)[-1].gpus}
        assert started.at < end.at
        assert (reported.fingerprint, reported.exact) == ("abc", True)
        losses = [seen.progress.loss or 0 for seen in told]
        assert all(0 < (seen.progress.fraction or 0) <= 1 for seen in told)
        assert all(earlier > later for earlier, later in pairwise(losses))
        assert all(later.at - earlier.at > 0.9 for earlier, later in pairwise(told)), "one a second"
        assert (end.outcome, end.reason, end.tail) == ("finished", "", "")
        assert end.summary
        assert (end.summary.val_bpb, end.fingerprint, end.corpus) == (1.25, "abc", "simulated")

    async def test_a_crash_has_its_reason_and_the_end_of_its_log(self, bench: Bench) -> None:
        async with bench.engine() as engine:
            end = await engine.run(CRASH)
        assert (end.outcome, end.exit_code, end.reason) == ("crashed", 1, "ValueError: bad shape")
        assert end.summary is None
        assert end.tail.splitlines()[0] == "building"
        assert end.tail.splitlines()[-1] == "ValueError: bad shape"

    async def test_each_end_is_told_in_a_sentence(self, bench: Bench) -> None:
        runs = {RunId(f"e{number}-1"): source for number, source in enumerate(ENDS)}
        async with bench.engine(places=4) as engine:
            for run, source in runs.items():
                await engine.launch(source, run)
            for run, source in runs.items():
                end = await engine.first(Ended, run)
                assert (end.outcome, end.exit_code, end.reason) == ENDS[source], source
                assert (end.summary is not None) == (end.outcome == "finished")
                assert "\x1b" not in end.tail
                assert len(engine.of(Ended, run)) == 1

    async def test_what_exceeds_its_limits_is_killed(self, bench: Bench) -> None:
        async with bench.engine(places=2, timeout_s=1, output_mb=0.5) as engine:
            await engine.launch(DEAF)
            await engine.launch("while True: print('x' * 9999)", OTHER)
            ends = [await engine.first(Ended), await engine.first(Ended, OTHER)]
        assert [end.outcome for end in ends] == ["crashed", "crashed"]
        assert ends[0].reason == "ran longer than 1 s and was killed"
        assert ends[1].reason == "wrote more than 0.5 MB of output and was killed"

    async def test_a_run_that_hangs_after_its_result_has_finished(self, bench: Bench) -> None:
        async with bench.engine(timeout_s=1) as engine:
            end = await engine.run(RESULT + FOREVER)
        assert (end.outcome, end.reason) == ("finished", "did not end after its result")
        assert end.summary

    # --- what an engine may say, and how often

    async def test_a_cancelled_run_is_cancelled_wherever_it_stands(self, bench: Bench) -> None:
        async with bench.engine() as engine:
            await engine.launch(FOREVER)
            await engine.launch(FOREVER, OTHER)
            await engine.executor.cancel(OTHER)  # on its way, or it waits
            assert (await engine.first(Ended, OTHER)).outcome == "cancelled"
            await engine.first(Started)
            await engine.executor.cancel(RUN)
            await engine.executor.cancel(RUN)
            end = await engine.first(Ended)
            await engine.executor.cancel(RUN)
            await engine.executor.cancel(RunId("e99-1"))
            assert (await engine.run(RESULT, NAMES[0])).outcome == "finished", "there is room again"
        assert (end.outcome, end.reason, end.summary) == ("cancelled", "", None)
        assert [len(engine.of(Ended, run)) for run in (RUN, OTHER)] == [1, 1]
        assert not engine.of(Absent)

    async def test_runs_that_do_not_fit_wait_in_the_order_of_their_launch(self, bench: Bench) -> None:
        async with bench.engine(places=2) as engine:
            for run in (RUN, OTHER, *NAMES):
                await engine.launch(FOREVER if run == NAMES[-1] else SHORT, run)
            await engine.executor.cancel(NAMES[1])
            for run in (RUN, OTHER, NAMES[0], *NAMES[2:-1]):
                assert (await engine.first(Ended, run)).outcome == "finished"
            await engine.first(Started, NAMES[-1])
            await engine.executor.cancel(NAMES[-1])
            assert (await engine.first(Ended, NAMES[-1])).outcome == "cancelled"
        begun = [seen.run for seen in engine.seen if isinstance(seen, Started)]
        assert begun == [RUN, OTHER, NAMES[0], *NAMES[2:]], "one was cancelled while it waited"

    async def test_a_run_is_launched_once_however_often_it_is_ordered(self, bench: Bench) -> None:
        async with bench.engine(places=2) as engine:
            await asyncio.gather(*(engine.launch(ONCE) for _ in range(3)))
            end = await engine.first(Ended)
            await engine.launch(ONCE)
            assert (await engine.run(SHORT, OTHER)).outcome == "finished"
            assert (len(engine.of(Started)), len(engine.of(Ended))) == (1, 1)
        async with bench.engine(RUN, places=2) as later:
            await later.launch(ONCE)
            assert (await later.run(SHORT, NAMES[0])).outcome == "finished"
            assert not later.of(Started)
            assert [(again.outcome, again.summary) for again in later.of(Ended)] == [("finished", end.summary)]

    async def test_a_type_that_is_not_there_is_never_run(self, bench: Bench) -> None:
        """Refused, or waits where a node may bring it one day."""
        async with bench.engine() as engine:
            try:
                await engine.executor.launch(Job(run=RUN, source=RESULT, seed=1, gpu_type="Abacus"))
                told = (await engine.first(Waiting)).reason
                await engine.executor.cancel(RUN)
                assert (await engine.first(Ended)).outcome == "cancelled"
            except NothingRuns as error:
                told = str(error)
            assert not engine.of(Started)
        assert "there is no abacus" in told.lower()

    # --- engines that come and go

    async def test_another_engine_finds_what_the_last_one_left(self, bench: Bench) -> None:
        going, done, unknown, lasting, after = RUN, OTHER, *NAMES[:3]
        async with bench.engine(places=3) as engine:
            for run, source in {going: FOREVER, lasting: LASTING, done: SHORT}.items():
                await engine.launch(source, run)
                await engine.first(Started, run)
            started = await engine.first(Started, going)
        await bench.meanwhile(done)
        known = (going, done, unknown, lasting)
        async with bench.engine(*known, places=3) as later:
            first, *recalled, last = later.seen[:6]
            assert (type(first), type(last)) == (FleetObserved, Synced)
            assert [getattr(seen, "run", "") for seen in recalled] == [*known]
            assert all(isinstance(seen, Started | Ended | Absent) for seen in recalled)
            assert [type(recalled[0]), type(recalled[2])] == [Started, Absent]
            again = await later.first(Started, going)
            assert (again.gpu, abs(again.at - started.at) < 2) == (started.gpu, True)
            assert (await later.first(Ended, done)).outcome == "finished"
            assert (await later.first(Ended, lasting)).outcome == "finished"
            await later.launch(FOREVER, going)
            await later.launch(SHORT, after)
            assert (await later.first(Started, after)).gpu != started.gpu, "that is taken"
            assert (await later.first(Ended, after)).outcome == "finished"
            assert not later.of(Ended, going)
            await later.executor.cancel(going)
            assert (await later.first(Ended, going)).outcome == "cancelled"
            assert [len(later.of(Started, going)), len(later.of(Ended, done))] == [1, 1]
        async with bench.engine(going, after) as last_one:
            ends = [(seen.run, seen.outcome) for seen in last_one.seen if isinstance(seen, Ended)]
        assert ends == [(going, "cancelled"), (after, "finished")]

    async def test_of_what_has_ended_nothing_is_left_but_what_is_kept(self, bench: Bench) -> None:
        before = asyncio.all_tasks()
        async with bench.engine(places=2) as engine:
            await engine.launch(FOREVER)
            await engine.run(SHORT, OTHER)
            await engine.first(Started)
            await engine.executor.cancel(RUN)
            await engine.first(Ended)
        assert await is_clean(bench), await bench.left()
        assert not {task.get_name() for task in asyncio.all_tasks() - before}

    # --- what a run gets

    async def test_a_run_gets_its_seed_and_budget_and_no_secret(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in SECRETS:
            monkeypatch.setenv(name, "sesame")
        async with bench.engine(time_budget=2.5, variables={"MINE": "1"}) as engine:
            await engine.run(TELLING)
        environment, raw = (bench.runs / RUN / "run.log").read_text().splitlines()
        assert "sesame" not in environment + raw
        given = json.loads(environment)
        expected = {
            "AUTORESEARCH_SEED": "7",
            "AUTORESEARCH_TIME_BUDGET": "2.5",
            "MINE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        assert expected.items() <= given.items()
        assert not [name for name in given if name.startswith(("SSH_", "KUBERNETES_"))]

    async def test_each_run_has_its_own_copy_of_the_workspace(self, bench: Bench) -> None:
        bench.put("lib/model.py", b"WIDTH = 4")
        async with bench.engine() as engine:
            for run in (RUN, OTHER):
                end = await engine.run(OVERWRITING, run)
                assert end.outcome == "finished", end.tail

    async def test_another_prepare_is_not_run(self, bench: Bench) -> None:
        bench.put("prepare.py", b"# easier\n")
        async with bench.engine() as engine:
            end = await engine.run("print('it was run')\n" + RESULT)
        assert end.outcome == "crashed"
        assert end.reason == "prepare.py is not the one that this session started with: nothing was run"
        log = bench.runs / RUN / "run.log"
        with suppress(FileNotFoundError):
            assert "it was run" not in log.read_text()
