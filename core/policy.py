"""What to do next: `plan(state, rules, now) -> moves`, from scratch each time.

Like a controller, it compares what is with what should be and names the difference; a fresh start, a restart after a
crash and steady running are one code path. It performs nothing: the engine carries the moves out and records them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from core.closing import reached
from core.duplicates import LATE, duplicates
from core.events import Evidence, FinalVerdict
from core.hopeless import hopeless
from core.ids import ExperimentId, RunId
from core.judging import grounds, judge
from core.known import Known
from core.merging import mergeable, rebasable
from core.placement import Launch as Launch
from core.placement import launches
from core.rivals import Passes, Retests, confirmed, lead, let_go, validated
from core.room import Room, room, surplus
from core.setbacks import narrow
from core.state import Experiment, State
from core.tiers import MAX_FAILED, is_stuck, tiers
from core.verdict import (
    Final,
    Judgement,
    Passed,
    Retest,
    Rules,
    Wait,
)
from core.views import ALL_DONE, elapsed, proposed, queued, remaining, spent_usd

FAILED = ("crashed", "lost")
QUICK = 0.1  # of a run's duration: an answer that takes less is asked for when a GPU is free
EARLY = 1.2  # times the time that the last answer took, plus
EARLY_S = 5.0
SPARE = 1.5  # times the experiments that start while the researcher thinks


class Cancel(msgspec.Struct, frozen=True):
    run: RunId


class StopRun(msgspec.Struct, frozen=True):
    """Record that a run is hopeless; it is cancelled then."""

    run: RunId
    reason: str


class Duplicate(msgspec.Struct, frozen=True):
    experiment: ExperimentId
    twin: ExperimentId
    reason: str


class Judge(msgspec.Struct, frozen=True):
    experiment: ExperimentId
    verdict: FinalVerdict
    reason: str
    evidence: Evidence | None


class Screen(msgspec.Struct, frozen=True):
    """Record that an experiment passed the screening tier."""

    experiment: ExperimentId
    reason: str
    evidence: Evidence


class AskAgain(msgspec.Struct, frozen=True):
    """Record that an experiment needs another run, and why."""

    experiment: ExperimentId
    reason: str
    evidence: Evidence | None


class Rebase(msgspec.Struct, frozen=True):
    """Make its change to the present baseline: it has not run, and its own is one no more."""

    experiment: ExperimentId


class Merge(msgspec.Struct, frozen=True):
    """Put proven ideas together on top of the present baseline."""

    experiments: tuple[ExperimentId, ...]


class Commit(msgspec.Struct, frozen=True):
    experiment: ExperimentId


class Ask(msgspec.Struct, frozen=True):
    slots: int


class Finish(msgspec.Struct, frozen=True):
    reason: str
    exit_code: int = 0


Move = Cancel | StopRun | Duplicate | Judge | Screen | AskAgain | Rebase | Merge | Commit | Launch | Ask | Finish


def plan(state: State, rules: Rules, now: float) -> tuple[Move, ...]:
    if not state.is_live or not state.session:
        return ()
    if state.lost is not None:  # what runs is not known; who stops the engine at once leaves it to itself
        reason = f"{_why_stop(state, rules, now)[0]} while the executor could not be reached; running jobs go on"
        return (Finish(reason),) if _stop_now(state) else ()
    broken = _baseline_broken(state)
    reason, code = (broken, 3) if broken else _why_stop(state, rules, now)
    moves: list[Move] = [Cancel(run) for run in _to_cancel(state, all_runs=bool(broken) or _stop_now(state))]
    moves += [Cancel(run) for run in surplus(state, nothing_may_start=bool(reason) or state.pause is not None)]
    judged, retests = _recorded_first(state, rules) if state.gpus else ([], [])  # what is compared where follows them
    if judged:  # what follows from them is planned on the next call
        return (*moves, *judged)
    moves += [Commit(name) for name in list(state.uncommitted)[:1]]
    if reason:
        idle = not state.active and not state.uncommitted
        return (*moves, Finish(reason, code)) if idle else tuple(moves)
    if state.pause is None and state.gpus:
        places = room(state)
        narrow(places, state, now)
        moves += launches(state, rules, places, [] if state.uncommitted else retests, now)
        moves += [] if state.uncommitted else _ask(state, rules, places, now)  # the baseline is about to move
    if not moves and not state.active and not state.open and not state.uncommitted:
        moves += _ended(state)
    return tuple(moves)


def _recorded_first(state: State, rules: Rules) -> tuple[list[Move], Retests]:
    """What the results so far come to, and the experiments that want another run."""
    found: list[Move] = [Duplicate(*each) for each in duplicates(state)]
    if rules.early_stop:
        found += [StopRun(run, reason) for run, reason in hopeless(state)]
    if found:
        return found, []
    parts = (state.open, state.experiments, state.reruns, state.uncommitted, state.waves, state.scores)
    return _latest("", (*parts, grounds(state, rules)), lambda: _settled(state, rules))


_latest = Known[tuple[list[Move], Retests]](1)


def _settled(state: State, rules: Rules) -> tuple[list[Move], Retests]:
    """What follows from results alone."""
    found: list[Move] = []
    if not state.uncommitted:
        found += [Rebase(name) for name in rebasable(state)]
        found += [Merge(names) for names in [mergeable(state)] if names]
    return (found, []) if found else _judgements(state, rules)


# --- stopping ---------------------------------------------------------------------------------------------------------


def _stop_now(state: State) -> bool:
    return state.stop is not None and state.stop.now


def _to_cancel(state: State, *, all_runs: bool) -> Iterator[RunId]:
    for run in (state.runs[name] for name in state.active):
        status = state.experiments[run.experiment].status
        if (
            all_runs
            or status == "vetoed"
            or run.stopped
            or run.stopped_by
            or (status == "duplicate" and not _is_late(state, run.id))
        ):
            yield run.id


def _is_late(state: State, run: RunId) -> bool:
    """Too far on to be stopped for what it cost already."""
    progress = state.progress.get(run)
    return progress is not None and (progress.fraction or 0.0) > LATE


def _baseline_broken(state: State) -> str:
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
    if failed and types and all(is_stuck(state, state.baseline, gpu_type) for gpu_type in types):
        share = f"{worked} of {worked + len(failed)}"
        return f"only {share} runs of the baseline worked, too few to compare with: {failed[-1].reason}"
    return ""


def _why_stop(state: State, rules: Rules, now: float) -> tuple[str, int]:
    """A reason to start nothing new and end when the running jobs have."""
    limits = state.limits
    if state.stop is not None:
        return f"stopped by {state.stop.by}", 0
    if limits.max_hours is not None and elapsed(state, now) >= limits.max_hours * 3600:
        return f"the {limits.max_hours:g} h of this session are used", 0
    if limits.target_bpb is not None and (mean := reached(state, rules)) is not None:
        return f"target reached: val_bpb {mean:.4f} ≤ {limits.target_bpb:g}", 0
    if limits.max_usd is not None and (spent := spent_usd(state, now)) is not None and spent >= limits.max_usd:
        return f"the budget of ${limits.max_usd:,.2f} is used", 0
    return "", 0


def _ended(state: State) -> Iterator[Move]:
    if state.gave_up:
        yield Finish(f"the researcher cannot go on: {state.gave_up}", 4)
    elif remaining(state) == 0:
        yield Finish(f"all {proposed(state)} {ALL_DONE}")


# --- judging ----------------------------------------------------------------------------------------------------------


def _judgements(state: State, rules: Rules) -> tuple[list[Move], Retests]:
    """Verdicts to record, and the experiments that want another run, the most promising first."""
    moves: list[Move] = []
    kept: list[tuple[Final, Experiment]] = []
    passed: Passes = []
    retests: Retests = []
    for told, experiment in _judged(state, rules):
        judgement = (let_go(state, told, experiment) or told) if isinstance(told, Retest) else told
        match judgement:
            case Final(verdict="kept") as final:
                kept.append((final, experiment))
            case Final(verdict, reason, evidence):
                moves.append(Judge(experiment.id, verdict, reason, evidence))
            case Passed() as good:
                passed.append((good, experiment))
            case Retest() as retest:
                retests.append((retest, experiment))
    if kept and not state.uncommitted:  # one at a time: the next must beat the new baseline
        final, experiment = min(kept, key=lambda pair: pair[0].evidence.delta if pair[0].evidence else 0.0)
        moves.append(Judge(experiment.id, final.verdict, final.reason, final.evidence))
    there = validated(state, passed, rules) if passed else ()
    moves += [Screen(experiment.id, good.reason, good.evidence) for good, experiment in there]
    retests.sort(key=lambda pair: (not pair[1].promoted, -pair[0].sigmas))
    retests = confirmed(state, retests, lead(state, rules)) if retests else []
    moves += [
        AskAgain(experiment.id, retest.reason, retest.evidence)
        for retest, experiment in retests
        if experiment.status != "retest" or _basis(experiment.evidence) != _basis(retest.evidence)
    ]
    return moves, retests


def _judged(state: State, rules: Rules) -> Iterator[tuple[Judgement, Experiment]]:
    """Of all open experiments that no operator wants to see again, without those of which there is nothing to say."""
    for experiment in [state.experiments[name] for name in state.open if name not in state.reruns]:
        judgement = judge(state, experiment, rules)
        if not isinstance(judgement, Wait):
            yield judgement, experiment


def _basis(evidence: Evidence | None) -> tuple[str, int] | None:
    """What makes a reason to run again a new one; that the noise estimate moved does not."""
    return (evidence.against, evidence.runs) if evidence is not None else None


# --- asking -----------------------------------------------------------------------------------------------------------


def _ask(state: State, rules: Rules, places: Room, now: float) -> Iterator[Ask]:
    """Ask while fewer experiments are queued than will have a place, on a GPU or to wait for one, by the answer."""
    left = remaining(state)
    if state.asked is not None or state.gave_up or left == 0:
        return
    if state.waits is not None and now < state.waits.until:
        return
    if not rules.overlap and (state.active or state.open):
        return
    takes = state.think_s * EARLY + EARLY_S
    early = takes if state.think_s > QUICK * state.duration_s else 0.0  # else it is better to know more
    freeing = places.free.total() + sum(places.ready[kind] for kind in tiers(state).screen)
    freeing += sum(_ends_within(state, run, now, early) for run in state.active)
    if len(queued(state)) < freeing:
        slots = max(freeing, _at_once(state, takes))
        yield Ask(slots if left is None else min(slots, left))


def _at_once(state: State, takes: float) -> int:
    """Experiments per answer that keep the fleet busy: what is free by the time of the next answer, and some more.

    Fewer per answer means that each wave is planned from fresher results.
    """
    if not state.duration_s:
        return len(state.gpus)
    return min(len(state.gpus), math.ceil(SPARE * len(state.gpus) * takes / state.duration_s))


def _ends_within(state: State, run: RunId, now: float, seconds: float) -> bool:
    started = state.runs[run].started_at
    if not seconds or not state.duration_s or started is None:
        return False
    return now - started + seconds >= state.duration_s
