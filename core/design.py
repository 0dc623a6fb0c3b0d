"""Designed experiments: which factors at which levels, and the cells that follow. Knows no runs and no results.

Levels are source texts. For arithmetic they are coded: −1 is the lowest and +1 the highest, in between by the factor's
scale. The same design always gives the same cells in the same order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from core import aliasing, knobs
from core.errors import DesignError, PatchError
from core.patch import Change, Edit

Kind = Literal[
    "full factorial", "fractional factorial", "Plackett-Burman", "definitive screening", "central composite", "list"
]
Scale = Literal["category", "linear", "log", "power of two"]
Term = tuple[str, ...]  # names of factors: ("A",) is a main effect, ("A", "B") an interaction, ("A", "A") a bend

MOST_CELLS = 512
MOST_FACTORS = len(aliasing.LETTERS)
LOG_SPAN = 3.0  # positive levels that span this ratio are taken as logarithmic where no scale was stated
TWO_LEVEL: frozenset[Kind] = frozenset({"fractional factorial", "Plackett-Burman"})
PLACKETT_BURMAN_RUNS = tuple(sorted(n << i for n in (4, 12, 20) for i in range(8) if n << i <= MOST_CELLS))


class Factor(msgspec.Struct, frozen=True, omit_defaults=True):
    """An UPPER_CASE constant of train.py and the values tried for it, as source text ("2**18", "0.04").

    With `edits` it is a structural factor instead: its levels are WITHOUT and WITH, and the edits are made at WITH.
    """

    name: str
    levels: tuple[str, ...]
    scale: Scale = "category"
    edits: tuple[Edit, ...] = ()


WITHOUT, WITH = "without", "with"


class Design(msgspec.Struct, frozen=True, omit_defaults=True):
    """`generators` of a fractional factorial, in the letters of its factors: ("D=ABC",).

    Two-level kinds use a factor's lowest and highest level. Levels between them are not run; a result there (of the
    parent, say) is a centre point. A central composite has generators if its factorial part is a fraction.
    """

    kind: Kind
    factors: tuple[Factor, ...]
    generators: tuple[str, ...] = ()


class Coded(NamedTuple):
    """A level and where it lies between the lowest (−1) and the highest (+1)."""

    text: str
    code: float


# --- coding -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def scale_of(factor: Factor) -> Scale:
    """As stated; where none is, numbers are linear, or logarithmic if they are positive and span a ratio of 3."""
    if factor.scale != "category" or factor.edits:
        return factor.scale
    values = [number(text) for text in factor.levels]
    known = [value for value in values if value is not None]
    if not values or len(known) < len(values):
        return "category"
    return "log" if min(known) > 0 and max(known) >= LOG_SPAN * min(known) else "linear"


@lru_cache(maxsize=4096)
def number(text: str) -> float | None:
    """The number that a source text stands for; None for tuples, strings, booleans and what is no literal."""
    try:
        value = knobs.value_of(text)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except (PatchError, OverflowError):
        return None


@lru_cache(maxsize=1024)
def coded(factor: Factor) -> tuple[Coded, ...]:
    """Numbers lowest first; categories as listed, evenly from −1 to +1 (with more than two, the codes mean nothing).

    Raises DesignError for levels that the stated scale cannot place.
    """
    if scale_of(factor) == "category":
        count = len(factor.levels)
        return tuple(Coded(text, 2 * i / (count - 1) - 1 if count > 1 else 0.0) for i, text in enumerate(factor.levels))
    placed = sorted((position(factor, text), text) for text in factor.levels)
    low, high = placed[0][0], placed[-1][0]
    span = (high - low) or 1.0
    return tuple(Coded(text, (at - low) / span - (high - at) / span) for at, text in placed)  # exactly −1 and +1


def position(factor: Factor, text: str) -> float:
    """Where a number lies on the factor's scale, uncoded. Raises DesignError if it has no place there."""
    value, scale = number(text), scale_of(factor)
    if value is None:
        raise DesignError(f"{factor.name} is on a {scale} scale, but {text!r} is no number; make it a category.")
    if scale == "linear":
        return value
    if value <= 0:
        raise DesignError(f"{factor.name} is on a {scale} scale, but {text} is not above 0; make it linear.")
    return math.log(value)


