"""A diff to move in: rows are painted when they come into view, folds open, changes are jumped to.

What is compared is handed in; this widget knows no experiments.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from tui import paint
from tui.diffing import CONTEXT, Comparison, Row, compare, fold_of, hunk_starts, rows
from tui.moment import Moment
from tui.paint import EMPTY, Line
from tui.table import Table
from tui.widgets.diff import WIDE, Look, gutter, painted, widest

CONTEXTS: tuple[int | None, ...] = (0, 1, CONTEXT, 10, 30, None)
STEP = 8  # cells that left and right scroll
ABOVE = 3  # lines kept above a change that was jumped to


class DiffView(Table):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "hunk(1)", "Next change", show=False),
        Binding("N", "hunk(-1)", "Change before", show=False),
        Binding("w", "turn", "Side by side", show=False),
        Binding("plus,equals_sign", "context(1)", "More context", show=False),
        Binding("minus", "context(-1)", "Less context", show=False),
        Binding("right,l", "sideways(1)", "Right", show=False),
        Binding("left,h", "sideways(-1)", "Left", show=False),
    ]

    class Turned(Message):
        """Where the cursor is, or how it is shown, is another."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._texts: tuple[str, str] | None = None
        self._instead: Line = ()
        self._rows: list[Row] = []
        self._starts: list[int] = []
        self._around = CONTEXTS.index(CONTEXT)
        self._opened: frozenset[int] = frozenset()
        self._wish: bool | None = None  # side by side or not; None: as the width allows
        self._shift = 0
        self._drawing = 0  # raised whenever all rows are to be made again

    # --- what is compared ---

    @property
    def comparison(self) -> Comparison | None:
        return compare(*self._texts) if self._texts else None

    def put(self, texts: tuple[str, str] | None, instead: Line = ()) -> None:
        """The versions before and after; where there are none, `instead` is said."""
        self._instead = instead
        if texts != self._texts:
            self._texts, self._opened, self._shift = texts, frozenset(), 0
            self._lay_out(first=True)
        elif texts is None:
            self.show(self.moment)

    def _lay_out(self, *, first: bool = False) -> None:
        comparison, self._drawing = self.comparison, self._drawing + 1
        shown = comparison is not None and comparison.hunks
        at = self._rows[self.cursor] if self.cursor < len(self._rows) and not first else None
        self._rows = (
            rows(comparison, CONTEXTS[self._around], split=self.is_split, opened=self._opened)
            if comparison is not None and shown
            else []
        )
        self._starts = hunk_starts(self._rows)
        self.show(self.moment)
        self._go(self._found(at) if at else 0, from_top=first)
        self.post_message(self.Turned())

    def _found(self, before: Row) -> int:
        """Where a row is after the layout has changed: the first that is not above it."""
        for at, row in enumerate(self._rows):
            if before.new is not None and row.new is not None and row.new + max(1, row.hidden) > before.new:
                return at
            if before.new is None and before.old is not None and row.old is not None and row.old >= before.old:
                return at
        return self.cursor

    @property
    def is_split(self) -> bool:
        return self._wish if self._wish is not None else self.columns >= WIDE

    @property
    def hunk(self) -> int:
        """The number of the change at or above the cursor, from 1; 0 above the first."""
        return sum(start <= self.cursor for start in self._starts)

    # --- as a table ---

    def keys(self, moment: Moment) -> Sequence[Hashable]:
        return range(len(self._rows))

    def row(self, key: Hashable, moment: Moment, width: int) -> Line:
        comparison = self.comparison
        if comparison is None or not isinstance(key, int):
            return EMPTY
        return painted(comparison, self._rows[key], Look(width, self.is_split, self._shift, self.looks.glyphs))

    def version(self, key: Hashable, moment: Moment) -> object:
        return self._drawing

    def nothing(self, moment: Moment) -> Line:
        same = self._texts is not None
        return ((" Nothing differs: both versions are the same.", "muted"),) if same else self._instead

    def under_cursor(self, strip: Strip) -> Strip:
        """Only the numbers tell the cursor: the rest has its ground for what it is."""
        comparison = self.comparison
        wide = gutter(comparison) * (1 if self.is_split else 2) + 1 if comparison else 0
        style = self.looks.style("cursor bold" if self.has_focus else "cursor-away")
        return Strip.join([paint.over(strip.crop(0, wide), style), strip.crop(wide)])

    def on_resize(self) -> None:
        self._lay_out()

    # --- moving ---

    def _go(self, index: int, *, from_top: bool = False) -> None:
        self.cursor = max(0, min(index, len(self._rows) - 1))
        if from_top:
            self.scroll_to(y=0, animate=False, immediate=True, force=True)
        self._reveal()
        self.refresh()

    def action_hunk(self, by: int) -> None:
        ahead = [start for start in self._starts if (start > self.cursor if by > 0 else start < self.cursor)]
        if ahead:
            self.move_to(ahead[0] if by > 0 else ahead[-1])
            self.scroll_to(y=max(0, self.cursor - ABOVE), animate=False, immediate=True, force=True)
            self.refresh()

    def action_turn(self) -> None:
        self._wish = not self.is_split
        self._lay_out()

    def action_context(self, by: int) -> None:
        self._around = max(0, min(self._around + by, len(CONTEXTS) - 1))
        self._opened = frozenset()
        self._lay_out()

    def action_sideways(self, by: int) -> None:
        comparison = self.comparison
        if comparison is None:
            return
        room = (self.columns - 3) // 2 if self.is_split else self.columns
        front = gutter(comparison) + 3 if self.is_split else 2 * gutter(comparison) + 4
        most = max(0, widest(comparison) - room + front)
        self._shift = max(0, min(self._shift + by * STEP, most))
        self._drawing += 1
        self.show(self.moment)

    def action_open(self) -> None:
        """Opens the fold under the cursor."""
        comparison = self.comparison
        if comparison is not None and self._rows and self._rows[self.cursor].hidden:
            self._opened |= {fold_of(comparison, self._rows[self.cursor])}
            self._lay_out()
        else:
            self.notify("Nothing is folded on this line.", timeout=2, markup=False)
