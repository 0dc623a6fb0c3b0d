"""Phases of the research on the chart: a quiet line where one begins, and its name above it where there is room.

Pure: a function of a series, a viewport and where everything stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tui.glyphs import Glyphs
from tui.paint import EMPTY, Line, line
from tui.plot import Layer
from tui.safe import fit
from tui.safe import line as safe
from tui.widgets.frame import Drawing
from tui.widgets.marks import Phase, Series
from tui.widgets.viewport import Viewport

LEAST = 3  # columns between two lines, or none is drawn
SHORTEST = 5  # cells of a name that is cut


def lines(frame: Drawing, series: Series, port: Viewport, glyphs: Glyphs) -> list[Layer]:
    """Where phases begin; the first begins with the session."""
    columns = [first for first, _, _ in _spans(frame, series, port) if first > 0]
    if not columns or any(b - a < LEAST for a, b in pairwise(columns)):
        return []
    points = [(float(x), float(y)) for x in columns for y in range(frame.floor, frame.height)]
    return [Layer("muted", glyphs.phase, points)]


def names(frame: Drawing, series: Series, port: Viewport, glyphs: Glyphs) -> Line:
    """A line above the plot; empty where no name fits."""
    made, end, is_told = " " * frame.left, frame.left, False
    for first, last, name in _spans(frame, series, port):
        mark = glyphs.phase if first > 0 else ""
        begin, room = frame.left + max(0, first), last - max(0, first) - len(mark)
        if first >= frame.width or room < min(SHORTEST, len(name)):
            continue
        made += " " * (begin - end) + mark + fit(name, min(room, len(name)))
        end, is_told = begin + len(mark) + min(room, len(name)), True
    return line((made, "muted")) if is_told else EMPTY


def _spans(frame: Drawing, series: Series, port: Viewport) -> Iterator[tuple[int, int, str]]:
    """The first column of each phase in sight, and the one behind its last; below 0 where it began before."""
    starts = [round(frame.column(_begin(phase, port))) for phase in series.phases]
    starts[:1] = [min(0, each) for each in starts[:1]]  # before its first wave there is nothing else
    for phase, first, end in zip(series.phases, starts, [*starts[1:], frame.width], strict=False):
        if end > 0 and first < frame.width:
            yield first, min(end, frame.width), safe(phase.name, 40)


def _begin(phase: Phase, port: Viewport) -> float:
    return phase.number - 0.5 if port.axis == "experiments" else phase.at
