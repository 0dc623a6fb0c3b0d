"""Puts an engine together: workspace, log, executor and researcher from the settings, and runs it.

The names that `executor` and `researcher` of the settings may take stand here. Prints nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from core import log as logs
from core import results, simulated, time_budget
from core.claude.keys import hidden
from core.clock import Clock, SystemClock
from core.engine import Engine, Invocation, Stopped
from core.errors import LogError, SettingsError
from core.events import MaxGpusSet, PricesSet, ReadySet, ResultImported, SessionStarted, TiersSet
from core.executor import Executor, Placed, Queueing
from core.fold import fold
from core.ids import BASELINE, SessionId
from core.log import Log
from core.obeying import obeying
from core.researcher import Closable, Researcher
from core.researchers import chosen
from core.settings import Loaded, Settings
from core.state import State
from core.time_budget import Budget, trainer_budget
from core.verdict import Rules
from core.views import results_rows
from core.workspace import Workspace

EXECUTORS = ("local", simulated.EXECUTOR)
LIMITS = ("max_hours", "max_experiments", "target_bpb", "max_usd")
Maker = Callable[[Workspace, State, Settings, Clock, SessionId], Executor]
WARM_MODULES = ("torch", "numpy")


async def research(
    path: Path,
    loaded: Loaded,
    version: str,
    *,
    executors: Mapping[str, Maker] = {},
    started: Callable[[Path, State], None] = lambda *_: None,
) -> Stopped:
    """Runs this workspace's session until it ends; `started` gets its file and its state so far.

    `executors`: by name, those that the core does not know. Raises AutoresearchError; its exit code says which kind.
    """
    settings = loaded.settings
    known = (*EXECUTORS, *executors)
    if settings.executor not in known:
        raise SettingsError(f"There is no executor {settings.executor!r}; choose one of: {', '.join(known)}.")
    if settings.researcher not in chosen.NAMES:
        raise SettingsError(
            f"There is no researcher {settings.researcher!r}; choose one of: {', '.join(chosen.NAMES)}."
        )
    workspace = Workspace.open(path)
    file = workspace.ensure_state() / logs.FILE
    logs.create(file)
    hide_memory()
    with logs.hold(file), hidden(os.environ) as keys:
        log = Log(file, is_durable=not simulated.is_simulated(settings))
        state = fold(State(), await log.open())
        try:
            settings = simulated.going_on(state, loaded, file)
            workspace.check_prepare(state.prepare_digest or workspace.prepare_digest())
            settings, budget = time_budget.going_on(state, settings, loaded, workspace)
            clock = simulated.clock_for(settings, state)
            session = state.session or new_session(clock)
            make = executors.get(settings.executor)
            parts = (workspace, state, settings, clock)
            researcher = chosen.researcher(workspace, settings, clock, keys)
            async with make(*parts, session) if make else _executor(*parts) as executor, closing(researcher):
                opening = _opening(workspace, state, settings, version, clock, session)
                engine = Engine(
                    workspace=workspace,
                    log=log,
                    executor=executor,
                    researcher=researcher,
                    invocation=_invocation(loaded, state, version, executor, budget),
                    clock=clock,
                )
                started(file, state)
                return await _until_stopped(engine, state, opening, workspace)
        finally:
            await log.disconnect()


async def _until_stopped(engine: Engine, state: State, opening: SessionStarted | None, workspace: Workspace) -> Stopped:
    with obeying(asyncio.get_running_loop(), engine.interrupt):
        try:
            return await engine.run(state, opening)
        finally:
            write_results(workspace, engine.state)


@asynccontextmanager
async def closing(researcher: Researcher) -> AsyncIterator[None]:
    """Lets go in the end of what it holds outside."""
    try:
        yield
    finally:
        if isinstance(researcher, Closable):
            await researcher.close()


def hide_memory() -> None:
    """Keeps runs of the same user from reading the engine's environment and memory (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def record(workspace: Workspace, facts: Iterable[ResultImported], settings: Settings, version: str) -> int:
    """Appends rows to the session while no engine has it, unless they are there already; returns how many were new.

    Raises EngineRunning, LogError, WorkspaceError.
    """
    file = workspace.ensure_state() / logs.FILE
    logs.create(file)
    with logs.hold(file):
        state = fold(State(), logs.read_all(file))
        opening = _opening(workspace, state, settings, version, SystemClock())
        known = {msgspec.structs.replace(row, at=0.0) for row in state.imported.values()}
        new = [fact for fact in facts if msgspec.structs.replace(fact, at=0.0) not in known]
        logs.append_all(file, [opening, *new] if opening is not None else new)
        return len(new)


# --- the parts --------------------------------------------------------------------------------------------------------


def new_session(clock: Clock) -> SessionId:
    return SessionId(f"{_day(clock.now())}-{secrets.token_hex(3)}")


