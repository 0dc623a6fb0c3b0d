"""Which run goes to which free GPU next, and which wait for one: `launches(state, rules, room, retests, now)`.

The order: what the baseline still needs to be compared with, candidates that could be noise, new experiments, and,
where nothing of that is left, replicates, so that no GPU waits. Performs nothing and judges nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from zlib import crc32

import msgspec

from core.closing import closes, missing_runs
from core.events import Purpose, Tier
from core.ids import ExperimentId, RunId, run_id
from core.merging import is_free, may_validate, rival
from core.rivals import Retests, is_worth_validating, lead_for_validation
from core.room import Room
from core.state import Experiment, State
from core.tiers import MIN_RUNS, Tiers, keeps_failing, tiers
from core.verdict import (
    Rules,
    baseline_runs,
    is_within_reach,
    judged_on,
    measured_on,
    reference,
)
from core.views import is_held, queued

PATIENCE_S = 1.0  # a researcher that answers within this gets its answer launched, not replicates
SPARE_REPLICATES = 8  # of the baseline on one GPU type, when there is nothing better to run
MOST_FOR_RETESTS = 12
FLEET = 8  # GPUs from which on one more run costs less than waiting for it

Want = tuple[ExperimentId, str, Purpose]
REPLICATE: Purpose = "replicate"


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId
    experiment: ExperimentId
    gpu_type: str
    seed: int
    tier: Tier = "screen"
    purpose: Purpose = "first"


def launches(state: State, rules: Rules, room: Room, retests: Retests, now: float) -> Iterator[Launch]:
    """Fills free GPUs, most useful first, and then the queue beyond them; takes what it uses out of `room`.

    What only keeps a GPU from idling does not wait for one.
    """
    counts: Counter[ExperimentId] = Counter()
    levels = tiers(state)
    missing = _Missing(state)
    last: list[Want] = [(*run, REPLICATE) for run in missing_runs(state, rules)] if closes(state, rules, now) else []
    wanted = ((want, True) for want in chain(last, _wanted(state, rules, room, retests, levels, missing)))
    spare = ((want, False) for want in _spare(state, rules, room, retests, missing, now))
    for (name, gpu_type, purpose), may_wait in chain(wanted, spare):
        if room.take(gpu_type, may_wait=may_wait):
            experiment = state.experiments[name]
            run = run_id(name, len(experiment.runs) + 1 + counts[name])
            counts[name] += 1
            validates = gpu_type in levels.validate and (
                experiment.promoted or (experiment.screened and levels.are_two)
            )
            yield Launch(
                run=run,
                experiment=name,
                gpu_type=gpu_type,
                seed=crc32(f"{state.seed}/{run}".encode()) & 0x7FFFFFFF,
                tier="validate" if validates else "screen",
                purpose=purpose,
            )


def _wanted(
    state: State, rules: Rules, room: Room, retests: Retests, levels: Tiers, missing: _Missing
) -> Iterator[Want]:
    """What is needed for a verdict."""
    compared = _compared(state)
    for_free = any(is_free(state, state.experiments[name]) for name in state.open)
    for name, gpu_type in compared:
        yield from missing(name, gpu_type, baseline_runs(state, name, gpu_type, rules, for_free))
    yield from _reruns(state, levels, room)
    soon, later = _by_reach(state, retests)
    yield from _validations(state, levels, rules, room)
    yield from _repeats(state, rules, soon, 0)
    for name, gpu_type in compared:
        yield from missing(name, gpu_type, _for_retests(state, soon, name, gpu_type))
    yield from _firsts(state, levels, room)
    yield from _repeats(state, rules, later, 0)


def _spare(state: State, rules: Rules, room: Room, retests: Retests, missing: _Missing, now: float) -> Iterator[Want]:
    """What is better than a GPU that idles: more repeats of a candidate at a time, and replicates of the baseline."""
    for extra in range(1, 1 + rules.max_retests):
        yield from _repeats(state, rules, retests, extra)
    if rules.replicates and _is_idle(state, now):
        for gpu_type in list(room.free):
            yield from missing(state.baseline, gpu_type, SPARE_REPLICATES)


class _Missing:
    """Runs that a baseline still lacks, those that were asked for before in the same plan left out."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._planned: Counter[tuple[ExperimentId, str]] = Counter()

    def __call__(self, name: ExperimentId, gpu_type: str, enough: int) -> Iterator[Want]:
        for want in _replicates(self._state, name, gpu_type, enough - self._planned[name, gpu_type]):
            self._planned[name, gpu_type] += 1
            yield want


def _by_reach(state: State, retests: Retests) -> tuple[Retests, Retests]:
    """Those that come before new experiments, and those that wait for GPUs with nothing better to do.

    A cell of a design that only many more runs could confirm is better judged by its neighbours.
    """
    soon = [
        (retest, experiment)
        for retest, experiment in retests
        if retest.evidence is None
        or experiment.promoted
        or is_free(state, experiment)
        or is_within_reach(retest.evidence)
    ]
    return soon, [pair for pair in retests if pair not in soon]


def _is_idle(state: State, now: float) -> bool:
    return state.asked is not None and now - state.asked.at >= PATIENCE_S


