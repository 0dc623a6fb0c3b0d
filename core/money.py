"""What a session has cost, in US dollars: the time that its runs held GPUs at the prices of their types, and the model.

Prices are the ones that hold now, for all of the session. A type without a price costs nothing. Pure.
"""

from __future__ import annotations

from core.ledger import held, held_s
from core.state import Experiment, Run, State

HOUR_S = 3600.0


def spent_usd(state: State, now: float) -> float | None:
    """Up to `now`; None where neither a price is known nor a model was paid."""
    if not state.prices and not state.model_usd:
        return None
    ended = sum(state.prices.get(kind, 0.0) * seconds for kind, seconds in state.held_s.items())
    going_on = sum(state.prices.get(run.gpu_type, 0.0) * seconds for run, seconds in held(state, now))
    return state.model_usd + (ended + going_on) / HOUR_S


def run_usd(state: State, run: Run, now: float) -> float | None:
    """What a run has cost, up to `now`: the GPU it held, whatever came of it. None where its type has no price."""
    price = state.prices.get(run.gpu_type)
    return None if price is None else price * held_s(state, run, now) / HOUR_S


def experiment_usd(state: State, experiment: Experiment, now: float) -> float | None:
    """All its runs together, as far as their types have prices; None where none has."""
    costs = [run_usd(state, state.runs[name], now) for name in experiment.runs if name in state.runs]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def usd_hour(state: State) -> float:
    """What is spent per hour with the runs that hold GPUs now."""
    return sum(state.prices.get(run.gpu_type, 0.0) for run, _ in held(state, state.at))