def _day(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def _opening(
    workspace: Workspace, state: State, settings: Settings, version: str, clock: Clock, session: SessionId | None = None
) -> SessionStarted | None:
    """The first fact of a new session, called `session`; None if there is one to go on with."""
    if state.session:
        return None
    if state.seq:
        raise LogError(f"{workspace.state / logs.FILE} has no beginning; move it away and start again.")
    now = clock.now()
    imagined = simulated.is_simulated(settings)
    return SessionStarted(
        at=now,
        session=session or new_session(clock),
        branch=workspace.start_branch(_day(now), prefix="simulated" if imagined else "autoresearch"),
        commit=workspace.head(),
        source=workspace.train_source(),
        prepare_digest=workspace.prepare_digest(),
        seed=settings.seed,
        version=version,
        simulated=imagined,
        surface=simulated.surface_of(settings) if imagined else "",
    )


def _invocation(loaded: Loaded, state: State, version: str, executor: Executor, budget: Budget) -> Invocation:
    """Limits that are given, "none" included, replace the session's; those that are not stay. So do prices."""
    settings = loaded.settings
    given = {name: getattr(settings, name) for name in LIMITS if loaded.origins[name] != "default"}
    limits = msgspec.structs.replace(state.limits, **given)
    prices = (
        PricesSet(at=0.0, gpu_usd_hour=settings.gpu_usd_hour) if loaded.origins["gpu_usd_hour"] != "default" else None
    )
    has_prices = prices.gpu_usd_hour if prices else state.prices
    if limits.max_usd is not None and not has_prices and settings.researcher != "claude":  # a model has a price
        raise SettingsError(
            f"A budget of ${limits.max_usd:g} means nothing without prices; set gpu_usd_hour, "
            'such as "H100=2.5", or max_usd to "none".'
        )
    return Invocation(
        version=version,
        executor=settings.executor,
        place=executor.place if isinstance(executor, Placed) else "",
        rules=Rules(**{name: getattr(settings, name) for name in Rules.__struct_fields__ if hasattr(settings, name)}),
        limits=limits,
        tiers=TiersSet(at=0.0, screen=settings.screen, validate=settings.validate),
        prices=prices,
        max_gpus=_max_gpus(loaded, state),
        ready=executor.ready if isinstance(executor, Queueing) else ReadySet(at=0.0),
        for_s=settings.for_,
        on_exit=settings.on_exit,
        budget_s=budget.seconds,
        own_budget=budget.is_own,
    )


def _max_gpus(loaded: Loaded, state: State) -> MaxGpusSet | None:
    """None: they stay. What an operator changed outlives engines, until a flag or a new setting says something else."""
    origin, limits = loaded.origins["max_gpus"], loaded.settings.max_gpus or {}
    is_old = not origin.startswith("flag") and limits == state.max_gpus_given
    return None if origin == "default" or is_old else MaxGpusSet(at=0.0, limits=limits)


def _executor(workspace: Workspace, state: State, settings: Settings, clock: Clock) -> Executor:
    make = simulated.executor_for if simulated.is_simulated(settings) else local_executor
    return make(workspace, state, settings, clock)


def local_executor(workspace: Workspace, state: State, settings: Settings, clock: Clock) -> Executor:
    """Slots of this machine. Raises NothingRuns."""
    from core.executors.gpus import local_slots
    from core.executors.local import LocalExecutor

    slots = local_slots(settings.slots)
    on_cpu = all(slot.gpu.type == "cpu" for slot in slots)
    start = state.experiments.get(BASELINE)
    budget = settings.time_budget or trainer_budget(workspace, on_cpu=on_cpu)
    return LocalExecutor(
        base=workspace.base_files(workspace.state / "base", start.commit if start else "HEAD"),
        runs=workspace.state / "runs",
        slots=slots,
        python=settings.interpreter(workspace.root),
        prepare_digest=state.prepare_digest or workspace.prepare_digest(),
        time_budget=settings.time_budget,
        timeout_s=settings.timeout_s(budget),
        output_mb=settings.output_mb,
        memory_mb=int(settings.memory_gb * 1024) if settings.memory_gb else 0,
        warm=WARM_MODULES if settings.warm and on_cpu and sys.platform == "linux" else (),
        env=settings.env,
        links=tuple(workspace.root / link for link in settings.links),
        clock=clock,
    )


# --- results.tsv ------------------------------------------------------------------------------------------------------


def write_results(workspace: Workspace, state: State) -> None:
    """results.tsv in the upstream format, beside train.py; a simulated session's only with the session.

    One that is not ours is left alone, and ours kept apart.
    """
    if not state.session:
        return
    mark, target = workspace.state / "results.sha256", workspace.root / "results.tsv"
    with suppress(OSError):  # a full disk must not hide why the engine ended
        if state.simulated or (target.exists() and not _is_marked(mark, target)):
            target = workspace.state / "results.tsv"
        content = results.dump(results_rows(state)).encode()
        fresh = target.with_name(".results.tsv.new")
        fresh.write_bytes(content)
        fresh.replace(target)
        if target.parent == workspace.root:
            mark.write_text(_digest(content))


def _is_marked(mark: Path, target: Path) -> bool:
    return mark.exists() and _digest(target.read_bytes()) == mark.read_text()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
