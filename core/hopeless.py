"""Runs that are not worth finishing: their loss is far outside what the baseline's runs did at the same point.

Conservative on purpose. A run is hopeless when, twice in a row and after a quarter of its budget, its training loss is
more than FAR standard deviations above the baseline's at that point and also above what the baseline had reached in
half that time: it learns at less than half the speed. A higher learning rate that catches up later does not do that.
Knows states; stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from core.ids import RunId
from core.merging import rival
from core.state import CURVE_POINTS, Curve, Run, State

EARLIEST = CURVE_POINTS // 4
FAR = 10.0  # standard deviations
LEAST_SD = 0.005  # relative: few curves may agree by chance
FEWEST = 3  # curves of the baseline


def hopeless(state: State) -> Iterator[tuple[RunId, str]]:
    """First runs of open experiments to be stopped, each with its reason."""
    for name in state.active:
        run, curve = state.runs[name], state.curves.get(name, ())
        experiment = state.experiments[run.experiment]
        watched = run.purpose == "first" and not run.stopped and not experiment.promoted and experiment.is_open
        if watched and len(curve) > EARLIEST + 1:
            reason = _far_off(curve, _curves(state, run))
            if reason:
                yield name, reason


def _curves(state: State, like: Run) -> list[Curve]:
    """Of finished runs of what it is compared with, on the same GPU type."""
    against = rival(state, state.experiments[like.experiment])
    runs = (state.runs[name] for name in state.experiments[against].runs)
    return [run.curve for run in runs if run.gpu_type == like.gpu_type and len(run.curve) > EARLIEST]


def _far_off(curve: Curve, known: Sequence[Curve]) -> str:
    if len(known) < FEWEST:
        return ""
    point = len(curve) - 1
    if not all(_is_far(curve, known, where) for where in (point - 1, point)):
        return ""
    mean = fmean(_at(known, point))
    return f"loss {curve[point]:.3f} at {point / CURVE_POINTS:.0%} of its budget, where the baseline had {mean:.3f}"


def _is_far(curve: Curve, known: Sequence[Curve], point: int) -> bool:
    loss, here, half = curve[point], _at(known, point), _at(known, point // 2)
    if loss is None or len(here) < FEWEST or len(half) < FEWEST or loss <= max(half):
        return False
    return loss > fmean(here) + FAR * max(stdev(here), LEAST_SD * fmean(here))


def _at(known: Sequence[Curve], point: int) -> list[float]:
    return [loss for curve in known if point < len(curve) and (loss := curve[point]) is not None]
