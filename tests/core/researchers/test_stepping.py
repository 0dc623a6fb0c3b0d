"""Where crashes are: the planes between what failed and what did not."""

from __future__ import annotations

import numpy as np
import pytest

from core.researchers.stepping import RISK, edges_of, is_risky


@pytest.mark.parametrize("seed", range(5))
def test_the_plane_lies_where_memory_ends_however_the_points_lie(seed: int) -> None:
    """As in a campaign whose best results lie at the edge: hundreds of points close to it, some far away."""
    dice = np.random.default_rng(seed)
    slope = np.r_[1.0, 1.5, 0.8, np.zeros(12)]
    centre = np.r_[1.6, 0.1, -1.0, 1.6, -1.5, 1.1, -1.0, 1.0, -1.0, 0.4, 1.1, 0.0, -1.0, 0.0, 0.0]
    points = np.vstack([centre + dice.normal(size=(800, 15)) * 0.1, dice.normal(size=(60, 15)) * 1.5])
    crash = points @ slope + dice.normal(0, 0.02, len(points)) > centre @ slope
    ((found, odds),) = edges_of(points[~crash], [points[crash]])
    risky = points @ found + odds > RISK
    assert np.mean(risky[crash]) > 0.97
    assert np.mean(risky[~crash]) < 0.45, "cautious, and not walled in"
    assert found[:3] @ slope[:3] / np.linalg.norm(found) / np.linalg.norm(slope) > 0.98, "it has the slope of memory"


def test_a_single_crash_is_an_accident_and_two_are_an_edge() -> None:
    safe, far = np.zeros((5, 2)), np.array([3.0, 0.0])
    assert edges_of(safe, [far[None]]) == ()
    edges = edges_of(np.vstack([safe, [[0.5, 0.0]]]), [np.array([far, far + 0.2])])
    assert is_risky(edges, far)
    assert not is_risky(edges, np.zeros(2))
