"""The cursor of the chart, put over what is drawn without it: the selected experiment and the best one.

Where the cursor stands changes with every key, what is under it with every result: the two are drawn apart, so that a
key costs a few cells and not the whole chart. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from core.ids import ExperimentId
from tui.glyphs import Glyphs
from tui.paint import Line
from tui.signs import point
from tui.widgets import margins
from tui.widgets.frame import Drawing, in_view, is_chosen, main_type, marks_of, position
from tui.widgets.marks import Mark, Series
from tui.widgets.viewport import Viewport


class Ground(msgspec.Struct, frozen=True):
    """The chart without its cursor. `frame` has no lines yet; `has_readout`: there is room for a line below."""

    frame: Drawing
    legend: tuple[Line, ...]  # one, or none where there is no room
    body: tuple[Line, ...]  # with the scale at its left
    has_readout: bool


def under_cursor(
    ground: Ground, series: Series, port: Viewport, glyphs: Glyphs, selected: ExperimentId | None, readout: Line
) -> Drawing:
    frame, body = ground.frame, list(ground.body)
    for x, y, symbol, role in _signs(frame, series, port, glyphs, selected):
        body[y] = put(body[y], frame.left + x, symbol, role)
    below = margins.across(frame, port, series, selected, glyphs)
    lines = (*ground.legend, *body, below, *((readout,) if ground.has_readout else ()))
    return msgspec.structs.replace(frame, lines=lines)


def _signs(
    frame: Drawing, series: Series, port: Viewport, glyphs: Glyphs, selected: ExperimentId | None
) -> Iterator[tuple[int, int, str, str]]:
    """Column of the plot, row from its top, symbol and role of each cell; later ones stand over earlier ones."""
    main = main_type(series, port)
    best = next(reversed(series.steps.get(main, ())), None)
    names = dict.fromkeys(name for name in (best.experiment if best else None, selected) if name)
    for mark in (mark for name in names for mark in _in_sight(series, port, name)):
        is_best = best is not None and mark.experiment == best.experiment and mark.gpu_type == main
        if not is_best and mark.experiment != selected:
            continue
        x, y = round(frame.column(position(mark, port))), frame.height - 1 - round(frame.row(mark.val_bpb))
        if 0 <= x < frame.width and 0 <= y < frame.height:
            sign = point(mark.drawn, glyphs)
            role = "best bold" if is_best else sign.role
            yield (
                x,
                y,
                glyphs.best if is_best else sign.glyph,
                f"{role} reverse" if mark.experiment == selected else role,
            )


def _in_sight(series: Series, port: Viewport, name: ExperimentId) -> list[Mark]:
    return in_view((mark for mark in marks_of(series, name) if is_chosen(mark, port)), port)


def put(row: Line, x: int, symbol: str, role: str) -> Line:
    """The row with another character in a cell; every character of the row takes one."""
    made: list[tuple[str, str]] = []
    at = 0
    for text, look in row:
        end = at + len(text)
        if at <= x < end:
            made += [(text[: x - at], look), (symbol, role), (text[x - at + 1 :], look)]
        else:
            made.append((text, look))
        at = end
    return tuple(span for span in made if span[0])
