"""A two-factor wave as a matrix: levels of one factor down, of the other across, a cell for every combination.

Cells are as wide, and rows as high, as the pane allows. Pure; knows no cursor but the experiment under it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from core.design import Factor
from core.ids import ExperimentId
from core.state import State, Wave
from tui.glyphs import Glyphs
from tui.paint import EMPTY, Line, line
from tui.safe import fit
from tui.widgets.grid_cells import TERSE, marked, sign_of, written
from tui.widgets.pieces import cut
from tui.widgets.wave_items import Item, factors, level_of

LABEL = 14  # cells for the levels at the left; more only of a wide pane
TINY = 2
MOST = 18  # cells of a cell: more tells nothing more, but a longer level


class Matrix(NamedTuple):
    down: Factor
    across: Factor
    cells: dict[tuple[int, int], Item]  # by row and column
    label: int  # cells of the level names at the left
    cell: int  # cells of a cell, without the gap


def matrix(wave: Wave, items: tuple[Item, ...], cells: int) -> Matrix:
    """The first factor goes down, unless only the other way round there is room for numbers."""
    first, second = factors(wave)
    upright, turned = _cell_width(first, second, cells), _cell_width(second, first, cells)
    down, across = (second, first) if upright < TERSE <= turned else (first, second)
    placed: dict[tuple[int, int], Item] = {}
    for item in items:
        row, column = (level_of(each, item.cell.get(each.name, "")) for each in (down, across))
        if row is not None and column is not None:
            placed.setdefault((row, column), item)
    return Matrix(down, across, placed, _label(down, cells), _cell_width(down, across, cells))


def _label(down: Factor, cells: int) -> int:
    """In full where the pane is wide."""
    return min(max(LABEL, cells // 4), _longest(down.name, *down.levels))


def _longest(*texts: str) -> int:
    return max(map(len, texts))


def _cell_width(down: Factor, across: Factor, cells: int) -> int:
    """As wide as reads well: numbers and stars, numbers, or glyphs alone."""
    room = (cells - _label(down, cells)) // len(across.levels) - 1
    return min(room, max(MOST, _longest(*across.levels))) if room >= TERSE else max(1, min(TINY, room))


def row_height(plan: Matrix, height: int) -> int:
    """3 with ids and air, 2 with ids, else 1."""
    rows = len(plan.down.levels)
    spare = height - 2
    return 3 if rows * 3 - 1 <= spare and plan.cell >= TERSE else 2 if rows * 2 <= spare and plan.cell >= TERSE else 1


def lines(
    state: State,
    plan: Matrix,
    cells: int,
    height: int,
    glyphs: Glyphs,
    top: int,
    under: ExperimentId | None,
    *,
    focused: bool,
    chosen: Collection[ExperimentId] = (),
) -> list[Line]:
    """Two lines of headings, then the rows from `top` on. `chosen`: those that are marked."""
    tall = row_height(plan, height)
    made = [_across_name(plan), _across_levels(plan)]
    for row in range(top, len(plan.down.levels)):
        made += _row(state, plan, row, tall, glyphs, under, focused, chosen)
    return [cut(each, cells) for each in made[:height]]


def _across_name(plan: Matrix) -> Line:
    room = (plan.cell + 1) * len(plan.across.levels) - 1
    return line((" " * (plan.label + 1), ""), (fit(plan.across.name, max(1, room)), "muted"))


def _across_levels(plan: Matrix) -> Line:
    levels = [(fit(f" {text}", plan.cell + 1), "bold") for text in plan.across.levels]
    return line((fit(plan.down.name, plan.label), "muted"), *levels)


def _row(
    state: State,
    plan: Matrix,
    row: int,
    tall: int,
    glyphs: Glyphs,
    under: ExperimentId | None,
    focused: bool,
    chosen: Collection[ExperimentId],
) -> list[Line]:
    ground = "cursor" if focused else "cursor-away"
    cells = [plan.cells.get((row, column), Item(None, {})) for column in range(len(plan.across.levels))]
    first: list[tuple[str, str]] = [(fit(plan.down.levels[row], plan.label), "bold")]
    second: list[tuple[str, str]] = [(" " * plan.label, "")]
    for item in cells:
        on = ground if under is not None and item.id == under else ""
        first += [marked(glyphs, is_marked=item.id in chosen), *_on(written(state, item, plan.cell, glyphs), on)]
        second += [(" ", ""), *_on(_below(state, item, plan.cell, glyphs), on)]
    return [tuple(first), *([tuple(second)] if tall > 1 else []), *([EMPTY] if tall > 2 else [])]


def _on(spans: Line, ground: str) -> Line:
    """The spans on the cursor's ground."""
    return tuple((text, f"{role.split(' on ')[0]} on {ground}".strip()) for text, role in spans) if ground else spans


def _below(state: State, item: Item, cells: int, glyphs: Glyphs) -> Line:
    """The second line of a cell: whose it is, in what state, and on how many runs it rests, as far as there is room."""
    if item.experiment is None:
        return line((" " * cells, ""))
    word = sign_of(state, item, glyphs).word
    runs = f" {glyphs.times}{item.runs}" if item.runs else ""
    said = f"  {item.id} {word}" if item.mean is not None or item.experiment.status == "running" else f"  {item.id}"
    longer = f"{said}{runs}"
    return line((fit(longer if len(longer) <= cells else said, cells), "muted"))


def place(plan: Matrix, under: ExperimentId | None) -> tuple[int, int] | None:
    """Row and column of an experiment."""
    return next((at for at, item in plan.cells.items() if under is not None and item.id == under), None)


def moved(plan: Matrix, under: ExperimentId | None, right: int, down: int) -> ExperimentId | None:
    """The next cell with an experiment in that direction; None if there is none."""
    at = place(plan, under)
    if at is None:
        return next((item.id for _, item in sorted(plan.cells.items()) if item.id), None)
    row, column = at[0] + down, at[1] + right
    while 0 <= row < len(plan.down.levels) and 0 <= column < len(plan.across.levels):
        item = plan.cells.get((row, column))
        if item is not None and item.id:
            return item.id
        row, column = row + down, column + right
    return None


def at_point(plan: Matrix, height: int, top: int, x: int, y: int) -> ExperimentId | None:
    """What is under a point of the lines that `lines` makes."""
    row, column = top + (y - 2) // row_height(plan, height), (x - plan.label - 1) // (plan.cell + 1)
    item = plan.cells.get((row, column)) if y >= 2 and x > plan.label else None
    return item.id if item else None
