"""A line made of pieces that give way: each has forms from long to short, and the least important shorten first.

To shorten a piece costs less than to lose it: only when all are terse does a light one go. Pure; knows no session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tui.paint import Line, Span, width
from tui.safe import fit

TERSE = 30  # what a longer form weighs less than the shortest one


class Piece(NamedTuple):
    weight: int  # what weighs more is shortened later
    forms: tuple[Line, ...]  # longest first; EMPTY as the last: it may go altogether


def piece(weight: int, *forms: Line) -> Piece:
    return Piece(weight, forms)


def arranged(pieces: Sequence[Piece], cells: int, gap: Line = (("   ", ""),)) -> Line:
    """The pieces in their order with gaps between, in the longest forms that fit together into `cells`."""
    chosen = [0] * len(pieces)
    while _taken(pieces, chosen, gap) > cells and (index := _next(pieces, chosen)) is not None:
        chosen[index] += 1
    for index in sorted(range(len(pieces)), key=lambda i: -pieces[i].weight):  # what the last step made room for
        while (
            chosen[index] and _taken(pieces, [*chosen[:index], chosen[index] - 1, *chosen[index + 1 :]], gap) <= cells
        ):
            chosen[index] -= 1
    return joined([one.forms[form] for one, form in zip(pieces, chosen, strict=True)], gap)


def joined(lines: Sequence[Line], gap: Line = (("   ", ""),)) -> Line:
    """Lines that are not empty, with gaps between."""
    made: list[Span] = []
    for each in lines:
        if each:
            made += [*(gap if made else ()), *each]
    return tuple(made)


def split(pieces: Sequence[Piece], last: Piece, cells: int) -> tuple[Line, Line]:
    """As `arranged`, with `last` apart, to stand at the right."""
    whole = arranged([*pieces, last], cells)
    end = next((form for form in last.forms if form and whole[-len(form) :] == form), ())
    return (whole[: -len(end)], end) if end else (whole, ())


def cut(spans: Line, cells: int) -> Line:
    """At most `cells`; what is cut ends in an ellipsis."""
    kept: list[Span] = []
    for text, role in spans:
        left = cells - width(kept)
        if width([(text, role)]) > left:
            return (*kept, (fit(text, left), role))
        kept.append((text, role))
    return tuple(kept)


def _taken(pieces: Sequence[Piece], chosen: Sequence[int], gap: Line) -> int:
    shown = [one.forms[form] for one, form in zip(pieces, chosen, strict=True) if one.forms[form]]
    return sum(map(width, shown)) + width(gap) * max(0, len(shown) - 1)


def _next(pieces: Sequence[Piece], chosen: Sequence[int]) -> int | None:
    """The lightest that has a shorter form; of equals the last."""
    able = [i for i, one in enumerate(pieces) if chosen[i] + 1 < len(one.forms)]
    return min(able, key=lambda i: (_weight(pieces[i], chosen[i]), -i), default=None)


def _weight(one: Piece, form: int) -> int:
    return one.weight - TERSE if one.forms[form + 1] else one.weight
