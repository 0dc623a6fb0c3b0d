"""Where to go on a fitted surface: the lowest reachable points within a distance of the centre, and the safe side.

Points lie on a lattice, so that equal ideas are equal. Crashes are kept out of the way by planes between what failed
and what did not, one per cause: in octaves, memory and divergence have straight edges. Knows coordinates only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.axes import Axis

Array = NDArray[np.float64]
Edges = tuple[tuple[Array, float], ...]  # log odds of a crash as slope and offset, by cause

FINE = 8  # lattice points per unit
SWEEPS = 3
FEW_FAILURES = 2  # fewer crashes than this are accidents
RISK = -1.2  # log odds of a crash that are still taken
EDGE_SD = 2.0  # of the plane's slope per unit, before anything is known
NEWTON, CLOSE = 30, 1e-6  # steps at most, and what is no step any more
USUAL_ODDS = -3.5  # log odds of a crash at the start, before anything is known


def lattice(axis: Axis, reach: float, present: float) -> Array:
    """The coordinates that this constant can have, up to `reach` units from its start, and the present one."""
    return np.unique(np.round([*_ticks(axis, reach), present], 6))


def _ticks(axis: Axis, reach: float) -> list[float]:
    if axis.kind == "switch":
        return [0.0, 1.0]
    steps = np.arange(-round(reach * FINE), round(reach * FINE) + 1) / FINE
    if axis.step == "any" or axis.kind != "octaves":
        return [axis.nearest(float(step)) for step in steps]
    return [axis.nearest(float(step)) for step in steps if axis.step == "whole" or float(step).is_integer()]


def lowest(
    surfaces: Sequence[tuple[Array, Array]],
    levels: Sequence[Array],
    centre: Array,
    radius: Array,
    stay: float,
    edges: Edges,
) -> Array:
    """One point per surface (m × k): its minimum with every coordinate within `radius` (m) of the centre.

    Found coordinate by coordinate. A coordinate that gains less than `stay` is left where it is.
    """
    slopes = np.array([slope for slope, _ in surfaces])
    curves = np.array([curve for _, curve in surfaces])
    moved = np.zeros_like(slopes)
    for _ in range(SWEEPS):
        for j in np.argsort(-np.abs(slopes).mean(axis=0)):
            steps = levels[j] - centre[j]
            others = slopes[:, j] + 2 * (np.einsum("mk,mk->m", curves[:, j], moved) - curves[:, j, j] * moved[:, j])
            value = others[:, None] * steps + curves[:, j, j][:, None] * steps**2 + stay * (np.abs(steps) > 1e-9)
            value = np.where(np.abs(steps) <= np.maximum(radius[:, None], 1e-9), value, np.inf)
            value = np.where(_risks(edges, centre, moved, int(j), steps), np.inf, value)
            best = np.argmin(value, axis=1)
            possible = np.isfinite(value[np.arange(len(best)), best])
            moved[:, j] = np.where(possible, steps[best], moved[:, j])
    return np.asarray(centre + moved)


def is_risky(edges: Edges, at: Array) -> bool:
    """Whether a crash is too likely there."""
    return any(odds + float(slope @ at) > RISK for slope, odds in edges)


def _risks(edges: Edges, centre: Array, moved: Array, j: int, steps: Array) -> NDArray[np.bool_]:
    risky = np.zeros((len(moved), len(steps)), dtype=bool)
    for slope, odds in edges:
        without = odds + (centre + moved) @ slope - moved[:, j] * slope[j]
        risky |= (without[:, None] + slope[j] * steps > RISK) & (slope[j] * steps > 0)
    return risky


def edges_of(safe: Array, failed: Sequence[Array]) -> Edges:
    """One plane per cause of crashes that are more than accidents."""
    return tuple(_edge(safe, cause) for cause in failed if len(cause) >= FEW_FAILURES and len(safe))


def _edge(safe: Array, failed: Array) -> tuple[Array, float]:
    """Logistic regression with a Gaussian prior, by Newton's method with steps that are halved until they help."""
    x = np.vstack([safe, failed])
    x = np.column_stack([x, np.ones(len(x))])
    crashed = np.r_[np.zeros(len(safe)), np.ones(len(failed))]
    prior = np.r_[np.zeros(x.shape[1] - 1), USUAL_ODDS]
    weight = np.r_[np.full(x.shape[1] - 1, EDGE_SD**-2), 1.0]

    def loss(at: Array) -> float:
        odds = x @ at
        return float(np.logaddexp(0.0, odds).sum() - crashed @ odds + weight @ (at - prior) ** 2 / 2)

    found, best = prior, loss(prior)
    for _ in range(NEWTON):
        chance = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        gradient = x.T @ (crashed - chance) - weight * (found - prior)
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + np.diag(weight)
        step = np.linalg.solve(curvature, gradient)
        while (value := loss(found + step)) > best and np.abs(step).max() > CLOSE:
            step = step / 2
        if value > best - CLOSE:
            break
        found, best = found + step, value
    return found[:-1], float(found[-1])
