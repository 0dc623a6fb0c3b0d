"""The parts of a simulated session: its clock, its executor, its researcher's latency. Nothing of it is real.

A simulated session is marked as one for ever: no real executor goes on with it, and no simulator with a real one.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from core.clock import Clock, ScaledClock, SystemClock
from core.errors import SettingsError, UsageError
from core.executor import Executor
from core.ids import BASELINE
from core.knobs import Value, find
from core.researcher import Researcher
from core.settings import Loaded, Settings
from core.state import State
from core.virtual import running_clock
from core.workspace import Workspace

EXECUTOR = "simulator"
AS_FAST_AS_IT_COMPUTES = "max"
NOTES = "simulator.jsonl"


def is_simulated(settings: Settings) -> bool:
    return settings.executor == EXECUTOR


def needs_virtual_time(settings: Settings) -> bool:
    """Whether the session has to run in the loop of `core.virtual`."""
    return is_simulated(settings) and settings.speed == AS_FAST_AS_IT_COMPUTES


def going_on(state: State, loaded: Loaded, file: Path) -> Settings:
    """The settings, with the surface that the session began on: its truth does not change.

    Raises UsageError for a real executor on a simulated session, the reverse, and another surface.
    """
    settings = loaded.settings
    if not state.session or not (state.simulated or is_simulated(settings)):
        return settings
    away = f"use another workspace, or move {file} away to begin a new session here"
    if not state.simulated:
        raise UsageError(f"This session is real and cannot be simulated further: {away}.")
    if not is_simulated(settings):
        raise UsageError(f"This session is simulated: go on with --executor {EXECUTOR}, or {away}.")
    began = state.surface or settings.surface
    if loaded.origins["surface"] != "default" and settings.surface != began:
        raise UsageError(f"This session is simulated on the surface {began}: go on with --surface {began}, or {away}.")
    return msgspec.structs.replace(settings, surface=began)


def surface_of(settings: Settings) -> str:
    """Its name; raises SettingsError for one that there is not."""
    from core.surfaces import SURFACES

    if settings.surface not in SURFACES:
        raise SettingsError(f"There is no surface {settings.surface!r}; choose one of: {', '.join(SURFACES)}.")
    return settings.surface


def clock_for(settings: Settings, state: State) -> Clock:
    """A simulated session's time goes on where it stood; a new one begins now. Raises UsageError."""
    if not is_simulated(settings):
        return SystemClock()
    start = state.at if state.seq else float(int(time.time()))  # whole: the same seed gives the same times in it
    if not needs_virtual_time(settings):
        return ScaledClock(start, float(settings.speed))
    clock = running_clock()
    if clock is None:
        raise UsageError("--speed max needs virtual time: run the session by core.virtual.run.")
    clock.start_at(start)
    return clock


def executor_for(workspace: Workspace, state: State, settings: Settings, clock: Clock) -> Executor:
    """The simulated fleet. Raises SettingsError."""
    from core.executors.fate import Physics
    from core.executors.simulator import Simulator
    from core.executors.simulator_fleet import fates, fleet
    from core.surfaces import surface

    name = surface_of(settings)
    seed = state.seed if state.session else settings.seed
    start = state.sources.get(BASELINE) or workspace.train_source()
    base: dict[str, Value] = {knob.name: knob.value for knob in find(start)}
    physics = Physics(budget_s=settings.time_budget) if settings.time_budget else Physics()
    return Simulator(
        gpus=fleet(settings.fleet),
        fates=fates(surface(name, base, seed), physics, seed, start),
        file=workspace.state / NOTES,
        clock=clock,
        queue_s=settings.queue_s,
    )


def thinking(researcher: Researcher, settings: Settings, clock: Clock) -> Researcher:
    """A simulated session's researcher takes its time, as a language model would."""
    from core.researchers.delayed import Delayed

    return Delayed(researcher, clock, settings.answer_s) if is_simulated(settings) else researcher
