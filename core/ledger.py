"""Every GPU-second booked to what it was spent on.

The categories: training, start-up and evaluation of first runs; replicate (a run that repeats a configuration, for
noise or confirmation, as a whole); crash; cancelled (vetoed or stopped); idle (a GPU was there and no run of ours on
it). They sum to GPUs × time with an engine. Knows shapes of state and results; not who asks.
"""

from __future__ import annotations

from core.events import RunEnded
from core.state import Run, State

CATEGORIES = ("training", "start-up", "evaluation", "replicate", "crash", "cancelled", "running", "idle")


def book(run: Run, ended: RunEnded) -> dict[str, float]:
    """GPU-seconds of one ended run by category; they sum to the time from its start to its end."""
    if run.started_at is None:
        return {}
    spent = max(0.0, ended.at - run.started_at)
    if ended.outcome == "cancelled":
        return {"cancelled": spent}
    if ended.outcome != "finished":
        return {"crash": spent}
    if run.purpose != "first":
        return {"replicate": spent}
    return _parts(run, ended, spent)


def _parts(run: Run, ended: RunEnded, spent: float) -> dict[str, float]:
    """By what the trainer reports; where it does not say, by when its first progress was seen."""
    if ended.startup_s is not None and ended.eval_s is not None:
        evaluation = min(ended.eval_s, spent)
        startup = min(ended.startup_s, spent - evaluation)
        training = spent - evaluation - startup
    else:
        first = max(0.0, run.training_at - run.started_at) if run.training_at and run.started_at else 0.0
        training = min(spent - min(first, spent) if ended.training_s is None else ended.training_s, spent)
        startup = min(first, spent - training) if run.training_at else spent - training
        evaluation = spent - training - startup
    return {"start-up": startup, "evaluation": evaluation, "training": training}


def unattended(gaps: tuple[tuple[float, float], ...], start: float, end: float) -> float:
    """Seconds of start…end in which no engine was alive: a run goes on while its engine is down."""
    total = 0.0
    for begin, until in reversed(gaps):
        if until <= start:
            break
        total += max(0.0, min(until, end) - max(begin, start))
    return total


def ledger(state: State, now: float) -> dict[str, float]:
    """GPU-seconds of the session up to `now`, by category.

    They sum to the GPU-seconds at hand: fleet size × time with an engine, and what runs used while there was none.
    """
    until = max(now, state.span_at) if state.is_live else state.span_at
    capacity = state.capacity_s + len(state.gpus) * (until - state.span_at) * state.is_live
    running = 0.0
    for at in filter(None, (state.runs[run].started_at for run in state.active)):
        running += max(0.0, until - at)
        capacity += unattended(state.gaps, at, until)
    booked = {name: state.booked.get(name, 0.0) for name in CATEGORIES[:-2]}
    booked["running"] = running
    booked["idle"] = max(0.0, capacity - sum(booked.values()))
    return booked
