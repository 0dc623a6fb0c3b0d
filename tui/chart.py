"""The val_bpb chart in a plain terminal, and the summary under it.

plotext has one figure per process; it is hidden here behind a pure function from a state to text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from core.ids import BASELINE
from core.state import State
from core.telling import GLYPHS
from core.views import elapsed, estimate, improvement, proposed
from tui.ledger import shares
from tui.widgets.viewport import ticks

CLIP = 0.85  # of the results decide the limits: a few disasters must not squeeze the interesting band
TINTS = {"kept": "green+", "discarded": "gray", "open": "blue+", "crashed": "red+"}
MARKS = {**GLYPHS, "discarded": "•", "open": "◦"}  # the many discarded ones are to be small
LEGEND = "  ".join(f"{MARKS[verdict]} {verdict}" for verdict in TINTS)
TITLE = f"val_bpb   {LEGEND} (on the floor)  ─ best so far"
SIMULATED = f"SIMULATED val_bpb  {LEGEND}  ─ best so far"


class Point(msgspec.Struct, frozen=True):
    number: int  # of the experiment; 0 is the baseline as found
    val_bpb: float | None  # mean of its runs; None for a crash
    verdict: str  # kept, discarded, crashed, open


def points(state: State) -> list[Point]:
    """One per experiment that has a result or crashed."""
    found: list[Point] = []
    for experiment in state.experiments.values():
        measured = estimate(state, experiment.id)
        verdict = "open" if experiment.is_open else experiment.status
        if measured is not None or verdict == "crashed":
            number = int(experiment.id[1:]) if experiment.id[1:].isdecimal() else len(found)
            found.append(Point(number, measured.mean if measured else None, verdict))
    return found


def staircase(state: State) -> list[tuple[int, float]]:
    """Best so far: (experiment number, mean) of each baseline in turn."""
    found = {name: measured.mean for name in state.lineage if (measured := estimate(state, name))}
    return sorted((int(name[1:]), mean) for name, mean in found.items() if name[1:].isdecimal())


def limits(values: list[float]) -> tuple[float, float]:
    """Of the vertical axis: all but the worst, which are drawn at its upper end, with a margin."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[max(0, min(len(ordered) - 1, round(CLIP * (len(ordered) - 1))))]
    margin = (high - low) * 0.06 or abs(high) * 0.01 or 0.01
    return low - 2 * margin, high + margin


def chart(state: State, *, width: int = 78, height: int = 18, colour: bool = False) -> str:
    """The chart as lines of text; "" before there is anything to draw."""
    found = points(state)
    scored = [point.val_bpb for point in found if point.val_bpb is not None]
    if len(scored) < 2:
        return ""
    import plotext

    low, high = limits(scored)
    last = max(point.number for point in found)
    plotext.terminal.limit(False, False)  # it would clamp to the process's terminal, which may be none
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.canvas("default")
    _staircase(figure, plotext.marker, staircase(state), last)
    for verdict in ("discarded", "crashed", "open", "kept"):
        marks = [
            (point.number, low if point.val_bpb is None else min(point.val_bpb, high))
            for point in found
            if point.verdict == verdict
        ]
        _draw(figure, plotext.marker, marks, MARKS[verdict], TINTS[verdict])
    _rulers(figure, low, high, last)
    text = str(figure.build().string())
    text = text if colour else str(plotext.uncolorize(text))
    title = SIMULATED if state.simulated else TITLE
    return "\n".join((title, *(row.rstrip() for row in text.rstrip("\n").splitlines())))


def _rulers(figure: Any, low: float, high: float, last: int) -> None:
    figure.ruler(1).lim(low, high)
    figure.ruler(0).lim(-0.5, last + 0.5)
    heights = ticks(low, high, 8)
    digits = max(0, -math.floor(math.log10(heights[1] - heights[0]))) if len(heights) > 1 else 4
    figure.ruler(1).ticks(heights, [f"{value:.{digits}f}" for value in heights])
    numbers = [value for value in ticks(0, last, 10) if value == int(value)]
    figure.ruler(0).ticks(numbers, [f"e{value:.0f}" for value in numbers])


def _staircase(figure: Any, marker: Any, steps: Sequence[tuple[int, float]], last: int) -> None:
    """Each level holds until the next begins."""
    for i, (number, value) in enumerate(steps):
        until = steps[i + 1][0] if i + 1 < len(steps) else last
        _draw(figure, marker, [(number, value), (until, value)], "─", "green+", lines=True)
        if i + 1 < len(steps):
            _draw(figure, marker, [(until, value), (until, steps[i + 1][1])], "│", "green+", lines=True)


def _draw(
    figure: Any, marker: Any, marks: Sequence[tuple[float, float]], symbol: str, tint: str, *, lines: bool = False
) -> None:
    if not marks:
        return
    signal = figure.signal([x for x, _ in marks], [y for _, y in marks], marker=marker(symbol, tint))
    if lines:
        signal.lines()
    figure.draw(signal)


def summary(state: State, now: float | None = None) -> str:
    """What was reached, where the time of the slots went, and what to mind."""
    now = state.at if now is None else now
    reached = _reached(state)
    kept = state.counts.get("kept", 0)
    done = proposed(state) - len(state.open)
    used = elapsed(state, now)
    took = f"{used / 60:.1f} min" if used >= 60 else f"{used:.0f} s"
    counts = f"{_count(done, 'experiment')}, {kept} kept, {_count(state.ended, 'run')} in {took}"
    lines = [
        f"SIMULATED: {reached}" if state.simulated else reached,
        f"{counts}; slots: {shares(state, now) or 'unused'}",
    ]
    if state.imported:
        lines.append(f"{_count(len(state.imported), 'imported row')} from elsewhere, for comparison")
    if any(len(scores) > 2 and len(set(scores)) == 1 for scores in state.scores.values()):
        lines.append("Runs with different seeds gave identical results: train.py seems to ignore AUTORESEARCH_SEED.")
    return "\n".join(lines)


def _reached(state: State) -> str:
    """ "val_bpb 2.5951 → 2.1032: −19.0 % ± 0.8 % (e12 on cpu, 3 fresh runs, 3 of the start; 95 %)" """
    gain = improvement(state)
    if gain is None:
        start = estimate(state, BASELINE) if state.experiments else None
        if start is None:
            return "nothing measured yet"
        half = (start.high - start.low) / 2
        return f"val_bpb {start.mean:.4f} ± {half:.4f} (nothing better yet; {_count(start.runs, 'run')}, 95 % interval)"
    runs = f"{gain.runs} {'fresh ' if gain.is_fresh else ''}run{'s' * (gain.runs != 1)}"
    digits = 2 if gain.half_percent < 0.05 else 1
    change = f"{gain.percent:+.{digits}f} % ± {gain.half_percent:.{digits}f} %".replace("-", "−")
    but = "" if gain.is_fresh else ", the ones it was chosen for"
    other = f"{gain.start_runs}{' fresh' if gain.start_is_fresh else ''} of the start"
    where = f"{gain.champion} on {gain.gpu_type}, {runs}{but}, {other}; 95 % interval"
    return f"val_bpb {gain.start:.4f} → {gain.end:.4f}: {change} ({where})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