def is_category(factor: Factor) -> bool:
    """Whether its levels have no order: more than two of them are told apart one by one."""
    return scale_of(factor) == "category"


# --- cells ------------------------------------------------------------------------------------------------------------


def check(design: Design) -> None:
    """Raises DesignError, as one sentence for the researcher, for a design that cannot be run."""
    names = [factor.name for factor in design.factors]
    if len(set(names)) < len(names):
        raise DesignError(f"The design names a factor twice ({', '.join(names)}); name each once.")
    if len(names) > MOST_FACTORS:
        raise DesignError(f"{len(names)} factors are too many for one design; take {MOST_FACTORS} at most.")
    for factor in design.factors:
        _check_factor(factor, design.kind)
    aliasing.parsed(design.generators, len(names))
    if (count := size(design)) > MOST_CELLS:
        raise DesignError(f"The design has {count} cells; {MOST_CELLS} are the most, so take fewer factors or levels.")


def _check_factor(factor: Factor, kind: Kind) -> None:
    name, levels = factor.name, [text.strip() for text in factor.levels]
    values = [(text if (value := number(text)) is None else value) for text in levels]
    if len(levels) < 2:
        raise DesignError(f"{name} has {len(levels)} level{'s' * (len(levels) != 1)}; a factor needs two or more.")
    if len(set(values)) < len(values):
        raise DesignError(f"{name} has a level twice ({', '.join(levels)}); give each once.")
    if factor.edits and set(levels) != {WITHOUT, WITH}:
        raise DesignError(f'{name} has edits, so its levels are "{WITHOUT}" and "{WITH}".')
    coded(factor)
    if kind in TWO_LEVEL and is_category(factor) and len(levels) > 2:
        raise DesignError(f"{name} has {len(levels)} categories, but a {kind} design takes two; name two of them.")
    if kind == "definitive screening" and (len(levels) > 3 or (is_category(factor) and len(levels) > 2)):
        raise DesignError(f"{name} needs three levels of a number, or two of anything, in a {kind} design.")
    if kind == "central composite" and (is_category(factor) or len(levels) not in (3, 5)):
        raise DesignError(f"{name} needs three or five levels of a number in a {kind} design.")


def size(design: Design) -> int:
    """How many cells it has."""
    count = len(design.factors)
    match design.kind:
        case "list":
            return 0
        case "full factorial":
            return math.prod(len(factor.levels) for factor in design.factors)
        case "fractional factorial":
            return 1 << (count - len(design.generators))
        case "Plackett-Burman":
            return next(runs for runs in PLACKETT_BURMAN_RUNS if runs > count)
        case "central composite":
            return (1 << (count - len(design.generators))) + 2 * count + 1
        case "definitive screening":
            return len(_definitive(*_three_and_two(design)))


def cells(design: Design) -> tuple[dict[str, str], ...]:
    """What to run: one dict from factor to level per cell, all different. A "list" has none.

    A full factorial has every combination of levels, the first factor changing slowest; without factors that is one
    empty cell. A central composite has the corners, then two axial cells per factor, then the centre: with five levels
    the outermost are the axial ones and the second and fourth the corners'; with three it is face-centred. Definitive
    screening takes three levels of numbers and two of the rest. Raises DesignError.
    """
    check(design)
    names = [factor.name for factor in design.factors]
    found = [dict(zip(names, levels, strict=True)) for levels in _rows(design)]
    return tuple({tuple(cell.values()): cell for cell in found}.values())


def _rows(design: Design) -> Iterator[Sequence[str]]:
    levels = [[level.text for level in coded(factor)] for factor in design.factors]
    match design.kind:
        case "list":
            return
        case "full factorial":
            yield from itertools.product(*(factor.levels for factor in design.factors))
        case "fractional factorial":
            yield from (_outer(levels, row) for row in _fraction(design))
        case "Plackett-Burman":
            yield from (_outer(levels, row) for row in _plackett_burman(len(levels)))
        case "central composite":
            yield from _composite(levels, _fraction(design))
        case "definitive screening":
            yield from _screening(design, levels)


