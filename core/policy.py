"""What to do next: `plan(state, rules, now) -> moves`, from scratch each time.

Like a controller, it compares what is with what should be and names the difference; a fresh start, a restart after a
crash and steady running are one code path. It performs nothing: the engine carries the moves out and records them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import fmean
from zlib import crc32

import msgspec

from core.events import Evidence, FinalVerdict, Purpose, Tier
from core.ids import ExperimentId, RunId, run_id
from core.state import Experiment, State
from core.verdict import (
    MAX_FAILED,
    MIN_RUNS,
    Final,
    Retest,
    Rules,
    attempts,
    baseline_runs,
    counts,
    judge,
    measured_on,
    most_attempts,
    sigmas,
)
from core.views import elapsed, free, proposed, queued, remaining

CANDIDATES = 2  # experiments confirmed at a time, the most promising first
RIVALS = 4.0  # standard errors by which the second may look worse: beyond that the first settles it
FAILED = ("crashed", "lost")
QUICK = 0.1  # of a run's duration: an answer that takes less is asked for when a GPU is free
PATIENCE_S = 1.0  # a researcher that answers within this gets its answer launched, not replicates
SPARE_REPLICATES = 8  # of the baseline on one GPU type, when there is nothing better to run


class Cancel(msgspec.Struct, frozen=True):
    run: RunId


class Judge(msgspec.Struct, frozen=True):
    experiment: ExperimentId
    verdict: FinalVerdict
    reason: str
    evidence: Evidence | None


class AskAgain(msgspec.Struct, frozen=True):
    """Record that an experiment needs another run, and why."""

    experiment: ExperimentId
    reason: str
    evidence: Evidence | None


class Commit(msgspec.Struct, frozen=True):
    experiment: ExperimentId


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId
    experiment: ExperimentId
    gpu_type: str
    seed: int
    tier: Tier = "screen"
    purpose: Purpose = "first"


class Ask(msgspec.Struct, frozen=True):
    slots: int


class Finish(msgspec.Struct, frozen=True):
    reason: str
    exit_code: int = 0


Retests = list[tuple[Retest, Experiment]]
Move = Cancel | Judge | AskAgain | Commit | Launch | Ask | Finish


def plan(state: State, rules: Rules, now: float) -> tuple[Move, ...]:
    if not state.is_live or not state.session:
        return ()
    broken = _baseline_broken(state, rules)
    reason, code = (broken, 3) if broken else _why_stop(state, now)
    moves: list[Move] = [Cancel(run) for run in _to_cancel(state, all_runs=bool(broken) or _stop_now(state))]
    judged, retests = _judgements(state, rules)
    if judged:  # they are recorded first; what follows from them is planned on the next call
        return (*moves, *judged)
    moves += [Commit(name) for name in list(state.uncommitted)[:1]]
    if reason:
        idle = not state.active and not state.uncommitted
        return (*moves, Finish(reason, code)) if idle else tuple(moves)
    if state.pause is None:
        room = free(state)
        moves += _launches(state, rules, room, [] if state.uncommitted else _rivals(state, retests), now)
        moves += [] if state.uncommitted else _ask(state, room, now)  # the baseline is about to move
    if not moves and not state.active and not state.open and not state.uncommitted:
        moves += _ended(state)
    return tuple(moves)


# --- stopping ---------------------------------------------------------------------------------------------------------


def _stop_now(state: State) -> bool:
    return state.stop is not None and state.stop.now


def _to_cancel(state: State, *, all_runs: bool) -> Iterator[RunId]:
    for run in state.active:
        if all_runs or state.experiments[state.runs[run].experiment].status == "vetoed":
            yield run


def _baseline_broken(state: State, rules: Rules) -> str:
    """Why no change can be judged: the baseline failed too often under this engine. "" if it may still work."""
    runs = [state.runs[run] for run in state.experiments[state.baseline].runs]
    if any(run.result is None for run in runs):
        return ""
    since = state.engine.at if state.engine is not None else 0.0
    failed = [r.result for r in runs if r.result and r.result.outcome in FAILED and r.requested_at >= since]
    crashed = [result for result in failed if result.outcome == "crashed"]
    worked = sum(run.result is not None and run.result.outcome == "finished" for run in runs)
    if not worked and len(crashed) >= MAX_FAILED:
        return f"the unchanged train.py does not run: {crashed[-1].reason or 'it crashed'}"
    types = {gpu.type for gpu in state.gpus}
    if failed and all(_is_stuck(state, gpu_type, rules) for gpu_type in types):
        share = f"{worked} of {worked + len(failed)}"
        return f"only {share} runs of the baseline worked, too few to compare with: {failed[-1].reason}"
    return ""


def _is_stuck(state: State, gpu_type: str, rules: Rules) -> bool:
    finished = len(state.scores.get((state.baseline, gpu_type), ()))
    return finished < MIN_RUNS and attempts(state, state.baseline, gpu_type) >= most_attempts(rules)


def _why_stop(state: State, now: float) -> tuple[str, int]:
    """A reason to start nothing new and end when the running jobs have."""
    limits = state.limits
    if state.stop is not None:
        return f"stopped by {state.stop.by}", 0
    if limits.max_hours is not None and elapsed(state, now) >= limits.max_hours * 3600:
        return f"the {limits.max_hours:g} h of this session are used", 0
    if limits.target_bpb is not None and (mean := _baseline_mean(state)) is not None and mean <= limits.target_bpb:
        return f"target reached: val_bpb {mean:.4f} ≤ {limits.target_bpb:g}", 0
    return "", 0


def _baseline_mean(state: State) -> float | None:
    """Of the type it was measured on, once more than one run says so."""
    scores = state.scores.get((state.baseline, measured_on(state, state.baseline)), ())
    return fmean(scores) if len(scores) > 1 else None


def _ended(state: State) -> Iterator[Move]:
    if state.gave_up:
        yield Finish(f"the researcher cannot go on: {state.gave_up}", 4)
    elif remaining(state) == 0:
        yield Finish(f"all {proposed(state)} experiments of this session are done")


# --- judging ----------------------------------------------------------------------------------------------------------


def _judgements(state: State, rules: Rules) -> tuple[list[Move], Retests]:
    """Verdicts to record, and the experiments that want another run, the most promising first."""
    moves: list[Move] = []
    kept: list[tuple[Final, Experiment]] = []
    retests: Retests = []
    for experiment in [state.experiments[name] for name in state.open]:
        match judge(state, experiment, rules):
            case Final(verdict="kept") as final:
                kept.append((final, experiment))
            case Final(verdict, reason, evidence):
                moves.append(Judge(experiment.id, verdict, reason, evidence))
            case Retest() as retest:
                retests.append((retest, experiment))
    if kept and not state.uncommitted:  # one at a time: the next must beat the new baseline
        final, experiment = min(kept, key=lambda pair: pair[0].evidence.delta if pair[0].evidence else 0.0)
        moves.append(Judge(experiment.id, final.verdict, final.reason, final.evidence))
    retests.sort(key=lambda pair: (not pair[1].promoted, -pair[0].sigmas))
    moves += [
        AskAgain(experiment.id, retest.reason, retest.evidence)
        for retest, experiment in _rivals(state, retests)
        if experiment.status != "retest" or _basis(experiment.evidence) != _basis(retest.evidence)
    ]
    return moves, retests


def _basis(evidence: Evidence | None) -> tuple[str, int] | None:
    """What makes a reason to run again a new one; that the noise estimate moved does not."""
    return (evidence.against, evidence.runs) if evidence is not None else None


# --- launching --------------------------------------------------------------------------------------------------------


def _rivals(state: State, retests: Retests) -> Retests:
    """The candidates worth confirming now: another one that looks much worse will lose to the best anyway.

    The best may be one that is being confirmed at the moment.
    """
    busy = (state.experiments[state.runs[run].experiment] for run in state.active)
    going_on = (sigmas(e.evidence) for e in busy if e.status == "retest" and e.evidence is not None)
    best = max([retest.sigmas for retest, _ in retests] + list(going_on), default=0.0)
    return [pair for pair in retests if pair[1].promoted or pair[0].sigmas > best - RIVALS][:CANDIDATES]


def _launches(state: State, rules: Rules, room: Counter[str], retests: Retests, now: float) -> Iterator[Launch]:
    """Fills free GPUs, most useful first; takes what it uses out of `room`."""
    counts: Counter[ExperimentId] = Counter()
    for name, gpu_type, purpose in _wanted(state, rules, room, retests, now):
        if room[gpu_type] > 0:
            room[gpu_type] -= 1
            run = run_id(name, len(state.experiments[name].runs) + 1 + counts[name])
            counts[name] += 1
            yield Launch(
                run=run,
                experiment=name,
                gpu_type=gpu_type,
                seed=crc32(f"{state.seed}/{run}".encode()) & 0x7FFFFFFF,
                tier="validate" if state.experiments[name].promoted else "screen",
                purpose=purpose,
            )


Want = tuple[ExperimentId, str, Purpose]


def _wanted(state: State, rules: Rules, room: Counter[str], retests: Retests, now: float) -> Iterator[Want]:
    types = list(room)
    for gpu_type in types:
        yield from _replicates(state, gpu_type, rules, baseline_runs(rules))
    for extra in range(rules.max_retests):  # idle GPUs repeat a candidate more than once at a time
        for retest, experiment in retests:
            done = retest.evidence.runs if retest.evidence else 0
            if extra == 0 or done + extra <= rules.max_retests:
                yield experiment.id, measured_on(state, experiment.id), "retest"
    for name in queued(state):
        with_room = [kind for kind in types if room[kind] > 0]
        if not with_room:
            return
        yield name, with_room[0], "first"
    if state.asked is not None and now - state.asked.at >= PATIENCE_S:
        for gpu_type in types:
            yield from _replicates(state, gpu_type, rules, SPARE_REPLICATES)


def _replicates(state: State, gpu_type: str, rules: Rules, enough: int) -> list[Want]:
    """Runs of the baseline that are missing on this type; some that failed are repeated, not for ever."""
    runs = [state.runs[run] for run in state.experiments[state.baseline].runs if counts(state, run)]
    working = sum(r.gpu_type == gpu_type and (r.result is None or r.result.outcome == "finished") for r in runs)
    allowed = enough + most_attempts(rules) - baseline_runs(rules) - attempts(state, state.baseline, gpu_type)
    return [(state.baseline, gpu_type, "replicate")] * max(0, min(enough - working, allowed))


# --- asking -----------------------------------------------------------------------------------------------------------


def _ask(state: State, room: Counter[str], now: float) -> Iterator[Ask]:
    """Ask while fewer experiments are queued than GPUs will be free by the time of the answer."""
    left = remaining(state)
    if state.asked is not None or state.gave_up or left == 0:
        return
    early = state.think_s if state.think_s > QUICK * state.duration_s else 0.0  # else it is better to know more
    freeing = sum(room.values()) + sum(_ends_within(state, run, now, early) for run in state.active)
    if len(queued(state)) < freeing:
        slots = max(len(state.gpus), freeing)
        yield Ask(slots if left is None else min(slots, left))


def _ends_within(state: State, run: RunId, now: float, seconds: float) -> bool:
    started = state.runs[run].started_at
    if not seconds or not state.duration_s or started is None:
        return False
    return now - started + seconds >= state.duration_s
