"""Which candidates are worth confirming now: cells of designs are rivals, and the best of them goes first.

A cell that looks much worse than the best open one will lose to it anyway, whatever wave either is from; so it waits
until the best is judged. Free ideas are no rivals: each may add to the others. Knows evidence; launches nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

import msgspec

from core.events import Evidence
from core.judging import grounds, standing
from core.known import Known
from core.merging import is_free
from core.state import Experiment, State
from core.tiers import disagree
from core.verdict import Final, Passed, Retest, Rules, describe, is_within_reach

CANDIDATES = 2  # cells of designs that are confirmed at a time, the most promising first
FAR = 4.0  # standard errors of their difference by which one looks worse than the best, so that it waits
PASSED_OVER = 3  # waves planned since a cell was measured, after which it is not waited for
TOP = 3  # of the cells on the validation tier at a time

Retests = list[tuple[Retest, Experiment]]
Passes = list[tuple[Passed, Experiment]]


class Lead(msgspec.Struct, frozen=True):
    """The best open cell: its difference from the baseline, memory paid, and the standard error of its own mean."""

    value: float
    error: float


def lead(state: State, rules: Rules) -> Lead | None:
    """None while no open cell of a design has been measured beside the baseline."""
    return _leads("", (state.open, state.experiments, state.waves, grounds(state, rules)), lambda: _best(state, rules))


_leads = Known[Lead | None](1)


def _best(state: State, rules: Rules) -> Lead | None:
    cells = (state.experiments[name] for name in state.open)
    found = (standing(state, cell, rules) for cell in cells if cell.runs and not is_free(state, cell))
    return min((_lead(each) for each in found if each is not None), key=lambda each: each.value, default=None)


def lead_for_validation(state: State, rules: Rules) -> Lead | None:
    """As `lead`; None also while the tiers order experiments differently, so that the screening settles nothing."""
    return None if disagree(state) else lead(state, rules)


def _lead(evidence: Evidence) -> Lead:
    return Lead(evidence.delta + evidence.price, evidence.noise_sd / math.sqrt(evidence.runs))


def is_behind(evidence: Evidence, best: Lead | None) -> bool:
    """Whether it looks so much worse than the best that confirming it is not worth a run now."""
    mine = _lead(evidence)
    return best is not None and mine.value - best.value > FAR * math.hypot(mine.error, best.error)


def confirmed(state: State, retests: Retests, best: Lead | None) -> Retests:
    """Those to be confirmed now, in the order they came in."""
    taken = 0
    chosen: Retests = []
    for retest, experiment in retests:
        if experiment.promoted or is_free(state, experiment):
            chosen.append((retest, experiment))
        elif taken < CANDIDATES and (retest.evidence is None or not is_behind(retest.evidence, best)):
            taken += 1
            chosen.append((retest, experiment))
    return chosen


def let_go(state: State, retest: Retest, experiment: Experiment) -> Final | None:
    """The end of a cell that one run left undecided, that only many more could confirm and that nobody returned to.

    Its result is in the fitted effects, and the researcher has planned PASSED_OVER waves since with it in mind.
    """
    evidence = retest.evidence
    may_add = is_free(state, experiment) or experiment.promoted or experiment.screened or experiment.lines < 0
    if evidence is None or may_add or is_within_reach(evidence):
        return None
    measured = max((state.runs[run].ended_at or 0.0 for run in experiment.runs), default=0.0)
    latest = list(islice(reversed(state.waves.values()), PASSED_OVER))
    if len(latest) < PASSED_OVER or latest[-1].planned_at <= measured:
        return None
    reason = f"{describe(evidence)}: too small to tell from noise soon, and research went on elsewhere"
    return Final("discarded", reason, evidence, retest.sigmas)


def validated(state: State, passed: Passes, rules: Rules) -> Iterator[tuple[Passed, Experiment]]:
    """The best cells go to the validation tier, TOP at a time and more while the tiers disagree; free ideas all do."""
    best, places = lead_for_validation(state, rules), TOP * (1 + disagree(state))
    there = _ahead(state, best, rules)
    for good, experiment in sorted(passed, key=lambda pair: pair[0].evidence.delta):
        if is_free(state, experiment):
            yield good, experiment
        elif there < places and not is_behind(good.evidence, best):
            there += 1
            yield good, experiment


def is_worth_validating(state: State, cell: Experiment, best: Lead | None, rules: Rules) -> bool:
    """Whether a cell that has passed the screening still looks good beside the present baseline and the best."""
    now = standing(state, cell, rules)
    return now is None or not is_behind(now, best)


def _ahead(state: State, best: Lead | None, rules: Rules) -> int:
    there = (state.experiments[name] for name in state.open)
    cells = [cell for cell in there if cell.screened and not is_free(state, cell)]
    return sum(is_worth_validating(state, cell, best, rules) for cell in cells)
