"""GPU types on which runs are lost as soon as they are launched: the next is tried later and later, in the end alone.

Such a loss says nothing of an experiment and costs nothing but an entry in the log, so that without a pause it would
happen many times per second. Runs that are launched together and lost together are one attempt. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.draft import Draft
from core.events import RunEnded
from core.room import Room
from core.state import Run, Setback, State

AT_ONCE_S = 10.0  # from its launch, or from its start: a run that is lost sooner has done nothing
FIRST_S, LONGEST_S = 2.0, 60.0  # until the next attempt
ALONE_AFTER = 1  # attempts; beyond that one run at a time finds out, for all


def ended(s: Draft, run: Run, fact: RunEnded) -> None:
    """To be told before the run has ended in the state. Work that is done there ends a setback."""
    before: Setback | None = s.setbacks.get(run.gpu_type)
    if fact.outcome == "lost" and fact.at - _begun(run) < AT_ONCE_S:
        is_same = before is not None and run.requested_at <= before.at
        attempts = (before.attempts if before is not None else 0) + (not is_same)
        s.own("setbacks")[run.gpu_type] = Setback(attempts, fact.at, fact.reason)
    elif before is not None and run.started_at is not None and fact.outcome in ("finished", "crashed"):
        del s.own("setbacks")[run.gpu_type]


def narrow(room: Room, state: State, now: float) -> None:
    """Leaves no room on types that are to be left alone for now, and room for one where one is to find out."""
    for kind, setback in state.setbacks.items():
        trials = [run for run in _active(state, kind) if run.requested_at > setback.at]
        if any(run.started_at is not None and now - run.started_at >= AT_ONCE_S for run in trials):
            continue
        if now < setback.at + pause_s(setback) or (setback.attempts > ALONE_AFTER and trials):
            room.close(kind)
        elif setback.attempts > ALONE_AFTER:
            room.close(kind, but=1)


def untrusted(state: State) -> list[str]:
    """Types on which one run at a time is tried."""
    return [kind for kind, setback in state.setbacks.items() if state.is_live and setback.attempts > ALONE_AFTER]


def pause_s(setback: Setback) -> float:
    return min(LONGEST_S, FIRST_S * 2.0 ** min(setback.attempts - 1, 16))


def moments(state: State) -> Iterator[float]:
    """When time alone may make room again."""
    for kind, setback in state.setbacks.items():
        yield setback.at + pause_s(setback)
        yield from (run.started_at + AT_ONCE_S for run in _active(state, kind) if run.started_at is not None)


def _begun(run: Run) -> float:
    return run.requested_at if run.started_at is None else run.started_at


def _active(state: State, kind: str) -> Iterator[Run]:
    return (run for run in map(state.runs.__getitem__, state.active) if run.gpu_type == kind)
