"""Which effects a set of cells determines, which share a column, and which stay mixed. Knows no results.

Main effects come before bends and interactions, as everywhere in experimental design: what the cells cannot tell of
the latter is taken as zero when the former are estimated, and the share that it would have in them is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from core.design import Term
from core.terms import CODE, Column, Matrix, matrix

SHORTEST = 1e-4  # of a column's length: what is left of it must be more, or its error would mean nothing
ROUNDING = 1e-6
MOST_MIXED = 0.1  # share of others in a main effect that is told all the same: one of twelve runs may be lost


class Alias(msgspec.Struct, frozen=True):
    """Another effect with the same column, or with its opposite (sign −1)."""

    factors: Term
    sign: int


class Selection(msgspec.Struct, frozen=True):
    """`told` are terms of `model`; `leaders` has for each aliased term the one that stands for it.

    The model also holds main effects that are not told, so that they are not booked on the others. `mixed` is the
    largest share of an effect not told, by term.
    """

    model: tuple[Column, ...]
    told: dict[Term, None]
    aliases: dict[Term, tuple[Alias, ...]]
    leaders: dict[Term, Term]
    mixed: dict[Term, float]

    def has(self, term: Term) -> bool:
        """Whether it is told, alone or as an alias."""
        return self.leaders.get(term, term) in self.told


def select(candidates: Sequence[Column], points: Matrix, attainable: Matrix, *, in_turn: bool = False) -> Selection:
    """The columns whose coefficients the points determine. Columns are aliased if they agree on all of `attainable`.

    `in_turn`: bends before interactions, as in a definitive screening design, which cannot tell all of them together.
    """
    x = matrix(candidates, points)
    same, aliases = _aliased(candidates, matrix(candidates, attainable))
    mains, *others = ([i for i in stage if i not in same] for stage in _stages(candidates, in_turn))
    chosen, shares = _determined(candidates, mains, [], x, MOST_MIXED)
    before = mains
    for stage in others:
        chosen += _determined(candidates, stage, before, x, 0.0)[0]
        before = [*before, *stage]
    told = dict.fromkeys(candidates[i].term for i in chosen)
    chosen += [i for i in mains if i not in chosen]
    rest = [i for i in range(len(candidates)) if i not in chosen and i not in same]
    return Selection(
        tuple(candidates[i] for i in chosen),
        told,
        {term: named for term, named in aliases.items() if term in told},
        {alias.factors: term for term, named in aliases.items() for alias in named},
        _mixed(candidates, chosen, rest, x, shares),
    )


def _stages(candidates: Sequence[Column], in_turn: bool) -> Iterator[list[int]]:
    mains = [i for i, column in enumerate(candidates) if len(column.term) == 1]
    bends = [i for i, column in enumerate(candidates) if len(column.term) == 2 and column.term[0] == column.term[1]]
    rest = [i for i, column in enumerate(candidates) if len(column.term) == 2 and column.term[0] != column.term[1]]
    yield mains
    yield from (bends, rest) if in_turn else ([*bends, *rest],)


def _aliased(candidates: Sequence[Column], x: Matrix) -> tuple[set[int], dict[Term, tuple[Alias, ...]]]:
    """Columns that repeat an earlier one up to sign, and for the earlier one what they are."""
    first: dict[bytes, tuple[int, int]] = {}
    same: set[int] = set()
    aliases: dict[Term, tuple[Alias, ...]] = {}
    rounded = np.round(x, 9) + 0.0
    for i, column in enumerate(candidates):
        if any(part.level != CODE for part in column.parts):
            continue  # one of several columns of its term
        values = rounded[:, i]
        sign = -1 if next((value for value in values if value), 1.0) < 0 else 1
        leader, its_sign = first.setdefault((values * sign + 0.0).tobytes(), (i, sign))
        if leader != i:
            same.add(i)
            term = candidates[leader].term
            aliases[term] = (*aliases.get(term, ()), Alias(column.term, sign * its_sign))
    return same, aliases


def _determined(
    candidates: Sequence[Column], stage: list[int], before: list[int], x: Matrix, most: float
) -> tuple[list[int], dict[int, float]]:
    """Of a stage's columns those that no combination of the others and of the stages before can imitate.

    Nearly so is enough where the smallest solution holds at most the share `most` of others in them; these shares are
    the second part (1 − the diagonal of the resolution matrix X⁺X, and the largest off it).
    """
    if not stage:
        return [], {}
    basis = _basis(x[:, before])
    left = x[:, stage] - basis @ (basis.T @ x[:, stage])
    _, sizes, directions = np.linalg.svd(np.linalg.qr(left, mode="r"))  # many cells: only the small factor matters
    free = directions[int(np.sum(sizes > SHORTEST * max(1.0, sizes[0]))) :]
    shares = np.abs(free.T @ free)
    lost = np.diag(shares) > most + ROUNDING
    terms = {candidates[i].term for i, is_lost in zip(stage, lost, strict=True) if is_lost}
    told = [i for i in stage if candidates[i].term not in terms]
    return told, {i: float(share) for i, share in zip(stage, shares.max(axis=1), strict=True)}


def _basis(x: Matrix) -> Matrix:
    """Orthonormal, of the mean and these columns, however they depend on each other."""
    directions, sizes, _ = np.linalg.svd(np.hstack([np.ones((len(x), 1)), x]), full_matrices=False)
    return directions[:, sizes > SHORTEST * sizes[0]]


def _mixed(
    candidates: Sequence[Column], chosen: list[int], rest: list[int], x: Matrix, shares: dict[int, float]
) -> dict[Term, float]:
    """The largest coefficient of a column that is left out, regressed on those in the model (the alias matrix)."""
    found: dict[Term, float] = {}
    model = np.hstack([np.ones((len(x), 1)), x[:, chosen]])
    weights = np.abs(np.linalg.lstsq(model, x[:, rest], rcond=SHORTEST)[0][1:]) if rest else np.zeros((len(chosen), 1))
    for i, weight in zip(chosen, weights.max(axis=1), strict=True):
        share = max(float(weight), shares.get(i, 0.0))
        if share > ROUNDING:
            found[candidates[i].term] = max(found.get(candidates[i].term, 0.0), share)
    return found
