"""The header: what session this is, whether it is healthy, what is used up, and what is best. Two lines, always there.

Line one is the session and its condition, line two the result and the budget. Where there is little room the pieces
shorten by weight; the condition, what needs a person, and the best value stay. What a condition is: `condition`.
"""

from __future__ import annotations

from pathlib import PurePath

from core.views import where
from tui.glyphs import Glyphs
from tui.keys import Chosen
from tui.moment import Moment
from tui.paint import EMPTY, Line, fill, line, width
from tui.pane import Pane
from tui.safe import end
from tui.safe import line as safe
from tui.widgets import condition, standing
from tui.widgets.pieces import Piece, cut, piece, split
from tui.widgets.watching import watching

MARGIN = (" ", "")
PLACE = 24  # cells of where runs go, where there is little room


class Header(Pane):
    DEFAULT_CSS = "Header { dock: top; height: 2; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return header(moment, width, self.looks.glyphs, getattr(self.app, "keys", {}))


def header(moment: Moment, cells: int, glyphs: Glyphs, keys: Chosen | None = None) -> list[Line]:
    return [_first(moment, cells, glyphs, keys or {}), _second(moment, cells, glyphs)]


def _first(moment: Moment, cells: int, glyphs: Glyphs, keys: Chosen) -> Line:
    left = [*_simulated(moment), _workspace(moment), *condition.pieces(moment, glyphs, keys), watching(moment.watchers)]
    return _whole(*split(left, _where(moment, glyphs), cells - 2), cells)


def _second(moment: Moment, cells: int, glyphs: Glyphs) -> Line:
    if moment.state.seq == 0:
        return EMPTY
    left = [*standing.result(moment, glyphs), *standing.budget(moment, glyphs)]
    return _whole(*split(left, standing.researcher(moment), cells - 2), cells)


def _whole(left: Line, right: Line, cells: int) -> Line:
    """Cut with an ellipsis where even the shortest forms are too long."""
    spans, end = (MARGIN, *left), (*right, MARGIN)
    return fill(spans, cells, end) if width(spans) + width(end) <= cells else cut(spans, cells)


def _simulated(moment: Moment) -> list[Piece]:
    return [piece(100, line((" SIMULATED ", "simulated reverse bold")))] if moment.state.simulated else []


def _workspace(moment: Moment) -> Piece:
    path = PurePath(moment.workspace)
    name = safe(path.name or moment.workspace, 40)
    folder = safe(str(path.parent), 60) if path.name and str(path.parent) != "." else ""
    if not name:
        return piece(0, EMPTY)
    long = line((f"{folder}/", "muted"), (name, "bold")) if folder else line((name, "bold"))
    return piece(30, long, line((name, "bold")), EMPTY)


def _where(moment: Moment, glyphs: Glyphs) -> Piece:
    """Of contexts with long names the end stays: the cluster and the namespace."""
    state = moment.state
    if not state.session:
        return piece(0, EMPTY)
    engine = state.engine
    by = safe(engine.executor, 40) if engine else ""
    on = safe(where(engine), 100) if engine and not state.simulated else by
    branch = safe(state.branch, 60)
    both = line((f"{on} · " if on else "", "muted"), (branch, "muted"))
    short = f"{by} {end(engine.place, PLACE, ellipsis=glyphs.ellipsis)}" if engine and engine.place else ""
    forms = (line((text, "muted")) for text in (on, short, by) if text)
    return piece(5, both, *forms, EMPTY)
