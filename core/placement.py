"""Which run goes to which free GPU next: `launches(state, rules, retests, now)`.

The order: what the baseline still needs to be compared with, candidates that could be noise, new experiments, and,
where nothing of that is left, replicates, so that no GPU waits. Performs nothing and judges nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from zlib import crc32

import msgspec

from core.events import Purpose, Tier
from core.ids import BASELINE, ExperimentId, RunId, run_id
from core.merging import may_validate, rival
from core.state import Experiment, State
from core.tiers import MIN_RUNS, Tiers, keeps_failing, tiers
from core.verdict import (
    Retest,
    Rules,
    baseline_runs,
    fresh,
    judged_on,
    measured_on,
    reference,
)
from core.views import queued, remaining

PATIENCE_S = 1.0  # a researcher that answers within this gets its answer launched, not replicates
SPARE_REPLICATES = 8  # of the baseline on one GPU type, when there is nothing better to run
MOST_FOR_RETESTS = 12

Retests = list[tuple[Retest, Experiment]]
Want = tuple[ExperimentId, str, Purpose]


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId
    experiment: ExperimentId
    gpu_type: str
    seed: int
    tier: Tier = "screen"
    purpose: Purpose = "first"


def launches(state: State, rules: Rules, room: Counter[str], retests: Retests, now: float) -> Iterator[Launch]:
    """Fills free GPUs, most useful first; takes what it uses out of `room`."""
    counts: Counter[ExperimentId] = Counter()
    levels = tiers(state)
    for name, gpu_type, purpose in _wanted(state, rules, room, retests, levels, now):
        if room[gpu_type] > 0:
            room[gpu_type] -= 1
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
    state: State, rules: Rules, room: Counter[str], retests: Retests, levels: Tiers, now: float
) -> Iterator[Want]:
    compared = _compared(state)
    for name, gpu_type in compared:
        yield from _replicates(state, name, gpu_type, baseline_runs(rules))
    yield from _repeats(state, rules, retests, 0)
    yield from _validations(state, levels, room)
    for name, gpu_type in compared:
        yield from _replicates(state, name, gpu_type, _for_retests(state, name, gpu_type))
    yield from _firsts(state, levels, room)
    for extra in range(1, 1 + rules.max_retests):  # idle GPUs repeat a candidate more than once at a time
        yield from _repeats(state, rules, retests, extra)
    if rules.replicates and _is_idle(state, now):
        for gpu_type in list(room):
            yield from _replicates(state, state.baseline, gpu_type, SPARE_REPLICATES)
    if (remaining(state) == 0 or state.gave_up) and not state.open:
        yield from _report(state, rules)


def _is_idle(state: State, now: float) -> bool:
    return state.asked is not None and now - state.asked.at >= PATIENCE_S


def _repeats(state: State, rules: Rules, retests: Retests, extra: int) -> Iterator[Want]:
    for retest, experiment in retests:
        done = retest.evidence.runs if retest.evidence else 0
        if extra == 0 or done + extra <= rules.max_retests:
            yield experiment.id, judged_on(state, experiment), "retest"


def _validations(state: State, levels: Tiers, room: Counter[str]) -> Iterator[Want]:
    """First runs on the validation tier of what passed the screening, the best first; as many at once as it needs."""
    if not levels.are_two:
        return
    screened = [experiment for name in state.open if (experiment := state.experiments[name]).screened]
    for experiment in sorted(screened, key=lambda each: each.screening.delta if each.screening else 0.0):
        if not judged_on(state, experiment) and may_validate(state, experiment):
            kind = max(levels.validate, key=lambda each: room[each])
            for _ in range(MIN_RUNS):
                yield experiment.id, kind, "retest"


def _firsts(state: State, levels: Tiers, room: Counter[str]) -> Iterator[Want]:
    """New experiments: on the screening tier, or wherever there is room; promoted ones on the validation tier first."""
    for name in queued(state):
        experiment = state.experiments[name]
        order = levels.validate + levels.screen if experiment.promoted else levels.screen + levels.validate
        kind = next((kind for kind in order if room[kind] > 0), None)
        if kind is None:
            return
        yield name, kind, "first"
    for experiment in (state.experiments[name] for name in state.open):  # promoted after it was screened
        idle = not any(run in state.active for run in experiment.runs)
        if experiment.promoted and idle and measured_on(state, experiment.id) and not judged_on(state, experiment):
            yield experiment.id, max(levels.validate, key=lambda kind: room[kind]), "retest"


def _for_retests(state: State, name: ExperimentId, gpu_type: str) -> int:
    """Runs of a baseline that make repeats of candidates worth their time.

    Of all ways to share runs between k candidates and the baseline that they are compared with, √k times as many for
    the baseline gives the least error (Dunnett, J. Am. Stat. Assoc. 50, 1955, p. 1107).
    """
    candidates = (state.experiments[each] for each in state.open)
    found = (e.evidence for e in candidates if e.status == "retest" and e.evidence is not None)
    runs = [e.runs + 1 for e in found if (e.against, e.gpu_type) == (name, gpu_type)]
    return min(MOST_FOR_RETESTS, math.ceil(math.sqrt(len(runs)) * max(runs, default=0)))


def _compared(state: State) -> list[tuple[ExperimentId, str]]:
    """What experiments are, or soon will be, compared with: the baseline everywhere, older ones where they must."""
    open_now = (state.experiments[name] for name in state.open)
    older = ((rival(state, e), judged_on(state, e)) for e in open_now if e.parent != state.baseline and not e.screened)
    types = dict.fromkeys(gpu.type for gpu in state.gpus)
    return list(dict.fromkeys([*((state.baseline, kind) for kind in types), *(pair for pair in older if pair[1])]))


def _replicates(state: State, name: ExperimentId, gpu_type: str, enough: int, *, anew: bool = False) -> list[Want]:
    """Runs that are missing until `name` has `enough` on this type; anew: those that it was kept for do not count."""
    if keeps_failing(state, name, gpu_type):
        return []
    finished = fresh(state, name, gpu_type) if anew else reference(state, name, gpu_type)
    mine = (state.runs[run] for run in state.active)
    going_on = sum(run.experiment == name and run.gpu_type == gpu_type for run in mine)
    return [(name, gpu_type, "replicate")] * max(0, enough - len(finished) - going_on)


def _report(state: State, rules: Rules) -> Iterator[Want]:
    """Fresh runs of the best and of the start, so that the gain that is reported is not the luck of the selection."""
    champion = state.experiments[state.baseline]
    if champion.evidence is None:
        return
    for name in (champion.id, BASELINE):
        yield from _replicates(state, name, champion.evidence.gpu_type, rules.final_runs, anew=True)
