"""The ledger's half of the fold: sums of GPU-seconds, kept exact as facts pass.

Time is booked where a fact changes who holds a GPU, never at progress. Each engine has its own clock: it starts with
the engine, follows the latest time told and never goes back, because what is observed is told late. A run holds its
GPU from that clock at its start to that at its end. O(GPU types) per fact, O(GPUs) for a fleet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from core import events as ev
from core.draft import Draft
from core.ids import ExperimentId, RunId
from core.ledger import book, unattended, vacancy, why_free
from core.state import Holders, Run, Status

NOBODY = Holders()

_replace = msgspec.structs.replace


def accrue(s: Draft, at: float) -> None:
    """Books the GPUs that no run of ours held since the last change. Call it before what changes why they are free."""
    span = at - s.span_at
    if span <= 0 or s.engine is None or not s.fleet_seen:
        return
    s.span_at, s.alive_s = at, s.alive_s + span
    there, others, broken, queue, free = vacancy(s.holders.values())
    s.capacity_s += there * span
    for kind, holder in s.holders.items():
        if holder.usable:
            _can_use(s, kind, holder.usable * span)
    if others:
        _add(s, "other users", others * span)
    if broken:
        _add(s, "broken", broken * span)
    if queue:
        _add(s, "queue", queue * span)
    if free:
        _add(s, why_free(paused=s.pause is not None, asked=s.asked is not None), free * span)


def _can_use(s: Draft, gpu_type: str, seconds: float) -> None:
    usable = s.own("usable_s")
    usable[gpu_type] = usable.get(gpu_type, 0.0) + seconds


def _add(s: Draft, column: str, seconds: float) -> None:
    booked = s.own("booked")
    booked[column] = booked.get(column, 0.0) + seconds


def _take(s: Draft, column: str, seconds: float) -> None:
    """Rounding may leave less than nothing of what was added, 1e-16 of it."""
    s.own("booked")[column] = max(0.0, s.booked.get(column, 0.0) - seconds)


# --- runs -------------------------------------------------------------------------------------------------------------


def requested(s: Draft, fact: ev.RunRequested) -> None:
    _hold(s, fact.gpu_type, fact.at, runs=0, queued=1)


def started(s: Draft, run: Run, at: float) -> float:
    """Returns where the run begins to hold its GPU, in seconds with an engine."""
    _hold(s, run.gpu_type, at, runs=1, queued=-1)
    alive: float = s.alive_s
    return alive


def ended(s: Draft, run: Run, fact: ev.RunEnded) -> float:
    """Books the run. Returns the GPU-seconds that it held."""
    if run.started_at is None:
        _hold(s, run.gpu_type, fact.at, runs=0, queued=-1)
        return 0.0
    _hold(s, run.gpu_type, fact.at, runs=-1, queued=0)
    apart = unattended(s.gaps, run.started_at, fact.at)
    spent: float = s.alive_s - run.held_from + apart
    if apart:
        s.capacity_s += apart
        _can_use(s, run.gpu_type, apart)
    held = s.own("held_s")
    held[run.gpu_type] = held.get(run.gpu_type, 0.0) + spent
    experiment = s.experiments.get(run.experiment)
    for column, seconds in book(run, fact, spent, experiment and experiment.status).items():
        _add(s, column, seconds)
    return spent


def _hold(s: Draft, gpu_type: str, at: float, *, runs: int, queued: int) -> None:
    accrue(s, at)
    before = s.holders.get(gpu_type, NOBODY)
    s.own("holders")[gpu_type] = _replace(before, runs=before.runs + runs, queued=before.queued + queued)


def repeated(s: Draft, name: ExperimentId) -> None:
    """Books the ended runs of an experiment again: it turned out to be a duplicate."""
    rebooked(s, s.experiments[name].runs, None, "duplicate")


def rebooked(s: Draft, names: Iterable[RunId], was: Status | None, status: Status | None) -> None:
    """Books ended runs again as those of an experiment of another status; they were booked when it was `was`."""
    for run in map(s.runs.get, names):
        if run is not None and run.result is not None:
            for column, seconds in book(run, run.result, run.spent_s, was).items():
                _take(s, column, seconds)
            for column, seconds in book(run, run.result, run.spent_s, status).items():
                _add(s, column, seconds)


# --- fleets and engines -----------------------------------------------------------------------------------------------


def fleet_seen(s: Draft, fact: ev.FleetSeen) -> None:
    """The first fleet that an engine sees was there since it started."""
    accrue(s, fact.at)
    s.gpus, s.holders, s.unseen = fact.gpus, _holders(s.holders, fact.gpus), fact.unseen
    s.owned.add("holders")
    s.fleet_seen = True


def _holders(before: dict[str, Holders], gpus: tuple[ev.Gpu, ...]) -> dict[str, Holders]:
    there = Counter(gpu.type for gpu in gpus)
    broken = Counter(gpu.type for gpu in gpus if gpu.broken and gpu.held_by)  # on others a run of ours is still
    others = Counter(gpu.type for gpu in gpus if gpu.held_by and not gpu.broken)
    ours = {name: holder for name, holder in before.items() if name in there or holder.runs or holder.queued}
    return {
        name: _replace(holder, gpus=there[name], others=others[name], broken=broken[name])
        for name, holder in {**dict.fromkeys(there, NOBODY), **ours}.items()
    }


def engine_started(s: Draft, fact: ev.EngineStarted) -> None:
    engine_gone(s, s.at)  # the engine before this one may have been killed: its time ends with the last fact it wrote
    if s.span_at:
        s.gaps = (*s.gaps, (s.span_at, fact.at))
    s.engine, s.span_at, s.gpus, s.fleet_seen, s.unseen = fact, fact.at, (), False, ""
    s.holders = _holders(s.holders, ())
    s.owned.add("holders")


def engine_gone(s: Draft, at: float) -> None:
    """Its clock ends here; a fleet that it never saw is none."""
    s.fleet_seen = True
    accrue(s, at)
    s.engine = None
