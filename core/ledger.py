"""Every GPU-second booked to what it was spent on, once.

A run is booked when it ends; a GPU that no run of ours holds is booked as time passes, by what keeps it free. The
columns sum to `capacity`: the fleet, or the runs of ours where those are more, over the time with an engine, and what
runs used while there was none. Knows shapes of state and results; `core.booking` keeps the sums as facts pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from core.events import RunEnded
from core.state import Holders, Run, State, Status

Column = Literal[
    "training",
    "replicate",
    "running",
    "start-up",
    "evaluation",
    "crash",
    "duplicate",
    "vetoed",
    "stopped",
    "cancelled",
    "waiting for ideas",
    "queue",
    "paused",
    "other users",
    "broken",
    "idle",
]
GROUPS: dict[str, tuple[Column, ...]] = {
    "useful": ("training", "replicate", "running"),
    "overhead": ("start-up", "evaluation"),
    "waste": ("crash", "duplicate", "vetoed", "stopped", "cancelled"),
    "no run": ("waiting for ideas", "queue", "paused", "other users", "broken", "idle"),
}
COLUMNS: tuple[Column, ...] = tuple(name for group in GROUPS.values() for name in group)


def book(run: Run, ended: RunEnded, spent: float, status: Status | None) -> dict[Column, float]:
    """GPU-seconds of an ended run by column; they sum to `spent`. `status` is its experiment's when it ended.

    A finished run of a duplicate is a replicate of the twin, because its score counts there; any other is waste.
    """
    if run.stopped and ended.outcome != "finished":
        return {"stopped": spent}
    if status == "vetoed":
        return {"vetoed": spent}
    if ended.outcome == "finished":
        again = run.purpose != "first" or status == "duplicate"
        return {"replicate": spent} if again else _parts(run, ended, spent)
    if status == "duplicate":
        return {"duplicate": spent}
    return {"cancelled" if ended.outcome == "cancelled" else "crash": spent}


def _parts(run: Run, ended: RunEnded, spent: float) -> dict[Column, float]:
    """By what the trainer reports. Start-up is what is neither training nor evaluation: the process, imports, its end.

    A trainer that reports more than passed is scaled down to it. One that does not report its start-up has it until
    the first progress seen, and evaluates for the rest.
    """
    before = max(0.0, (run.training_at or 0.0) - (run.started_at or 0.0)) if run.training_at else 0.0
    startup = before if ended.startup_s is None else ended.startup_s
    if ended.training_s is None:
        evaluation = min(ended.eval_s or 0.0, spent)
        startup = min(startup, spent - evaluation)
        return {"start-up": startup, "evaluation": evaluation, "training": spent - evaluation - startup}
    training = min(ended.training_s, spent)
    if ended.eval_s is None:
        evaluation = max(0.0, spent - training - startup) if run.training_at or ended.startup_s is not None else 0.0
    else:
        share = min(1.0, spent / total) if (total := ended.training_s + ended.eval_s + startup) > 0 else 0.0
        training, evaluation = ended.training_s * share, ended.eval_s * share
    return {"start-up": max(0.0, spent - training - evaluation), "evaluation": evaluation, "training": training}


def unattended(gaps: tuple[tuple[float, float], ...], start: float, end: float) -> float:
    """Seconds of start…end in which no engine was alive: a run goes on while its engine is down."""
    total = 0.0
    for begin, until in reversed(gaps):
        if until <= start:
            break
        total += max(0.0, min(until, end) - max(begin, start))
    return total


class Vacancy(NamedTuple):
    """GPUs. A run of ours comes before others, and both before what is broken: on them, something still runs."""

    there: int = 0  # in all
    others: int = 0  # held by other users
    broken: int = 0  # nothing can start on them
    queue: int = 0  # wanted by a requested run
    free: int = 0  # none of these, and no run of ours

    @property
    def usable(self) -> int:
        """What could be ours."""
        return self.there - self.others - self.broken


def vacancy(holders: Iterable[Holders]) -> Vacancy:
    there = others = broken = queue = free = 0
    for holder in holders:
        left = holder.gpus - holder.runs
        if left <= 0:
            there += holder.runs
            continue
        there += holder.gpus
        taken = min(left, holder.others)
        out = min(left - taken, holder.broken)
        left -= taken + out
        asked = min(left, holder.queued)
        others, broken, queue, free = others + taken, broken + out, queue + asked, free + left - asked
    return Vacancy(there, others, broken, queue, free)


def why_free(*, paused: bool, asked: bool) -> Column:
    """The column of a GPU that no run of ours holds or waits for, and nobody else has."""
    return "paused" if paused else "waiting for ideas" if asked else "idle"


def ledger(state: State, now: float) -> dict[Column, float]:
    """GPU-seconds of the session up to `now`, by column; all are there, and they sum to `capacity(state, now)`."""
    span = _open_span(state, now)
    columns: dict[Column, float] = {name: state.booked.get(name, 0.0) for name in COLUMNS}
    _, others, broken, queue, free = vacancy(state.holders.values())
    columns["other users"] += others * span
    columns["broken"] += broken * span
    columns["queue"] += queue * span
    columns[why_free(paused=state.pause is not None, asked=state.asked is not None)] += free * span
    columns["running"] = sum(spent for _, spent in held(state, now))
    return columns


def held(state: State, now: float) -> Iterable[tuple[Run, float]]:
    """The runs that hold a GPU, each with the GPU-seconds that it has held it up to `now`."""
    return ((run, held_s(state, run, now)) for run in _held(state))


def held_s(state: State, run: Run, now: float) -> float:
    """GPU-seconds that a run has held one, up to `now`; 0 for one that waits."""
    if run.ended_at is not None or run.started_at is None:
        return run.spent_s
    span = _open_span(state, now)
    return state.alive_s + span - run.held_from + _apart(state, run, span)


def capacity(state: State, now: float) -> float:
    """GPU-seconds that were there up to `now`: fleet × time while an engine is alive, and runs that outlived one."""
    span = _open_span(state, now)
    there = vacancy(state.holders.values()).there
    return state.capacity_s + there * span + sum(_apart(state, run, span) for run in _held(state))


def occupancy(state: State, now: float) -> dict[str, float]:
    """By GPU type: the share of the session's GPU time that runs of ours held, of what neither others had nor was
    broken. Without types of which nothing could be ours yet."""
    ours = dict(state.held_s)
    for run, seconds in held(state, now):
        ours[run.gpu_type] = ours.get(run.gpu_type, 0.0) + seconds
    return {kind: ours.get(kind, 0.0) / there for kind, there in usable_s(state, now).items() if there > 0}


def usable_s(state: State, now: float) -> dict[str, float]:
    """GPU-seconds by type up to `now` that could be ours: `capacity` without what others had or was broken."""
    usable, span = dict(state.usable_s), _open_span(state, now)
    for kind, holder in state.holders.items():
        usable[kind] = usable.get(kind, 0.0) + holder.usable * span
    for run in _held(state):
        usable[run.gpu_type] = usable.get(run.gpu_type, 0.0) + _apart(state, run, span)
    return usable


def _open_span(state: State, now: float) -> float:
    return max(0.0, now - state.span_at) if state.is_live else 0.0


def _held(state: State) -> Iterable[Run]:
    return (run for name in state.active if (run := state.runs[name]).started_at is not None)


def _apart(state: State, run: Run, span: float) -> float:
    assert run.started_at is not None  # noqa: S101  `_held` yields no other
    return unattended(state.gaps, run.started_at, state.span_at + span)
