"""The loss curve of a run against the baseline's on the same GPU type, as lines.

Pure. Curves come thinned from the state: training loss at every twentieth of the budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from core.ids import ExperimentId, RunId
from core.state import CURVE_POINTS, Curve, Experiment, Run, State
from tui.glyphs import UNICODE, Glyphs
from tui.numbers import MINUS
from tui.paint import EMPTY, Line, Span, line
from tui.plot import BRAILLE, Layer, plot
from tui.safe import line as safe
from tui.safe import wrap
from tui.widgets.margins import scale
from tui.widgets.pieces import cut

Point = tuple[int, float]  # twentieths of the budget, loss
SETTLED = 4  # twentieths after which the loss decides the limits: it starts far above


def curve_lines(
    state: State, experiment: Experiment, run: RunId | None, width: int, height: int, glyphs: Glyphs = UNICODE
) -> list[Line]:
    """At most `height` lines; a sentence where there is no curve."""
    shown = state.runs.get(run) if run else None
    own = points(curve_of(state, shown)) if shown else []
    if shown is None or not own:
        return [line((part, "muted")) for part in wrap(_why_none(experiment, shown), width)]
    other = against(state, experiment, shown)
    theirs = points(curve_of(state, other)) if other else []
    legend = _legend(shown, other if theirs else None, own, theirs, glyphs)
    lines = [legend, *_differences(own, theirs)]
    return [cut(each, width) for each in (*lines, *_plotted(own, theirs, width, height - len(lines), glyphs))]


def curve_of(state: State, run: Run) -> Curve:
    return run.curve or state.curves.get(run.id, ())


def points(curve: Curve) -> list[Point]:
    return [(i, loss) for i, loss in enumerate(curve) if loss is not None and math.isfinite(loss)]


def against(state: State, experiment: Experiment, run: Run) -> Run | None:
    """The latest run with a curve of what it was judged against, else of its parent, else of the baseline."""
    names = [experiment.evidence.against] if experiment.evidence else []
    names += [experiment.parent] if experiment.parent else []
    for name in dict.fromkeys([*names, state.baseline]):
        if name != experiment.id and (found := _with_curve(state, name, run.gpu_type)):
            return found
    return None


def _with_curve(state: State, name: ExperimentId, gpu_type: str) -> Run | None:
    experiment = state.experiments.get(name)
    runs = [state.runs[each] for each in reversed(experiment.runs) if each in state.runs] if experiment else []
    return next((run for run in runs if run.gpu_type == gpu_type and curve_of(state, run)), None)


def _why_none(experiment: Experiment, run: Run | None) -> str:
    if run is None:
        return f"{experiment.id} has not run yet."
    if run.ended_at is None:
        return f"{run.id} is on its way; it has reported no loss yet."
    return f"{run.id} reported no loss."


def _legend(run: Run, other: Run | None, own: Sequence[Point], theirs: Sequence[Point], glyphs: Glyphs) -> Line:
    at, loss = own[-1]
    spans: list[Span] = [
        (f"{glyphs.horizontal * 2} {run.id}", "run-running bold"), (f" loss {loss:.4f} at {_percent(at)}  ", ""),
    ]  # fmt: skip
    if other is not None:
        spans += [
            (f"{glyphs.dot * 2} {other.id}", "baseline"),
            (f" {theirs[-1][1]:.4f} at {_percent(theirs[-1][0])}  ", ""),
        ]
    return (*spans, (f"on {safe(run.gpu_type, 16)}", "muted"))


def _differences(own: Sequence[Point], theirs: Sequence[Point]) -> list[Line]:
    """At every quarter of the budget and at the latest point: lines alone cannot show what decides."""
    both, latest = dict(theirs), own[-1][0]
    quarters = {CURVE_POINTS * quarter // 4 for quarter in (1, 2, 3, 4)} | {latest}
    spans: list[Span] = [("change ", "muted")]
    for at, loss in own:
        if at in quarters and at in both:
            change = loss - both[at]
            spans += [
                (f"  {100 * at // CURVE_POINTS}% ", "muted"),
                (f"{change:+.3f}".replace("-", MINUS), "better" if change < 0 else "worse"),
            ]
    return [tuple(spans)] if len(spans) > 1 else []


def _plotted(own: Sequence[Point], theirs: Sequence[Point], cells: int, height: int, glyphs: Glyphs) -> list[Line]:
    rows = height - 1
    if rows < 2 or cells < 20:
        return []
    settled = [loss for at, loss in (*own, *theirs) if at >= SETTLED] or [loss for _, loss in own]
    low, high = min(settled), max(settled)
    margin = (high - low) * 0.05 or 0.01
    low, high = low - margin, high + margin
    labels = scale((low, high), rows, 0)
    left = max(map(len, labels.values()), default=4) + 2
    across = cells - left

    def placed(found: Sequence[Point]) -> list[tuple[float, float]]:
        return [
            (at / CURVE_POINTS * (across - 1), (loss - low) / (high - low) * (rows - 1))
            for at, loss in found
            if loss <= high
        ]

    symbol = BRAILLE if glyphs is UNICODE else glyphs.best
    layers = [
        Layer("baseline", glyphs.dot, [at for pair in _dense(placed(theirs)) for at in pair]),
        Layer("run-running bold", symbol, placed(own), joined=True),
    ]
    drawn = plot(layers, across, rows)
    body: list[Line] = [
        (*line((f"{labels.get(rows - 1 - y, ''):>{left - 2}} ", "muted"), (glyphs.vertical, "border")), *row)
        for y, row in enumerate(drawn)
    ]
    return [*body, _budget(left, across)]


def _dense(found: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Points between the points, a cell apart, so that dots look like a line."""
    made = [[found[0]]] if found else []
    for (x0, y0), (x1, y1) in pairwise(found):
        steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0))))
        made.append([(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(1, steps + 1)])
    return made


def _budget(left: int, across: int) -> Line:
    middle, end = "50 %", "100 % of the budget"
    if across < 40:
        return EMPTY
    gap = across // 2 - 2 - 3
    return line((" " * left + "0 %" + " " * gap + middle + f"{end:>{across - 3 - gap - 4}}", "muted"))


def _percent(at: int) -> str:
    return f"{100 * at // CURVE_POINTS} %"