def _repeats(state: State, rules: Rules, retests: Retests, extra: int) -> Iterator[Want]:
    for retest, experiment in retests:
        done = retest.evidence.runs if retest.evidence else 0
        if extra == 0 or done + extra <= rules.max_retests:
            yield experiment.id, judged_on(state, experiment), "retest"


def _reruns(state: State, levels: Tiers, room: Room) -> Iterator[Want]:
    """Runs that operators wished for: where the experiment is judged or was measured, else wherever there is room."""
    for name, count in state.reruns.items():
        experiment = state.experiments[name]
        anywhere = room.widest(levels.screen + levels.validate)
        there = judged_on(state, experiment) or measured_on(state, name) or anywhere
        for _ in range(count if there else 0):
            yield name, there, "retest" if experiment.is_open else "replicate"


def _validations(state: State, levels: Tiers, rules: Rules, room: Room) -> Iterator[Want]:
    """Runs on the validation tier of what passed the screening, the best first: as many at once as a verdict needs."""
    if not levels.are_two:
        return
    screened = [experiment for name in state.open if (experiment := state.experiments[name]).screened]
    best = lead_for_validation(state, rules) if screened else None
    for experiment in sorted(screened, key=lambda each: each.screening.delta if each.screening else 0.0):
        there = judged_on(state, experiment)
        if (experiment.id, there) in state.scores:
            continue  # what it lacks now, its verdict says
        if not there and not may_validate(state, experiment):
            continue
        if not there and not is_free(state, experiment) and not is_worth_validating(state, experiment, best, rules):
            continue
        kind = there or room.widest(levels.validate)
        for _ in range(MIN_RUNS - _under_way(state, experiment, kind)):
            yield experiment.id, kind, "retest"


def _under_way(state: State, experiment: Experiment, gpu_type: str) -> int:
    return sum(run in state.active and state.runs[run].gpu_type == gpu_type for run in experiment.runs)


def _firsts(state: State, levels: Tiers, room: Room) -> Iterator[Want]:
    """New experiments: on the screening tier, or wherever a GPU is free; promoted ones on the validation tier first.

    They wait for a GPU of their own tier alone: what is to be validated finds no queue before it.
    """
    for name in queued(state):
        if is_held(state, name):
            continue
        experiment = state.experiments[name]
        hopeful = _is_hope(state, experiment)
        ahead = experiment.promoted or hopeful
        own, other = (levels.validate, levels.screen) if ahead else (levels.screen, levels.validate)
        there = (kind for kind in own + other if room.free[kind] > 0)
        kind = next(there, None) or next((kind for kind in own if room.ready[kind] > 0), None)
        if kind is None:
            return
        yield name, kind, "first"
        if hopeful:
            yield name, kind, "retest"
    for experiment in (state.experiments[name] for name in state.open):  # promoted after it was screened
        idle = not any(run in state.active for run in experiment.runs)
        if experiment.promoted and idle and measured_on(state, experiment.id) and not judged_on(state, experiment):
            yield experiment.id, room.widest(levels.validate), "retest"


def _is_hope(state: State, experiment: Experiment) -> bool:
    """The first of a wave that lists points is where its researcher expects most: a fleet runs it twice at once, and
    where it would be validated, so that the baseline moves a run or two earlier."""
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    if wave is None or wave.design is None or len(state.gpus) < FLEET:
        return False
    return wave.design.kind == "list" and wave.experiments[:1] == (experiment.id,)


def _for_retests(state: State, retests: Retests, name: ExperimentId, gpu_type: str) -> int:
    """Runs of a baseline that make repeats of these candidates worth their time.

    Of all ways to share runs between k candidates and the baseline that they are compared with, √k times as many for
    the baseline gives the least error (Dunnett, J. Am. Stat. Assoc. 50, 1955, p. 1107).
    """
    cells = [experiment for _, experiment in retests if not is_free(state, experiment)]
    free = [e for each in state.open if is_free(state, e := state.experiments[each]) and e.status == "retest"]
    found = (experiment.evidence for experiment in (*cells, *free) if experiment.evidence is not None)
    runs = [e.runs + 1 for e in found if (e.against, e.gpu_type) == (name, gpu_type)]
    return min(MOST_FOR_RETESTS, math.ceil(math.sqrt(len(runs)) * max(runs, default=0)))


def _compared(state: State) -> list[tuple[ExperimentId, str]]:
    """What experiments are, or soon will be, compared with: the baseline everywhere, older ones where they must."""
    open_now = (state.experiments[name] for name in state.open)
    older = ((rival(state, e), judged_on(state, e)) for e in open_now if e.parent != state.baseline and not e.screened)
    types = dict.fromkeys(gpu.type for gpu in state.gpus)
    return list(dict.fromkeys([*((state.baseline, kind) for kind in types), *(pair for pair in older if pair[1])]))


def _replicates(state: State, name: ExperimentId, gpu_type: str, enough: int) -> list[Want]:
    """Runs that are missing until `name` has `enough` on this type."""
    if keeps_failing(state, name, gpu_type):
        return []
    finished = reference(state, name, gpu_type)
    mine = (state.runs[run] for run in state.active)
    going_on = sum(run.experiment == name and run.gpu_type == gpu_type for run in mine)
    return [(name, gpu_type, REPLICATE)] * max(0, enough - len(finished) - going_on)
