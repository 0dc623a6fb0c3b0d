"""The model behind a design: its terms, and their columns over cells. Knows no results.

A term is a main effect, an interaction of two factors or the bend of one. Numbers and two-level categories have one
column each, coded −1…+1; a category with more levels has one per level but the last, coded so that its levels sum to 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.coding import has_many
from core.design import Design, Factor, Term, coded, is_category

Matrix = NDArray[np.float64]

CODE = -1  # of a part: the code itself instead of one level of a category


class Part(msgspec.Struct, frozen=True):
    """One factor's share of a column: its code, or +1 at `level`, −1 at `last`, 0 at other levels."""

    factor: int
    level: int = CODE
    last: int = CODE


class Column(msgspec.Struct, frozen=True):
    """The product of its parts. `levels` names the level of each factor that is a category with several, else ""."""

    term: Term
    parts: tuple[Part, ...]
    levels: tuple[str, ...]


def columns(design: Design, points: Matrix) -> tuple[Column, ...]:
    """Every term that could matter over these points (cells × factors): main effects, bends, then interactions.

    A factor bends if it is a number with a level between its ends among the points.
    """
    singles = [_single(i, factor, points) for i, factor in enumerate(design.factors)]
    names = [factor.name for factor in design.factors]
    bends = [
        Column((name, name), (Part(i), Part(i)), ("", ""))
        for i, (name, factor) in enumerate(zip(names, design.factors, strict=True))
        if not is_category(factor) and bool(np.any(np.abs(points[:, i]) < 1.0))
    ]
    pairs = [
        Column((*one.term, *other.term), (*one.parts, *other.parts), (*one.levels, *other.levels))
        for first, second in itertools.combinations(singles, 2)
        for one, other in itertools.product(first, second)
    ]
    return (*itertools.chain(*singles), *bends, *pairs)


def _single(i: int, factor: Factor, points: Matrix) -> tuple[Column, ...]:
    if not has_many(factor):
        return (Column((factor.name,), (Part(i),), ("",)),)
    seen = sorted({int(index) for index in points[:, i]})
    texts = [level.text for level in coded(factor)]
    return tuple(Column((factor.name,), (Part(i, level, seen[-1]),), (texts[level],)) for level in seen[:-1])


def matrix(model: Iterable[Column], points: Matrix) -> Matrix:
    """One row per point, one column per column of the model, without the mean."""
    made = [_product(column.parts, points) for column in model]
    return np.column_stack(made) if made else np.zeros((len(points), 0))


def _product(parts: Sequence[Part], points: Matrix) -> Matrix:
    result = np.ones(len(points))
    for part in parts:
        values = points[:, part.factor]
        result = result * (values if part.level == CODE else 1.0 * (values == part.level) - (values == part.last))
    return result


def called(term: Term) -> str:
    """ "DEPTH", "DEPTH × MATRIX_LR", or "DEPTH²" for its bend."""
    if len(term) == 2 and term[0] == term[1]:
        return f"{term[0]}²"
    return " × ".join(term)
