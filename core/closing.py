"""The end of a session: fresh runs of the best and of the start, in time, so that the gain it reports is not luck.

Knows states and limits; launches nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean

from core.ids import BASELINE, ExperimentId
from core.money import HOUR_S, spent_usd, usd_hour
from core.state import State
from core.tiers import MIN_RUNS, keeps_failing
from core.verdict import Rules, fresh, fresh_start, measured_on
from core.views import elapsed, remaining

Missing = list[tuple[ExperimentId, str]]


def closes(state: State, rules: Rules, now: float) -> bool:
    """Whether the last report comes before everything else: a limit is as near as its runs take."""
    limits, missing = state.limits, missing_runs(state, rules)
    if not missing:
        return False
    if is_through(state) or _looks_reached(state):
        return True
    if limits.max_hours is not None and limits.max_hours * HOUR_S - elapsed(state, now) <= _takes_s(state, missing):
        return True
    spent = spent_usd(state, now) if limits.max_usd is not None else None
    return limits.max_usd is not None and spent is not None and limits.max_usd - spent <= _costs_usd(state, missing)


def is_through(state: State) -> bool:
    """Nothing more will be tried, and everything is judged."""
    return (remaining(state) == 0 or bool(state.gave_up)) and not state.open


def missing_runs(state: State, rules: Rules) -> Missing:
    """Of the best and of the start, on the type that the best was kept on, those that go on left out."""
    champion = state.experiments[state.baseline]
    if champion.evidence is None:
        return []
    kind = champion.evidence.gpu_type
    mine = (state.runs[run] for run in state.active)
    going_on = Counter(run.experiment for run in mine if run.gpu_type == kind)
    done = {champion.id: fresh(state, champion.id, kind), BASELINE: fresh_start(state, kind)}
    return [
        (name, kind)
        for name, scores in done.items()
        if not keeps_failing(state, name, kind)
        for _ in range(rules.final_runs - len(scores) - going_on[name])
    ]


def reached(state: State, rules: Rules) -> float | None:
    """The val_bpb of the best if it is at the target, on runs that it was not kept for; None if not, or not yet."""
    kind = measured_on(state, state.baseline)
    is_last = rules.final_runs < MIN_RUNS or keeps_failing(state, state.baseline, kind)  # there will be no others
    return _at_target(state, _scores(state) if is_last else fresh(state, state.baseline, kind))


def _looks_reached(state: State) -> bool:
    return _at_target(state, _scores(state)) is not None


def _scores(state: State) -> tuple[float, ...]:
    """Of the best, on the type it was measured on."""
    return state.scores.get((state.baseline, measured_on(state, state.baseline)), ())


def _at_target(state: State, scores: tuple[float, ...]) -> float | None:
    """Their mean, once more than one run says so."""
    target = state.limits.target_bpb
    mean = fmean(scores) if len(scores) >= MIN_RUNS else None
    return mean if mean is not None and target is not None and mean <= target else None


def _takes_s(state: State, missing: Missing) -> float:
    """Until the last of them has started; the first waits for a GPU."""
    kind = missing[0][1]
    gpus = sum(gpu.type == kind and not gpu.held_by for gpu in state.gpus)
    return state.duration_s * (1 + math.ceil(len(missing) / max(1, gpus)))


def _costs_usd(state: State, missing: Missing) -> float:
    """With what the runs cost that go on."""
    prices = sum(state.prices.get(kind, 0.0) for _, kind in missing)
    return (prices + usd_hour(state)) * state.duration_s / HOUR_S
