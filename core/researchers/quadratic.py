"""A quadratic response surface fitted to everything that was measured, with effects shrunk toward zero.

Bayesian linear regression over main effects, bends and interactions. How far an effect is shrunk is learned per factor
from the data (automatic relevance determination, MacKay 1992); a pair of factors interacts no more than both matter
alone. Coordinates are distances from a centre. Knows points and numbers, not what they stand for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDS = 12  # of the fixed-point iteration for the relevances
BEND = 0.5  # sd of a bend, in sd of the factor's main effect
CONVEX = 0.35  # expected bend: a constant has a best value somewhere
CROSS = 0.5  # sd of an interaction, in geometric means of its factors' sd
PAIRED = 9  # factors whose interactions are fitted: the most relevant ones
LOOSE = 0.2  # share of a result's excess over the centre by which the surface may miss it
PRIOR_COUNT = 1.5  # effects' worth of belief that a factor is like the others


class Points(msgspec.Struct, frozen=True):
    """Results: coordinates (n × k), mean val_bpb (n), its standard error (n), index of the GPU type (n, 0: main)."""

    at: Array
    value: Array
    error: Array
    kind: Array


class Surface(msgspec.Struct, frozen=True):
    """The posterior of a fitted surface; `mean` and `root` are of its effects, `root @ root.T` their covariance."""

    factors: int
    pairs: tuple[tuple[int, int], ...]
    mean: Array
    root: Array
    relevance: Array  # sd of each factor's main effect, as learned
    misfit: float  # sd of the results near the centre around the surface

    def predicted(self, at: Array) -> tuple[Array, Array]:
        """Change of val_bpb against the centre, and its standard error, at each row of `at`."""
        x = _terms(np.atleast_2d(at), self.pairs)
        weights = self.root[1:][: x.shape[1]]
        return x @ self.mean[1 : 1 + x.shape[1]], np.linalg.norm(x @ weights, axis=1)

    def main(self) -> tuple[Array, Array]:
        """Main effects per unit at the centre, and their standard errors."""
        rows = self.root[1 : 1 + self.factors]
        return self.mean[1 : 1 + self.factors], np.linalg.norm(rows, axis=1)

    def bends(self) -> tuple[Array, Array]:
        """Curvatures per squared unit, and their standard errors."""
        rows = slice(1 + self.factors, 1 + 2 * self.factors)
        return self.mean[rows], np.linalg.norm(self.root[rows], axis=1)

    def draws(self, count: int, dice: np.random.Generator) -> list[tuple[Array, Array]]:
        """Gradients and symmetric curvatures (value = g·x + x·H·x) of surfaces that the results allow."""
        normal = dice.normal(size=(self.root.shape[1], count))
        return [self._shape(column) for column in (self.mean[:, None] + self.root @ normal).T]

    def expected(self) -> tuple[Array, Array]:
        return self._shape(self.mean)

    def _shape(self, effects: Array) -> tuple[Array, Array]:
        k = self.factors
        curvature = np.diag(effects[1 + k : 1 + 2 * k])
        for (i, j), effect in zip(self.pairs, effects[1 + 2 * k :], strict=False):
            curvature[i, j] = curvature[j, i] = effect / 2
        return effects[1 : 1 + k], curvature


def fitted(points: Points, *, slope: float, centre_value: float) -> Surface:
    """The surface through the points. `slope`: sd of a main effect before anything is known, val_bpb per unit."""
    factors = points.at.shape[1]
    error = np.hypot(points.error, LOOSE * np.maximum(0.0, points.value - centre_value))
    scale = np.full(factors, slope)
    system = _System.of(points, error, (), centre_value)
    fit = _solve(system, scale, slope)
    for turn in range(ROUNDS):
        if turn in (2, ROUNDS // 2):
            chosen = sorted(np.argsort(-scale)[:PAIRED].tolist())
            pairs = tuple((i, j) for place, i in enumerate(chosen) for j in chosen[place + 1 :])
            system = _System.of(points, error, pairs, centre_value)
        fit = _solve(system, scale, slope)
        scale = _relevances(fit, factors, slope)
    return msgspec.structs.replace(fit, relevance=scale, misfit=_misfit(system, fit.mean))


def _terms(at: Array, pairs: tuple[tuple[int, int], ...]) -> Array:
    crossed = [at[:, i] * at[:, j] for i, j in pairs]
    return np.column_stack([at, at**2, *crossed])


class _System(NamedTuple):
    """What does not depend on the scales: the model matrix X, W = 1/error², XᵀWX and XᵀW(value − centre)."""

    factors: int
    pairs: tuple[tuple[int, int], ...]
    x: Array
    error: Array
    above: Array  # value − centre
    gram: Array
    moment: Array

    @classmethod
    def of(cls, points: Points, error: Array, pairs: tuple[tuple[int, int], ...], centre_value: float) -> _System:
        count = len(points.value)
        types = range(1, int(points.kind.max(initial=0)) + 1)
        kinds = np.array([points.kind == kind for kind in types], dtype=float).reshape(len(types), count).T
        x = np.column_stack([np.ones(count), _terms(points.at, pairs), kinds])
        above = points.value - centre_value
        weighed = x / error[:, None] ** 2
        return cls(points.at.shape[1], pairs, x, error, above, weighed.T @ x, weighed.T @ above)


def _solve(system: _System, scale: Array, slope: float) -> Surface:
    """Posterior mean and covariance for known prior scales: ridge regression with one penalty per effect."""
    k, pairs = system.factors, system.pairs
    cross = np.array([CROSS * math.sqrt(scale[i] * scale[j]) for i, j in pairs])
    wide = 20 * slope
    kinds = system.x.shape[1] - 1 - 2 * k - len(pairs)
    prior_sd = np.concatenate([[wide], scale, BEND * scale, cross, np.full(kinds, wide)])
    prior = np.zeros(len(prior_sd))
    prior[1 + k : 1 + 2 * k] = CONVEX * scale
    precision = prior_sd[:, None] * system.gram * prior_sd + np.eye(len(prior_sd))
    inverse = np.linalg.inv(np.linalg.cholesky(precision))
    solved = inverse.T @ (inverse @ (prior_sd * (system.moment - system.gram @ prior)))
    return Surface(k, pairs, prior + prior_sd * solved, prior_sd[:, None] * inverse.T, scale, 0.0)


def _misfit(system: _System, effects: Array) -> float:
    """Sd of the results near the centre around the surface."""
    error = system.error
    rest = (system.above - system.x @ effects) / error
    near = error < 2 * np.median(error) if len(error) else np.zeros(0, dtype=bool)
    return float(np.sqrt(np.mean(rest[near] ** 2))) * float(np.median(error)) if near.any() else 0.0


def _relevances(fit: Surface, factors: int, slope: float) -> Array:
    """What the effects of each factor say about its scale, mixed with what those of all others say."""
    mean, variance = fit.mean, np.sum(fit.root**2, axis=1)
    square = mean[1 : 1 + factors] ** 2 + variance[1 : 1 + factors]
    bend = (mean[1 + factors : 1 + 2 * factors] ** 2 + variance[1 + factors : 1 + 2 * factors]) / (BEND**2 + CONVEX**2)
    typical = max(float(np.exp(np.mean(np.log(square + bend + (0.02 * slope) ** 2)))) / 2, (0.1 * slope) ** 2)
    return np.asarray(np.sqrt((square + bend + PRIOR_COUNT * typical) / (2 + PRIOR_COUNT)))
