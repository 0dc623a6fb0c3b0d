"""Where a fitted design expects the lowest val_bpb: the best cell inside the region, and the surface's turning point.

Nothing outside the levels of the design is ever predicted. It knows a fit and its design, no runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
import numpy as np

from core.coding import has_many, place
from core.design import Coded, Design, cells, coded, is_category
from core.effects import Fit
from core.estimable import ROUNDING
from core.factors import between
from core.terms import Matrix
from core.verdict import student_t

SWEEPS = 12  # through all factors; the descent ends long before
FLAT = 1e-9  # of the largest curvature: below it the surface does not turn

Shape = Literal["minimum", "maximum", "saddle"]


class Prediction(msgspec.Struct, frozen=True):
    """The cell with the lowest expected val_bpb, and the 95 % interval of that expectation (not of one more run).

    It is the lowest of many estimates, so it flatters itself; a run of the cell decides.
    """

    cell: dict[str, str]
    val_bpb: float
    standard_error: float
    low: float
    high: float
    is_tested: bool  # it has a result


class Turning(msgspec.Struct, frozen=True):
    """Where the fitted quadratic is level: `codes` by factor, −1…+1 being the region. Other factors are at `cell`."""

    shape: Shape
    codes: dict[str, float]
    is_inside: bool
    cell: dict[str, str]


def predicted(design: Design, fit: Fit, tested: Iterable[Mapping[str, str]]) -> Prediction | None:
    """The best cell as the fit has it: of the design's cells, or of all settings between the levels if it has bends.

    The latter only if every bend and interaction is told, so that the fit holds between the cells. None if there is
    no cell that the fit can say something about.
    """
    points = [point for cell in tested if (point := place(design, cell)) is not None]
    planned = [point for cell in cells(design) if (point := place(design, cell)) is not None]
    starts = _known(design, np.array([*dict.fromkeys([*points, *planned])], ndmin=2), np.array(points, ndmin=2))
    if not len(starts):
        return None
    choices = _choices(design)
    best = _descend(fit, starts, choices) if is_whole(design, fit) else _lowest(fit, starts)
    (value,), (error,) = fit.predict(best[None, :])
    half = student_t(fit.error[1]) * float(error)
    cell = _cell(design, best, choices)
    near = np.abs(np.array(points, ndmin=2) - best).max(axis=1).min() < ROUNDING
    return Prediction(cell, float(value), float(error), float(value) - half, float(value) + half, bool(near))


def is_whole(design: Design, fit: Fit) -> bool:
    """Whether the fit is a full second-order model: something bends, and nothing is missing, aliased or mixed."""
    bends = any(len(effect.factors) == 2 and effect.factors[0] == effect.factors[1] for effect in fit.effects)
    return bends and not fit.missing and not any(effect.aliases or effect.mixed for effect in fit.effects)


def turning(design: Design, fit: Fit, at: Prediction) -> Turning | None:
    """Where the gradient vanishes in the factors that bend: −½H⁻¹g (Box and Wilson 1951). None if none clearly does."""
    seen = [e for e in fit.effects if len(e.factors) == 2 and e.factors[0] == e.factors[1]]
    bends = [effect.factors[0] for effect in seen] if any(effect.is_clear for effect in seen) else []
    bent = [i for i, factor in enumerate(design.factors) if factor.name in bends]
    start = place(design, at.cell) or _nearest(design, at.cell)
    if not bent or not is_whole(design, fit):
        return None
    gradient, curvature = _quadratic(fit, np.array(start), bent)
    sizes = np.linalg.eigvalsh(curvature)
    if np.abs(sizes).min() <= FLAT * max(np.abs(sizes).max(), FLAT):
        return None
    codes = -np.linalg.solve(curvature, gradient)
    shape: Shape = "minimum" if (sizes > 0).all() else "maximum" if (sizes < 0).all() else "saddle"
    names = [design.factors[i].name for i in bent]
    others = {name: text for name, text in at.cell.items() if name not in names}
    found = dict(zip(names, map(float, codes), strict=True))
    return Turning(shape, found, bool((np.abs(codes) <= 1).all()), others)


def _quadratic(fit: Fit, start: Matrix, bent: list[int]) -> tuple[Matrix, Matrix]:
    """Gradient at 0 and second derivatives in the bent factors, by differences, which are exact for a quadratic."""
    count = len(bent)
    steps = np.eye(count)
    rows = [np.zeros(count), *steps, *-steps, *(steps[i] + steps[j] for i in range(count) for j in range(count))]
    points = np.tile(start, (len(rows), 1))
    points[:, bent] = rows
    values = fit.predict(points)[0]
    middle, up, down = values[0], values[1 : count + 1], values[count + 1 : 2 * count + 1]
    both = values[2 * count + 1 :].reshape(count, count)
    curvature = both - up[:, None] - up[None, :] + middle
    np.fill_diagonal(curvature, up + down - 2 * middle)
    return (up - down) / 2, curvature


def _known(design: Design, candidates: Matrix, points: Matrix) -> Matrix:
    """Candidates that differ from the finished points only in what these tell about."""
    count = len(design.factors)
    many = [i for i in range(count) if has_many(design.factors[i])]
    seen = np.ones(len(candidates), dtype=bool)
    for i in many:
        seen &= np.isin(candidates[:, i], points[:, i])
    single = [i for i in range(count) if i not in many]
    rows, wanted = (np.hstack([np.ones((len(x), 1)), x[:, single]]) for x in (points, candidates))
    inside = wanted @ np.linalg.pinv(rows) @ rows
    known: Matrix = candidates[seen & (np.abs(inside - wanted).max(axis=1) < ROUNDING)]
    return known


def _choices(design: Design) -> list[tuple[Coded, ...]]:
    """What each factor may be set to, with codes as in `core.coding.place`."""
    return [
        tuple(Coded(level.text, float(i)) for i, level in enumerate(coded(factor))) if has_many(factor)
        else coded(factor) if is_category(factor) else between(factor)
        for factor in design.factors
    ]  # fmt: skip


def _lowest(fit: Fit, points: Matrix) -> Matrix:
    lowest: Matrix = points[int(np.argmin(fit.predict(points)[0]))]
    return lowest


def _descend(fit: Fit, starts: Matrix, choices: list[tuple[Coded, ...]]) -> Matrix:
    """From every start, one factor after the other set to its best; the lowest end of all."""
    points, before = starts.copy(), np.inf
    for _ in range(SWEEPS):
        for i, levels in enumerate(choices):
            codes = np.array([level.code for level in levels])
            tried = np.repeat(points, len(codes), axis=0)
            tried[:, i] = np.tile(codes, len(points))
            values = fit.predict(tried)[0].reshape(len(points), len(codes))
            points[:, i] = codes[values.argmin(axis=1)]
        now = float(fit.predict(points)[0].sum())
        if now >= before - ROUNDING**2:
            break
        before = now
    return _lowest(fit, points)


def _cell(design: Design, point: Matrix, choices: list[tuple[Coded, ...]]) -> dict[str, str]:
    chosen = (min(levels, key=lambda level: abs(level.code - at)) for levels, at in zip(choices, point, strict=True))
    return {factor.name: level.text for factor, level in zip(design.factors, chosen, strict=True)}


def _nearest(design: Design, cell: Mapping[str, str]) -> tuple[float, ...]:
    texts = ({level.text: level.code for level in levels} for levels in _choices(design))
    return tuple(codes.get(cell[factor.name], 0.0) for factor, codes in zip(design.factors, texts, strict=True))
