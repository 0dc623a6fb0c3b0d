"""The change of a train.py as lines of spans: unified or side by side, with numbers, syntax and the words that changed.

`diff_lines` is all a small pane needs; `painted` makes one row, for viewers that draw what is in view only. Pure; where
the two versions come from, others know.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
from rich.cells import cell_len, get_character_cell_size

from tui.colouring import both
from tui.diffing import CONTEXT, INVISIBLE, Comparison, Ranges, Row, compare, rows, scope
from tui.glyphs import UNICODE, Glyphs
from tui.paint import EMPTY, Line, Span, fill, width
from tui.safe import fit

WIDE = 140  # cells from which two versions stand side by side


class Look(msgspec.Struct, frozen=True):
    """How a row is drawn. `offset`: cells scrolled to the right."""

    width: int
    split: bool = False
    offset: int = 0
    glyphs: Glyphs = UNICODE


def diff_lines(
    before: str, after: str, width: int, context: int | None = CONTEXT, *,
    split: bool = False, offset: int = 0, glyphs: Glyphs = UNICODE, most: int | None = None,
) -> list[Line]:  # fmt: skip
    """At most `most` lines of exactly `width` cells; `context` equal lines around a change, None for all of them.

    One calm line where nothing differs.
    """
    comparison, look = compare(before, after), Look(width, split, offset, glyphs)
    if not comparison.hunks:
        return [((fit("Nothing differs.", width), "muted"),)]
    return [painted(comparison, row, look) for row in rows(comparison, context, split=split)[:most]]


def painted(comparison: Comparison, row: Row, look: Look) -> Line:
    """One row, as wide as the look says."""
    if row.hidden:
        return _fold(comparison, row, look)
    return _beside(comparison, row, look) if look.split else _unified(comparison, row, look)


def gutter(comparison: Comparison) -> int:
    """Cells of a line number."""
    return len(str(max(len(comparison.before), len(comparison.after), 1)))


def widest(comparison: Comparison) -> int:
    """Cells of the longest line of either version."""
    return max((cell_len(text) for text in (*comparison.before, *comparison.after)), default=0)


def _fold(comparison: Comparison, row: Row, look: Look) -> Line:
    next_shown = (row.new or 0) + row.hidden
    where = scope(comparison.after, next_shown) if next_shown < len(comparison.after) else ""
    said = f"{look.glyphs.ellipsis} {row.hidden} equal lines" + (f", then in {where}" if where else "")
    indent = gutter(comparison) * (1 if look.split else 2) + (3 if look.split else 4)
    return ((fit(" " * min(indent, max(0, look.width - 20)) + said, look.width), "muted on panel"),)


def _unified(comparison: Comparison, row: Row, look: Look) -> Line:
    wide = gutter(comparison)
    numbers = f"{_number(row.old):>{wide}} {_number(row.new):>{wide}} "
    side = "" if row.is_same else "removed" if row.new is None else "added"
    return _side(comparison, row, side, numbers, look.width, look)


def _beside(comparison: Comparison, row: Row, look: Look) -> Line:
    wide, left = gutter(comparison), (look.width - 3) // 2
    right = look.width - 3 - left
    sides = ("", "") if row.is_same else ("removed", "added")
    halves = [
        _side(comparison, row, side, f"{_number(number):>{wide}} ", cells, look, is_old=is_old)
        if number is not None
        else ((" " * cells, ""),)
        for number, side, cells, is_old in ((row.old, sides[0], left, True), (row.new, sides[1], right, False))
    ]
    return (*halves[0], (f" {look.glyphs.vertical} ", "border"), *halves[1])


def _side(
    comparison: Comparison, row: Row, side: str, numbers: str, cells: int, look: Look, *, is_old: bool | None = None
) -> Line:
    """One version of a line with its numbers and sign, on the ground that tells what became of it."""
    is_old = row.new is None if is_old is None else is_old
    ground = f" on {side}" if side else ""
    sign, role = {"removed": (look.glyphs.minus, "error"), "added": ("+", "success")}.get(side, (" ", ""))
    front: Line = ((numbers, f"muted{ground}"), (sign, f"{role}{ground}"), (" ", side))
    room = max(0, cells - width(front))
    text = cropped(_text(comparison, row, side, is_old=is_old), look.offset, room, look.glyphs.ellipsis)
    return fill((*front, *text), cells) if not side else _grounded((*front, *text), cells, side)


def _text(comparison: Comparison, row: Row, side: str, *, is_old: bool) -> Line:
    index = row.old if is_old else row.new
    if index is None:
        return EMPTY
    spans = both(comparison)[0 if is_old else 1][index]
    marks = (comparison.removed_words if is_old else comparison.added_words).get(index, ()) if side else ()
    made = _marked(spans, marks, side) if side else spans
    if side == "added" and index in comparison.unseen:
        return (*made, (f"  {INVISIBLE}", f"muted on {side}"))
    return made


def _marked(spans: Line, marks: Ranges, side: str) -> Line:
    """On the side's ground, and what is in `marks` on the ground of changed words."""
    if not marks:
        return tuple((text, f"{role} on {side}".strip()) for text, role in spans)
    edges = sorted({edge for mark in marks for edge in mark})
    starts = {start for start, _ in marks}
    made: list[Span] = []
    at, is_word = 0, False
    for text, role in spans:
        begin = at
        at += len(text)
        cuts = [begin, *(edge for edge in edges if begin < edge < at), at]
        for start, stop in pairwise(cuts):
            if start in starts:
                is_word = True
            elif start in edges:
                is_word = False
            ground = f"{side}-word" if is_word else side
            made.append((text[start - begin : stop - begin], f"{role} on {ground}" if role else ground))
    return tuple(made)


def _grounded(spans: Line, cells: int, side: str) -> Line:
    return (*spans, (" " * (cells - width(spans)), side)) if width(spans) < cells else spans


def _number(index: int | None) -> str:
    return "" if index is None else str(index + 1)


# --- what is in view of a long line -----------------------------------------------------------------------------------


def cropped(spans: Line, start: int, cells: int, ellipsis: str) -> Line:
    """The cells from `start` on, at most `cells`; an ellipsis at either end where there is more."""
    total = width(spans)
    if start <= 0 and total <= cells:
        return spans
    if cells <= 0 or total <= start:
        return ((ellipsis, "muted"),) if start and total and cells > 0 else EMPTY
    more = total > start + cells
    middle = _between(spans, start + (start > 0), start + cells - more)
    first: Line = ((ellipsis, _muted(middle, 0)),) if start > 0 else EMPTY
    return (*first, *middle, *(((ellipsis, _muted(middle, -1)),) if more else EMPTY))


def _muted(spans: Line, at: int) -> str:
    ground = spans[at][1].rpartition(" on ")[2] if spans and " on " in spans[at][1] else ""
    return f"muted on {ground}" if ground else "muted"


def _between(spans: Line, start: int, stop: int) -> Line:
    made: list[Span] = []
    at = 0
    for text, role in spans:
        taken = len(text) if text.isascii() else cell_len(text)
        if at < stop and at + taken > start:
            part = text[max(0, start - at) : stop - at] if text.isascii() else _cells(text, start - at, stop - at)
            made.append((part, role))
        at += taken
    return tuple(made)


def _cells(text: str, start: int, stop: int) -> str:
    """A wide character that is only half in view is a space."""
    made: list[str] = []
    at = 0
    for character in text:
        taken = get_character_cell_size(character)
        if at >= start and at + taken <= stop and (at < stop or not taken):
            made.append(character)
        elif at < stop and at + taken > start and taken > 1:
            made.append(" ")
        at += taken
    return "".join(made)