def _outer(levels: list[list[str]], row: Sequence[int]) -> list[str]:
    return [texts[-1] if sign > 0 else texts[0] for texts, sign in zip(levels, row, strict=True)]


def _fraction(design: Design) -> Iterator[tuple[int, ...]]:
    """Signs: the basic factors in every combination, the generated ones as their products."""
    count = len(design.factors)
    generated = aliasing.parsed(design.generators, count)
    basic = [i for i in range(count) if i not in generated]
    for combination in itertools.product((-1, 1), repeat=len(basic)):
        signs = dict(zip(basic, combination, strict=True))
        for i, (word, sign) in generated.items():
            signs[i] = sign * math.prod(signs[j] for j in basic if word >> j & 1)
        yield tuple(signs[i] for i in range(count))


@lru_cache(maxsize=64)
def _plackett_burman(count: int) -> tuple[tuple[int, ...], ...]:
    from pydoe import pbdesign  # here, because importing it takes most of a second

    runs = next(runs for runs in PLACKETT_BURMAN_RUNS if runs > count)
    return tuple(tuple(int(sign) for sign in row[:count]) for row in pbdesign(runs - 1))


def _composite(levels: list[list[str]], corners: Iterator[tuple[int, ...]]) -> Iterator[list[str]]:
    centre = [texts[len(texts) // 2] for texts in levels]
    inner = [texts[1:-1] if len(texts) == 5 else texts for texts in levels]
    yield from (_outer(inner, row) for row in corners)
    for i, texts in enumerate(levels):
        yield from ([*centre[:i], end, *centre[i + 1 :]] for end in (texts[0], texts[-1]))
    yield centre


def _three_and_two(design: Design) -> tuple[int, int]:
    """How many factors have three levels, and how many two."""
    three = sum(len(factor.levels) == 3 for factor in design.factors)
    return three, len(design.factors) - three


@lru_cache(maxsize=64)
def _definitive(three: int, two: int) -> tuple[tuple[int, ...], ...]:
    from pydoe import definitive_screening_design  # here, because importing it takes most of a second

    return tuple(tuple(int(sign) for sign in row) for row in definitive_screening_design(three, two))


def _screening(design: Design, levels: list[list[str]]) -> Iterator[list[str]]:
    """The library's columns of three levels come first, those of two last; ours are in the order of the factors."""
    three, two = _three_and_two(design)
    first, last = itertools.count(), itertools.count(three)
    columns = [next(first) if len(texts) == 3 else next(last) for texts in levels]
    for row in _definitive(three, two):
        yield [texts[(row[i] + 1) * (len(texts) - 1) // 2] for texts, i in zip(levels, columns, strict=True)]


# --- what cannot be told apart ----------------------------------------------------------------------------------------


def resolution(design: Design) -> int | None:
    """III, IV, V, … as a number, of a two-level fraction. None: no effect of the design is aliased with another.

    Three of Plackett-Burman: main effects are free of each other, and partly mixed with all interactions.
    """
    if design.kind == "Plackett-Burman":
        return 3
    if design.kind != "fractional factorial":
        return None
    return aliasing.shortest(aliasing.defining(aliasing.parsed(design.generators, len(design.factors))))


def aliases(design: Design) -> tuple[tuple[Term, ...], ...]:
    """Groups of main effects and two-factor interactions that share a column (up to sign), of a two-level fraction.

    Partial aliases, as of Plackett-Burman with its interactions, are not among them.
    """
    if design.kind != "fractional factorial":
        return ()
    names = [factor.name for factor in design.factors]
    generated = aliasing.parsed(design.generators, len(names))
    return tuple(
        tuple(tuple(name for i, name in enumerate(names) if term >> i & 1) for term in group)
        for group in aliasing.groups(len(names), generated)
    )


# --- what it does to train.py -----------------------------------------------------------------------------------------


def change(design: Design, cell: dict[str, str], base: dict[str, str]) -> Change:
    """What a cell changes where `base` has the parent's texts of the constants."""
    settings = {
        f.name: cell[f.name] for f in design.factors if not f.edits and cell[f.name] != base.get(f.name, cell[f.name])
    }
    edits = tuple(edit for f in design.factors if f.edits and cell[f.name] == WITH for edit in f.edits)
    return Change(settings=settings, edits=edits)
