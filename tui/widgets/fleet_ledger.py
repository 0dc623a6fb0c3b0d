"""Where the GPU time of the session went, as one stacked bar with a legend of the largest columns.

Pure but for the latest answer. What the columns mean: `core.ledger`.
"""

from __future__ import annotations

from core import ledger as books
from core.ledger import COLUMNS, GROUPS, Column, ledger
from tui import numbers
from tui.bars import stacked
from tui.glyphs import Glyphs
from tui.moment import Moment
from tui.paint import Line, Span, line, width
from tui.remembered import Remembered
from tui.widgets.pieces import cut

ROLES: dict[Column, str] = {
    "training": "ledger-training",
    "replicate": "retest",
    "running": "run-running",
    "start-up": "ledger-startup",
    "evaluation": "ledger-evaluation",
    "crash": "ledger-crash",
    "duplicate": "ledger-duplicate",
    "vetoed": "vetoed",
    "stopped": "vetoed",
    "cancelled": "vetoed",
    "waiting for ideas": "ledger-ideas",
    "queue": "ledger-queue",
    "paused": "warning",
    "other users": "ledger-other",
    "broken": "error",
    "idle": "ledger-idle",
}
LETTERS: dict[Column, str] = {  # where there are no colours to tell the columns apart
    "training": "T",
    "replicate": "R",
    "running": "N",
    "start-up": "U",
    "evaluation": "E",
    "crash": "C",
    "duplicate": "D",
    "vetoed": "V",
    "stopped": "S",
    "cancelled": "X",
    "waiting for ideas": "W",
    "queue": "Q",
    "paused": "P",
    "other users": "O",
    "broken": "B",
    "idle": ".",
}
WORTH_A_WORD = 0.005  # of all
TALL = 7  # lines of the pane from which the legend has two

_latest: Remembered[dict[Column, float]] = Remembered()
_by_type: Remembered[dict[str, float]] = Remembered()


def height(pane: int) -> int:
    """Lines of bar and legend in a pane of that height."""
    return 3 if pane >= TALL else 2 if pane >= 4 else 0


def spent(moment: Moment) -> dict[Column, float]:
    """GPU-seconds by column; between facts made again only as often as the bar could show it."""
    state = moment.state
    parts = (state.booked, state.holders, state.active, state.pause, state.asked, state.engine, _tick(moment))
    return _latest.get(parts, lambda: ledger(state, moment.now))


def _tick(moment: Moment) -> int:
    """Another number when a thousandth of the session has passed."""
    return int(moment.now / max(1.0, (moment.now - moment.state.started_at) / 1000))


def occupancies(moment: Moment) -> dict[str, float]:
    """By GPU type, over the session; made again as seldom as `spent`."""
    state = moment.state
    parts = (state.usable_s, state.held_s, state.holders, state.active, state.engine, _tick(moment))
    return _by_type.get(parts, lambda: books.occupancy(state, moment.now))


def occupancy(moment: Moment) -> float | None:
    """The share of the GPU time in which runs of ours held a GPU, without what was broken or others had; None before
    any."""
    columns = spent(moment)
    ours = sum(seconds for name, seconds in columns.items() if name not in GROUPS["no run"])
    whole = sum(columns.values()) - columns["other users"] - columns["broken"]
    return ours / whole if whole > 0 else None


def lines(moment: Moment, cells: int, height: int, glyphs: Glyphs, *, letters: bool = False) -> list[Line]:
    """The bar, and `height` − 1 lines of legend. `letters`: there are no colours."""
    columns = spent(moment)
    total = sum(columns.values())
    if height <= 0:
        return []
    if total <= 0:
        return [cut(line(("no GPU time is spent yet", "muted")), cells)]
    signs = LETTERS if letters else {name: _glyph(name, glyphs) for name in COLUMNS}
    return [_bar(columns, cells, signs), *_legend(columns, total, cells, height - 1, signs)]


def _glyph(name: Column, glyphs: Glyphs) -> str:
    return glyphs.shade if name in GROUPS["no run"] else glyphs.full


def _bar(columns: dict[Column, float], cells: int, signs: dict[Column, str]) -> Line:
    sizes = stacked([columns[name] for name in COLUMNS], cells)
    pairs = zip(COLUMNS, sizes, strict=True)
    return tuple((signs[name] * size, ROLES[name]) for name, size in pairs if size)


def _legend(
    columns: dict[Column, float], total: float, cells: int, height: int, signs: dict[Column, str]
) -> list[Line]:
    """The columns that take most, as many as fit, in the order of the bar."""
    worth = sorted((name for name in COLUMNS if columns[name] / total >= WORTH_A_WORD), key=lambda name: -columns[name])
    for count in range(len(worth), 0, -1):
        chosen = [name for name in COLUMNS if name in worth[:count]]
        broken = _broken([_entry(name, columns[name] / total, signs[name]) for name in chosen], cells)
        if len(broken) <= height:
            return [cut(each, cells) for each in broken]
    return []


def _entry(name: Column, share: float, sign: str) -> Line:
    return line((sign, ROLES[name]), (f" {name} ", "muted"), (numbers.share(share), ""))


def _broken(entries: list[Line], cells: int) -> list[Line]:
    """Entries with gaps between, on as many lines as it takes."""
    made: list[list[Span]] = [[]]
    for entry in entries:
        gap: list[Span] = [("  ", "")] if made[-1] else []
        if gap and width(made[-1]) + 2 + width(entry) > cells:
            made.append([])
            gap = []
        made[-1] += [*gap, *entry]
    return [tuple(each) for each in made]
