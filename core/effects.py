"""What the runs of a design say: main effects and two-factor interactions with standard errors, by least squares.

Works on whatever has finished; what cannot be estimated yet is left out. Needs numpy; knows no files and no processes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from core.design import Design

_RANK_TOLERANCE = 1e-9


class Effect(msgspec.Struct, frozen=True):
    """Change of val_bpb from the lowest to the highest level of a factor, or of one factor between levels of another.

    `standard_error` follows from the run-to-run noise: sqrt(sd² (XᵀX)⁻¹), the usual least-squares result.
    """

    factors: tuple[str, ...]
    size: float
    standard_error: float


def effects(
    design: Design, cells: Sequence[Mapping[str, str]], scores: Sequence[float], sd: float
) -> tuple[Effect, ...]:
    """Effects from the finished runs: `scores[i]` is the val_bpb of `cells[i]`, `sd` the run-to-run noise.

    Levels are coded evenly from −1 to +1 in the order of the design. The strongest effects come first.
    """
    terms = [*((f.name,) for f in design.factors), *itertools.combinations([f.name for f in design.factors], 2)]
    codes = {f.name: dict(zip(f.levels, np.linspace(-1.0, 1.0, len(f.levels)), strict=True)) for f in design.factors}
    columns = [[float(np.prod([codes[n][cell[n]] for n in term])) for cell in cells] for term in terms]
    x = np.array([[1.0] * len(cells), *columns]).T
    estimable = _estimable(x)
    x = x[:, estimable]
    if not len(cells) or x.shape[1] < 2:
        return ()
    inverse = np.linalg.inv(x.T @ x)
    fit = inverse @ x.T @ np.array(scores)
    errors = sd * np.sqrt(np.diag(inverse))
    found = [
        Effect(terms[i - 1], 2 * float(b), 2 * float(e)) for i, b, e in zip(estimable, fit, errors, strict=True) if i
    ]
    return tuple(sorted(found, key=lambda effect: -abs(effect.size / effect.standard_error)))


def _estimable(x: np.ndarray) -> list[int]:
    """Columns that are not combinations of those before: the mean first, then main effects, then interactions."""
    chosen: list[int] = []
    for i in range(x.shape[1]):
        if np.linalg.matrix_rank(x[:, [*chosen, i]], tol=_RANK_TOLERANCE) > len(chosen):
            chosen.append(i)
    return chosen
