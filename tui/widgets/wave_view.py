"""What the pane of the wave shows, as lines: why it was planned, its matrix or table, and what stands under the cursor.

Pure: everything that it depends on is a `View`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from core.ids import ExperimentId
from core.state import State, Wave
from tui import numbers, standing
from tui.actions import BY_ID
from tui.glyphs import Glyphs
from tui.keys import Chosen, key_of
from tui.moment import Moment
from tui.paint import EMPTY, Line, line
from tui.safe import fit, wrap
from tui.safe import line as safe
from tui.widgets import grid_list, grid_matrix
from tui.widgets.grid_cells import told
from tui.widgets.pieces import cut
from tui.widgets.wave_items import Item, factors, is_crossed, items
from tui.widgets.wave_more import more

if TYPE_CHECKING:
    from core.analysis import Analysis

TALL = 12  # lines of the pane from which the reason has two, and the result a line
ROOMY = 30  # lines from which the reason is told in full
IN_FULL = 6  # lines
SMALL = 8  # lines below which nothing stands under the body


class View(NamedTuple):
    moment: Moment
    wave: Wave
    items: tuple[Item, ...]
    cells: int
    height: int
    glyphs: Glyphs
    keys: Chosen
    analysis: Analysis | None
    top: int  # the first row in view
    focused: bool


def view(
    moment: Moment,
    cells: int,
    height: int,
    glyphs: Glyphs,
    *,
    keys: Chosen | None = None,
    analysis: Analysis | None = None,
    top: int = 0,
    focused: bool = False,
) -> View | None:
    """None without a wave. `top` is moved so that the selected experiment is in view."""
    wave = moment.wave_shown
    if wave is None:
        return None
    found = items(moment.state, wave, analysis)
    made = View(moment, wave, found, cells, height, glyphs, keys or {}, analysis, top, focused)
    return made._replace(top=_top(made))


def heading(moment: Moment, cells: int = 200) -> str:
    """ "w12 · 13 experiments · full factorial 3×4 · 2 running, 7 done", or what of it fits into `cells`."""
    wave = moment.wave_shown
    if wave is None:
        return "Wave"
    name, kind, size = f"{wave.id}{_position(moment, wave)}", *_kind(wave)
    running = _running(moment.state, wave)
    done, count = sum(each not in moment.state.open for each in wave.experiments), len(wave.experiments)
    now = f"{running} running, " if running else ""
    forms = (
        f"{name} · {numbers.count(count, 'experiment')} · {kind}{size} · {now}{done} done",
        f"{name} · {kind}{size} · {now}{done} of {count} done",
        f"{name} · {kind}{size} · {done} of {count} done",
        f"{name} ·{size or f' {kind}'} · {done} of {count} done",
    )
    return next((form for form in forms if len(form) <= cells), f"{name} · {done} of {count} done")


def _running(state: State, wave: Wave) -> int:
    """Its experiments with a run that has started: what runs is fewer than a large wave."""
    mine = {run.experiment for run in (state.runs[name] for name in state.active) if run.started_at is not None}
    return sum(state.experiments[name].wave == wave.id for name in mine)


def _kind(wave: Wave) -> tuple[str, str]:
    """Of the design, and its size: "full factorial", " 3×4"."""
    kind = safe(wave.design.kind, 30) if wave.design is not None else "list"
    crossed = kind == "full factorial" and 0 < len(factors(wave)) <= 3
    return kind, " " + "×".join(str(len(factor.levels)) for factor in factors(wave)) if crossed else ""


def _position(moment: Moment, wave: Wave) -> str:
    """Said where it is not the latest."""
    return "" if wave.id == next(reversed(moment.state.waves)) else f" of {len(moment.state.waves)}"


def nothing(moment: Moment, cells: int) -> list[Line]:
    match moment.mode:
        case "loading":
            said = "Reading the session…"
        case "down" | "finished":
            said = "No wave was planned in this session."
        case _ if moment.state.asked is not None:
            said = "The researcher is planning the first wave."
        case _:
            said = "No wave yet: the baseline is measured first."
    return [line((text, "muted")) for text in wrap(said, cells)]


def grid(v: View) -> list[Line]:
    above, below, room = _frame(v)
    body = _body(v, room)
    body += more(v.analysis, v.moment.experiment, v.cells, room - len(body), v.glyphs)
    return [*above, *body, *([EMPTY] * (room - len(body))), *below]


def _frame(v: View) -> tuple[list[Line], list[Line], int]:
    """What stands above the body and below it, and how many lines are left for the body."""
    above, below = _above(v), _below(v)
    return above, below, max(1, v.height - len(above) - len(below))


def _body(v: View, room: int) -> list[Line]:
    state, selected = v.moment.state, v.moment.selected
    if is_crossed(v.wave):
        chosen = v.moment.marked
        return grid_matrix.lines(
            state, _plan(v), v.cells, room, v.glyphs, v.top, selected, focused=v.focused, chosen=chosen
        )
    if not v.items:
        return [line(("Its experiments are being checked…", "muted"))]
    ground, shared = "cursor" if v.focused else "cursor-away", grid_list.common(state, v.wave.id)
    return [
        grid_list.row(
            *(state, item, v.cells, v.glyphs, shared, ground if item.id == selected else ""),
            is_marked=item.id in v.moment.marked,
        )
        for item in v.items[v.top : v.top + room]
    ]


def _plan(v: View) -> grid_matrix.Matrix:
    return grid_matrix.matrix(v.wave, v.items, v.cells)


def _above(v: View) -> list[Line]:
    """Why it was planned; and whether it waits for a person."""
    most = IN_FULL if v.height >= ROOMY else 2 if v.height >= TALL else 1
    made = [line((text, "muted")) for text in _reason(v.wave, v.cells, most)]
    held = [_held(v)] if v.wave.held else []
    made += held
    if v.height >= TALL and made:
        made.append(EMPTY)
    return made if v.height > len(made) + 3 else held


def _held(v: View) -> Line:
    said = (f"{v.glyphs.held} held", "warning bold")
    watching = v.moment.read_only or v.moment.mode == "playback"
    key = "" if watching else key_of(BY_ID["approve"], v.keys)
    more = line((": ", ""), (key, "key bold"), (" lets it run", "")) if key else line((": it waits for approval", ""))
    return cut((said, *more), v.cells)


def _reason(wave: Wave, cells: int, most: int) -> list[str]:
    found = wrap(wave.reason, cells)
    if len(found) <= most:
        return found
    return [*found[: most - 1], fit(" ".join(found[most - 1 : most + 1]), cells)]


def _below(v: View) -> list[Line]:
    """The predicted best, and the item under the cursor in words."""
    if v.height < SMALL:
        return []
    chosen = next((item for item in v.items if item.id and item.id == v.moment.selected), None)
    made = [_expected(v)] if v.height >= TALL and v.analysis and v.analysis.predicted else []
    if chosen is not None:
        made.append(cut(told(v.moment.state, chosen, v.glyphs, v.moment.now), v.cells))
    return [EMPTY, *made] if made and v.height >= TALL else made


def _expected(v: View) -> Line:
    expected = v.analysis.predicted if v.analysis else None
    if expected is None:
        return EMPTY
    cell = ", ".join(f"{name} {text}" for name, text in expected.cell.items())
    value = f"{numbers.bpb(expected.val_bpb)} {standing.error(expected.standard_error, v.glyphs)}"
    said = line((f"{v.glyphs.predicted} expected best {value}", "predicted"), (f"  {safe(cell, 400)}", "muted"))
    return cut(said, v.cells)


# --- where things are -------------------------------------------------------------------------------------------------


def _top(v: View) -> int:
    """The first row to show so that the selected experiment is in view."""
    _, _, room = _frame(v)
    if is_crossed(v.wave):
        plan = _plan(v)
        at = grid_matrix.place(plan, v.moment.selected)
        row, rows = at[0] if at else None, len(plan.down.levels)
        room = max(1, (room - 2) // grid_matrix.row_height(plan, room))
    else:
        row = next((i for i, item in enumerate(v.items) if item.id == v.moment.selected), None)
        rows = len(v.items)
    top = max(0, min(v.top, rows - room))
    if row is None or top <= row < top + room:
        return top
    return row if row < top else row - room + 1


def under(v: View, x: int, y: int) -> ExperimentId | None:
    """The experiment at a point of the pane."""
    above, _, room = _frame(v)
    y -= len(above)
    if is_crossed(v.wave):
        return grid_matrix.at_point(_plan(v), room, v.top, x, y)
    row = v.top + y
    return v.items[row].id if 0 <= y < room and row < len(v.items) else None


def moved(v: View, right: int, down: int) -> ExperimentId | None:
    """Where the cursor goes; None if it stays."""
    if is_crossed(v.wave) and abs(right) <= 1 and abs(down) <= 1:
        return grid_matrix.moved(_plan(v), v.moment.selected, right, down)
    names = [item.id for item in v.items if item.id]
    at = names.index(v.moment.selected) + (down or right) if v.moment.selected in names else 0
    return names[max(0, min(at, len(names) - 1))] if names else None


def edge(v: View, which: int) -> ExperimentId | None:
    """The first experiment, or the last."""
    names = [item.id for item in v.items if item.id]
    return names[0 if which < 0 else -1] if names else None
