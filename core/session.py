"""Puts an engine together: workspace, log, executor and researcher from the settings, and runs it.

The names that `executor` and `researcher` of the settings may take stand here. Prints nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from core import log as logs
from core import results
from core.clock import Clock, SystemClock
from core.engine import Engine, Invocation, Stopped
from core.errors import LogError, SettingsError
from core.events import Fact, Known, LimitsSet, SessionStarted
from core.executor import Executor
from core.fold import fold
from core.ids import BASELINE, SessionId
from core.knobs import find
from core.log import Log
from core.researcher import Researcher
from core.settings import Settings
from core.state import State
from core.verdict import Rules
from core.views import results_rows
from core.workspace import Workspace

EXECUTORS = ("local",)
RESEARCHERS = ("designed",)
DEFAULT_BUDGET_S = 300.0  # where neither settings nor prepare.py say
WARM_MODULES = ("torch", "numpy")


async def research(
    path: Path, settings: Settings, version: str, *, started: Callable[[Path, int], None] = lambda *_: None
) -> Stopped:
    """Runs this workspace's session until it ends; `started` gets its file and how many facts it has so far.

    Raises AutoresearchError; its exit code says which kind.
    """
    if settings.executor not in EXECUTORS:
        raise SettingsError(f"There is no executor {settings.executor!r}; choose one of: {', '.join(EXECUTORS)}.")
    if settings.researcher not in RESEARCHERS:
        raise SettingsError(f"There is no researcher {settings.researcher!r}; choose one of: {', '.join(RESEARCHERS)}.")
    workspace, clock = Workspace.open(path), SystemClock()
    file = workspace.ensure_state() / logs.FILE
    logs.create(file)
    with logs.hold(file):
        log = Log(file)
        facts = await log.open()
        try:
            opening = _opening(workspace, facts, settings, version, clock)
            state = fold(State(), facts if opening is None else (opening,))
            workspace.check_prepare(state.prepare_digest)
            executor = local_executor(workspace, state, settings, clock)
            engine = Engine(
                workspace=workspace,
                log=log,
                executor=executor,
                researcher=_researcher(settings),
                invocation=_invocation(settings, state, version),
                clock=clock,
            )
            started(file, len(facts))
            return await _until_stopped(engine, executor, facts, opening, workspace)
        finally:
            await log.disconnect()


def record(workspace: Workspace, facts: Iterable[Known], settings: Settings, version: str) -> None:
    """Appends facts to the session while no engine has it. Raises EngineRunning, LogError, WorkspaceError."""
    file = workspace.ensure_state() / logs.FILE
    logs.create(file)
    with logs.hold(file):
        opening = _opening(workspace, logs.read_all(file), settings, version, SystemClock())
        logs.append_all(file, (opening, *facts) if opening is not None else facts)


async def _until_stopped(
    engine: Engine, executor: Executor, facts: list[Fact], opening: SessionStarted | None, workspace: Workspace
) -> Stopped:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, engine.interrupt, number)
    try:
        async with executor:
            return await engine.run(facts, opening)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        write_results(workspace, engine.state)


# --- the parts --------------------------------------------------------------------------------------------------------


def _opening(
    workspace: Workspace, facts: list[Fact], settings: Settings, version: str, clock: Clock
) -> SessionStarted | None:
    """The first fact of a new session; None if there is one to go on with."""
    if facts:
        if not any(isinstance(fact, SessionStarted) for fact in facts):
            raise LogError(f"{workspace.state / logs.FILE} has no beginning; move it away and start again.")
        return None
    now = clock.now()
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    return SessionStarted(
        at=now,
        session=SessionId(f"{day}-{secrets.token_hex(3)}"),
        branch=workspace.start_branch(day),
        commit=workspace.head(),
        source=workspace.train_source(),
        prepare_digest=workspace.prepare_digest(),
        seed=settings.seed,
        version=version,
    )


def _invocation(settings: Settings, state: State, version: str) -> Invocation:
    """Limits that are given replace the session's; those that are not stay."""
    before = state.limits
    limits = LimitsSet(
        at=before.at,
        max_hours=settings.max_hours or before.max_hours,
        max_experiments=settings.max_experiments or before.max_experiments,
        target_bpb=settings.target_bpb or before.target_bpb,
    )
    return Invocation(
        version=version,
        executor=settings.executor,
        rules=Rules(
            baseline_runs=settings.baseline_runs, keep_sigmas=settings.keep_sigmas, max_retests=settings.max_retests
        ),
        limits=limits,
        for_s=settings.for_,
        on_exit=settings.on_exit,
    )


def _researcher(settings: Settings) -> Researcher:
    from core.researchers.designed import DesignedResearcher

    return DesignedResearcher(only=settings.factors, without=settings.ignore_factors)


def local_executor(workspace: Workspace, state: State, settings: Settings, clock: Clock) -> Executor:
    """Slots of this machine. Raises NothingRuns."""
    from core.executors.gpus import local_slots
    from core.executors.local import LocalExecutor

    slots = local_slots(settings.slots)
    on_cpu = all(slot.gpu.type == "cpu" for slot in slots)
    budget = settings.time_budget or trainer_budget(workspace, on_cpu=on_cpu)
    return LocalExecutor(
        base=workspace.base_files(workspace.state / "base", state.experiments[BASELINE].commit),
        runs=workspace.state / "runs",
        slots=slots,
        python=settings.interpreter(workspace.root),
        prepare_digest=state.prepare_digest,
        time_budget=settings.time_budget,
        timeout_s=settings.timeout_s(budget),
        output_mb=settings.output_mb,
        memory_mb=int(settings.memory_gb * 1024) if settings.memory_gb else 0,
        warm=WARM_MODULES if settings.warm and on_cpu and sys.platform == "linux" else (),
        env=settings.env,
        links=tuple(workspace.root / link for link in settings.links),
        clock=clock,
    )


def trainer_budget(workspace: Workspace, *, on_cpu: bool) -> float:
    """Seconds of training per run as prepare.py states them; 300 where it does not."""
    constants: Mapping[str, object] = {
        knob.name: knob.value for knob in find((workspace.root / "prepare.py").read_text(errors="replace"))
    }
    for name in ("CPU_TIME_BUDGET" if on_cpu else "GPU_TIME_BUDGET", "TIME_BUDGET"):
        value = constants.get(name)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return DEFAULT_BUDGET_S


# --- results.tsv ------------------------------------------------------------------------------------------------------


def write_results(workspace: Workspace, state: State) -> Path | None:
    """results.tsv in the upstream format, beside train.py. One that is not ours is left alone, and ours kept apart."""
    if not state.session:
        return None
    mark = workspace.state / "results.sha256"
    target = workspace.root / "results.tsv"
    if target.exists() and _digest(target.read_bytes()) != (mark.read_text() if mark.exists() else ""):
        target = workspace.state / "results.tsv"
    content = results.dump(results_rows(state)).encode()
    with suppress(OSError):  # a full disk must not hide why the engine ended
        fresh = target.with_name(".results.tsv.new")
        fresh.write_bytes(content)
        fresh.replace(target)
        if target.parent == workspace.root:
            mark.write_text(_digest(content))
    return target


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
