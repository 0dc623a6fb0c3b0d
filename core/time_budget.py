"""How long a run trains: one budget for a whole session, because what was trained for longer does not compare.

It is the setting `time_budget`, or else the trainer's own, as prepare.py has it. Each engine records it at its start;
the next one goes on with it, and is refused where its settings or its machine say otherwise. Knows no runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from core.errors import SettingsError, UsageError
from core.executors.gpus import local_slots
from core.hosts.settings import all_on_cpu, checked
from core.knobs import find
from core.settings import FILE, Loaded, Settings
from core.state import State
from core.workspace import Workspace

SETTING = "time_budget"
VARIABLE = "AUTORESEARCH_TIME_BUDGET"  # by which a trainer is told
DEFAULT_S = 300.0  # where neither settings nor prepare.py say


class Budget(NamedTuple):
    seconds: float
    is_own: bool  # the trainer's, which no setting changed


def going_on(state: State, settings: Settings, loaded: Loaded, workspace: Workspace) -> tuple[Settings, Budget]:
    """The budget in force, and the settings with it where the session's was set and nothing is said now.

    A session of an older build has none; it takes on that of the first engine that tells one. Raises SettingsError for
    a budget that no run would hear of, UsageError for another one than the session's.
    """
    _refuse_hidden(settings)
    origin = loaded.origins[SETTING]
    if state.budget_s and not state.own_budget and origin == "default":
        settings = msgspec.structs.replace(settings, time_budget=state.budget_s)
    if settings.time_budget is not None:
        _refuse_unheard(settings.time_budget, origin, settings, workspace)
        budget = Budget(settings.time_budget, False)
    else:
        budget = Budget(_trainers_s(settings, workspace), True)
    if state.budget_s and not math.isclose(budget.seconds, state.budget_s):
        raise UsageError(_other(state.budget_s, budget, origin, workspace))
    return settings, budget


def _other(began: float, budget: Budget, origin: str, workspace: Workspace) -> str:
    who = "the trainer's own budget here is" if budget.is_own else f"{origin} says"
    places = {FILE: f"{SETTING} = {began:g}", f"environment {VARIABLE}": f"{VARIABLE}={began:g}"}
    place = places.get(origin, f"--time-budget {began:g}")
    return (
        f"This session trains {began:g} s per run, and {who} {budget.seconds:g} s, whose results do not compare: "
        f"go on with {place}, or move {workspace.state} away to begin a new session here."
    )


# --- what would be told to nobody -------------------------------------------------------------------------------------


def _refuse_hidden(settings: Settings) -> None:
    """A budget among the variables of runs would be known to them alone."""
    tables = [("env", settings.env)]
    tables += [(f"hosts.{name}.env", host.get("env")) for name, host in settings.hosts.items() if _is_table(host)]
    for name, variables in tables:
        if _is_table(variables) and VARIABLE in variables:
            raise SettingsError(f"{name} must leave out {VARIABLE}: set {SETTING} instead, which is recorded.")


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _refuse_unheard(seconds: float, origin: str, settings: Settings, workspace: Workspace) -> None:
    """Upstream's prepare.py has its budget as a number, and reads no variable."""
    own = None if _is_simulated(settings) else _constants(workspace).get("TIME_BUDGET")
    if not isinstance(own, int | float) or math.isclose(own, seconds):
        return
    if not any(VARIABLE in path.read_text(errors="replace") for path in workspace.root.glob("*.py")):
        raise SettingsError(
            f"{origin} says that runs train {seconds:g} s, but prepare.py has TIME_BUDGET = {own:g} and does not read "
            f"{VARIABLE}: leave {SETTING} out, or set TIME_BUDGET in prepare.py and commit it for a new session."
        )


# --- the trainer's own ------------------------------------------------------------------------------------------------


def _trainers_s(settings: Settings, workspace: Workspace) -> float:
    if _is_simulated(settings):
        return DEFAULT_S
    return trainer_budget(workspace, on_cpu=_is_on_cpu(settings))


def _is_simulated(settings: Settings) -> bool:
    return settings.executor == "simulator"  # it runs nothing, so prepare.py says nothing


def _is_on_cpu(settings: Settings) -> bool:
    """Whether every run goes to a CPU, as far as can be said before anything is connected to."""
    match settings.executor:
        case "local":
            return all(slot.gpu.type == "cpu" for slot in local_slots(settings.slots))
        case "ssh":
            return all_on_cpu(checked(settings.hosts))
    return False


def trainer_budget(workspace: Workspace, *, on_cpu: bool) -> float:
    """Seconds of training per run as prepare.py states them; 300 where it does not."""
    constants = _constants(workspace)
    for name in ("CPU_TIME_BUDGET" if on_cpu else "GPU_TIME_BUDGET", "TIME_BUDGET"):
        value = constants.get(name)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return DEFAULT_S


def _constants(workspace: Workspace) -> Mapping[str, object]:
    return {knob.name: knob.value for knob in find((workspace.root / "prepare.py").read_text(errors="replace"))}
