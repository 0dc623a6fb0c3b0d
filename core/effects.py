"""What the runs of a design say: main effects, two-factor interactions and bends with errors, by least squares.

Works on whatever has finished. An effect is told only if the finished cells determine it; what they do not determine
is listed with what it waits for, and effects that share a column are named together. Knows no runs and no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from core.coding import place
from core.design import Design, Term, coded
from core.estimable import SHORTEST, Alias, Selection, select
from core.terms import Column, Matrix, Part, columns, matrix
from core.verdict import student_t

SMALLEST_SD = 1e-12  # identical results must not make an error of zero
MIXED = "not told apart from other effects by these cells"
ONE_SIDED = NormalDist().inv_cdf(0.95)
FEW = 3  # pending cells that are named; more are counted


class Observation(msgspec.Struct, frozen=True):
    """The mean val_bpb of a cell over `runs` runs. A cell that shares its runs with another counts a part of them.

    `on` names where it was measured if that is elsewhere; `mean` is moved by what is known of the difference then.
    """

    cell: Mapping[str, str]
    mean: float
    runs: float = 1.0
    on: str = ""


class Effect(msgspec.Struct, frozen=True):
    """In val_bpb. Below zero: the highest level (the second of two categories) is better than the lowest.

    A main effect is the change from the lowest to the highest level, at the centre of the others; an interaction is
    half the difference between a factor's effects at the two ends of the other; a bend is how much the ends are above
    the middle. Of a category with more than two levels it is the deviation of `levels` from the mean of those seen.
    `standard_error` follows from the run-to-run noise, or from the cells' distance to the fit where that is more:
    sqrt(sd² c'(X'WX)⁻¹c) (Draper and Smith, Applied Regression Analysis, chapters 2 and 5); `low` and `high` are its
    95 % interval, by Student's t.
    """

    factors: Term
    size: float
    standard_error: float
    low: float = 0.0
    high: float = 0.0
    levels: tuple[str, ...] = ()
    is_clear: bool = False  # its interval excludes zero
    is_sure: bool = False  # still so when corrected for the number of effects told (Bonferroni)
    aliases: tuple[Alias, ...] = ()  # effects with the same column: only their sum is known
    mixed: float = 0.0  # largest share of an effect that is not told, in this one


class Missing(msgspec.Struct, frozen=True):
    """An effect that cannot be told, with the reason."""

    factors: Term
    reason: str


class Fit(msgspec.Struct, frozen=True):
    """`coefficients` and `covariance` (in units of the noise variance) belong to the mean and then to `model`."""

    effects: tuple[Effect, ...]  # the clearest first
    missing: tuple[Missing, ...]
    cells: int  # with a result, all different
    runs: float
    noise_sd: float
    noise_df: float
    residual_sd: float | None  # of one run, from how far the cells are off the fitted model; None: it fits exactly
    residual_df: int
    is_off: bool  # the residual is larger than the noise explains: there is more to the surface than the model has
    model: tuple[Column, ...]
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    @property
    def error(self) -> tuple[float, float]:
        """Standard deviation that all errors follow from, and its degrees of freedom.

        Noise, unless the model lacks fit: then repeating the design elsewhere on the surface would scatter by more.
        """
        return _error(self.residual_sd if self.is_off else None, self.residual_df, self.noise_sd, self.noise_df)

    def predict(self, points: Matrix) -> tuple[Matrix, Matrix]:
        """Expected val_bpb and its standard error at points, as `core.coding.place` codes them."""
        rows = _with_mean(matrix(self.model, points))
        variances = np.einsum("ij,jk,ik->i", rows, np.array(self.covariance), rows)
        return rows @ np.array(self.coefficients), self.error[0] * np.sqrt(np.maximum(variances, 0.0))


def fit(
    design: Design,
    observations: Sequence[Observation],
    *,
    noise_sd: float,
    noise_df: float = float("inf"),
    pending: Mapping[str, Mapping[str, str]] | None = None,
    lost: Mapping[str, Mapping[str, str]] | None = None,
    shifts: Mapping[str, float] | None = None,
) -> Fit | None:
    """From the cells that have results. `pending` and `lost` name the cells that will have one, or never.

    `shifts`: by `Observation.on`, the standard error of the difference that its means were moved by; all of them share
    it, so what it leaves unknown is fitted along (a mixed model: Searle, Casella and McCulloch, Variance Components,
    chapter 7). None if no cell has a result. Cells that are not levels of the design are left out. Raises DesignError.
    """
    done = _pooled(design, observations)
    if not done:
        return None
    points = np.array([point for point, _ in done], ndmin=2).reshape(len(done), len(design.factors))
    means, runs = (np.array(values) for values in zip(*done.values(), strict=True))
    places = [on for on in dict.fromkeys(on for _, on in done) if on]
    elsewhere = np.array([[on == place for place in places] for _, on in done], dtype=float).reshape(len(done), -1)
    sd = max(noise_sd, SMALLEST_SD)
    known = np.array([(sd / max((shifts or {})[place], SMALLEST_SD)) ** 2 for place in places])
    waiting, gone = (_placed(design, cells or {}) for cells in (pending, lost))
    found = _select(design, points, waiting)
    x = matrix(found.model, points)
    solved, inverse, rank = _solved(x, elsewhere, known, means, runs)
    off, df = means - _with_mean(np.hstack([x, elsewhere])) @ solved, max(0, len(done) - rank - len(places))
    residual_sd = float(np.sqrt(runs @ off**2 / df)) if df else None
    is_off = residual_sd is not None and _exceeds((residual_sd / sd) ** 2, df, noise_df)
    size = 1 + x.shape[1]
    coefficients, covariance = solved[:size], inverse[:size, :size]
    error = _error(residual_sd if is_off else None, df, sd, noise_df)
    return Fit(
        effects=_effects(design, found, coefficients, covariance, *error),
        missing=_missing(design, points, found, waiting, gone),
        cells=len({point for point, _ in done}),
        runs=float(runs.sum()),
        noise_sd=sd,
        noise_df=noise_df,
        residual_sd=residual_sd,
        residual_df=df,
        is_off=is_off,
        model=found.model,
        coefficients=tuple(map(float, coefficients)),
        covariance=tuple(tuple(map(float, row)) for row in covariance),
    )


def _error(residual_sd: float | None, residual_df: float, noise_sd: float, noise_df: float) -> tuple[float, float]:
    return (noise_sd, noise_df) if residual_sd is None else (residual_sd, residual_df)


def effects(
    design: Design, cells: Sequence[Mapping[str, str]], scores: Sequence[float], sd: float
) -> tuple[Effect, ...]:
    """The effects alone: `scores[i]` is the val_bpb of `cells[i]`, `sd` the run-to-run noise. The clearest first."""
    runs = [Observation(cell, score) for cell, score in zip(cells, scores, strict=True)]
    found = fit(design, runs, noise_sd=sd)
    return found.effects if found else ()


def _solved(x: Matrix, elsewhere: Matrix, known: Matrix, means: Matrix, runs: Matrix) -> tuple[Matrix, Matrix, int]:
    """Weighted least squares with a free mean: coefficients (the mean first), (X'WX)⁻¹ and the rank of x.

    Of columns that depend on each other it is the smallest solution; the mean is not among what is made small.
    The columns of `elsewhere` have coefficients about zero, `known` being their precision in units of the noise.
    """
    columns, own, total = np.hstack([x, elsewhere]), x.shape[1], runs.sum()
    centre, middle = runs @ columns / total, runs @ means / total
    left = np.sqrt(runs)[:, None] * (columns - centre)
    gram = left.T @ left + np.diag([*np.zeros(own), *known])
    inverse = np.linalg.pinv(gram, rcond=SHORTEST**2, hermitian=True) if len(gram) else np.zeros((0, 0))
    slopes = inverse @ left.T @ (np.sqrt(runs) * (means - middle))
    mine = left[:, :own]
    rank = 1 + (int(np.linalg.matrix_rank(mine, tol=SHORTEST * np.linalg.norm(mine, 2))) if own else 0)
    across = -centre @ inverse
    whole = np.block([[np.array([[1 / total - across @ centre]]), across[None, :]], [across[:, None], inverse]])
    return np.concatenate([[middle - centre @ slopes], slopes]), whole, rank


def _exceeds(ratio: float, df: float, noise_df: float) -> bool:
    """Whether a ratio of variances is above the 95 % quantile of F.

    Normal approximation of its cube root, Paulson 1942 (Abramowitz & Stegun 26.6.15).
    """
    first, second, root = 2 / (9 * df), 2 / (9 * noise_df), ratio ** (1 / 3)
    return bool((1 - second) * root - (1 - first) > ONE_SIDED * np.sqrt(second * root**2 + first))


# --- cells ------------------------------------------------------------------------------------------------------------


def _pooled(
    design: Design, observations: Sequence[Observation]
) -> dict[tuple[tuple[float, ...], str], tuple[float, float]]:
    """Mean and runs of each different cell, wherever it was measured."""
    done: dict[tuple[tuple[float, ...], str], tuple[float, float]] = {}
    for seen in observations:
        point = place(design, seen.cell)
        if point is None or not seen.runs > 0:
            continue
        mean, runs = done.get((point, seen.on), (0.0, 0.0))
        total = runs + seen.runs
        done[point, seen.on] = (mean + (seen.mean - mean) * seen.runs / total, total)
    return done


def _placed(design: Design, named: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[float, ...]]:
    found = {name: place(design, cell) for name, cell in named.items()}
    return {name: point for name, point in found.items() if point is not None}


def _with_mean(x: Matrix) -> Matrix:
    return np.hstack([np.ones((len(x), 1)), x])


# --- what can be told -------------------------------------------------------------------------------------------------


def _select(design: Design, points: Matrix, more: Mapping[str, tuple[float, ...]]) -> Selection:
    """Terms that these points determine; aliased is what stays so when `more` have finished too."""
    attainable = _joined(points, more)
    return select(columns(design, points), points, attainable, in_turn=design.kind == "definitive screening")


def _joined(points: Matrix, more: Mapping[str, tuple[float, ...]]) -> Matrix:
    return np.vstack([points, *([point] for point in more.values())])


def _missing(
    design: Design,
    points: Matrix,
    found: Selection,
    waiting: Mapping[str, tuple[float, ...]],
    gone: Mapping[str, tuple[float, ...]],
) -> tuple[Missing, ...]:
    """Each effect that is not told: what it waits for, with what it was lost, or that the design cannot tell it."""
    later = _select(design, _joined(points, waiting), {}) if waiting else found
    planned = _select(design, _joined(points, {**waiting, **gone}), {}) if gone else later
    needs = _needs(design, points, waiting) if len(waiting) <= FEW else {}
    count = f"not yet: {len(points)} of {len(points) + len(waiting)} cells"
    why = []
    for term in _terms(design, _joined(points, {**waiting, **gone})):
        if found.has(term):
            continue
        if later.has(term):
            why.append(Missing(term, needs.get(term, count)))
        elif planned.has(term):
            why.append(Missing(term, f"lost with {_listed([*gone])}"))
        else:
            why.append(Missing(term, MIXED))
    return tuple(why)


def _terms(design: Design, points: Matrix) -> tuple[Term, ...]:
    mains = dict.fromkeys((factor.name,) for factor in design.factors)
    return tuple({**mains, **dict.fromkeys(column.term for column in columns(design, points))})


def _needs(design: Design, points: Matrix, waiting: Mapping[str, tuple[float, ...]]) -> dict[Term, str]:
    """By term: the pending cells without which it cannot be told."""
    without = {
        name: _select(design, _joined(points, {n: p for n, p in waiting.items() if n != name}), {}) for name in waiting
    }
    told: dict[Term, str] = {}
    for term in _terms(design, _joined(points, waiting)):
        needed = [name for name, others in without.items() if not others.has(term)]
        told[term] = f"needs {', '.join(needed)}" if needed else f"needs one of {', '.join(waiting)}"
    return told


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


# --- their sizes ------------------------------------------------------------------------------------------------------


def _effects(
    design: Design, found: Selection, coefficients: Matrix, inverse: Matrix, sd: float, df: float
) -> tuple[Effect, ...]:
    contrasts = [entry for term in found.told for entry in _contrasts(design, found.model, term)]
    some = student_t(df)
    every = student_t(df, NormalDist().inv_cdf(1 - 0.025 / max(1, len(contrasts))))
    told = []
    for term, levels, contrast in contrasts:
        size, error = float(contrast @ coefficients), sd * float(np.sqrt(contrast @ inverse @ contrast))
        effect = Effect(
            term,
            size,
            error,
            low=size - some * error,
            high=size + some * error,
            levels=levels,
            is_clear=abs(size) > some * error,
            is_sure=abs(size) > every * error,
            aliases=found.aliases.get(term, ()),
            mixed=found.mixed.get(term, 0.0),
        )
        told.append(effect)
    return tuple(sorted(told, key=lambda effect: -abs(effect.size / effect.standard_error)))


def _contrasts(design: Design, model: Sequence[Column], term: Term) -> list[tuple[Term, tuple[str, ...], Matrix]]:
    """What makes effects of a term's coefficients: one, or one per level of a category with more than two."""
    chosen = [(i + 1, column) for i, column in enumerate(model) if column.term == term]
    is_bend = len(term) == 2 and term[0] == term[1]
    scale = 1.0 if is_bend or not any(part.level < 0 for part in chosen[0][1].parts) else 2.0
    combinations: list[tuple[tuple[str, ...], dict[tuple[int, ...], float]]] = [((), {(): 1.0})]
    for place_ in range(len(term)):
        parts = list(dict.fromkeys(column.parts[place_] for _, column in chosen))
        combinations = [
            (
                (*levels, text),
                {(*key, level): value * weight for key, value in weights.items() for level, weight in step},
            )
            for levels, weights in combinations
            for text, step in _steps(design, parts)
        ]
    return [
        (term, levels if any(levels) else (), _vector(chosen, weights, scale, len(model) + 1))
        for levels, weights in combinations
    ]


def _steps(design: Design, parts: Sequence[Part]) -> list[tuple[str, list[tuple[int, float]]]]:
    """Of one factor: (level, its coefficients with weights); the last level is minus the sum of the others."""
    if parts[0].level < 0:
        return [("", [(parts[0].level, 1.0)])]
    texts = [level.text for level in coded(design.factors[parts[0].factor])]
    steps = [(texts[part.level], [(part.level, 1.0)]) for part in parts]
    return [*steps, (texts[parts[0].last], [(part.level, -1.0) for part in parts])]


def _vector(
    chosen: Sequence[tuple[int, Column]], weights: Mapping[tuple[int, ...], float], scale: float, size: int
) -> Matrix:
    vector = np.zeros(size)
    for i, column in chosen:
        vector[i] = scale * weights.get(tuple(part.level for part in column.parts), 0.0)
    return vector
