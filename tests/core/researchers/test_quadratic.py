"""The fitted surface: it finds effects, bends and interactions, and shrinks what is not there."""

from __future__ import annotations

import numpy as np
import pytest

from core.axes import Axis, axes_of
from core.researchers.quadratic import Array, Points, fitted
from core.researchers.stepping import edges_of, is_risky, lattice, lowest

SD = 0.001


def points(at: Array, value: Array, kind: Array | None = None) -> Points:
    return Points(at, value, np.full(len(value), SD), np.zeros(len(value)) if kind is None else kind)


def sample(count: int, factors: int, seed: int = 0) -> tuple[Array, np.random.Generator]:
    dice = np.random.default_rng(seed)
    return np.asarray(dice.uniform(-1, 1, (count, factors))), dice


def test_it_finds_effects_bends_and_interactions_and_leaves_the_dead_at_zero() -> None:
    at, dice = sample(60, 8)
    value = 1 + 0.02 * at[:, 0] + 0.03 * at[:, 1] ** 2 + 0.015 * at[:, 0] * at[:, 2] + 0.01 * at[:, 2]
    found = fitted(points(at, value + dice.normal(0, SD, 60)), slope=0.005, centre_value=1.0)
    main, error = found.main()
    assert main[:3] == pytest.approx([0.02, 0.0, 0.01], abs=0.003)
    assert found.bends()[0][1] == pytest.approx(0.03, abs=0.004)
    slope, curvature = found.expected()
    assert 2 * curvature[0, 2] == pytest.approx(0.015, abs=0.004)
    assert np.abs(main[3:]).max() < 0.002
    assert np.all(np.abs(main[3:]) < 4 * error[3:])
    assert slope == pytest.approx(main)


def test_predictions_cover_what_is_true() -> None:
    at, dice = sample(50, 5, 1)
    effects = np.array([0.02, -0.01, 0.0, 0.0, 0.005])
    found = fitted(points(at, 1 + at @ effects + dice.normal(0, SD, 50)), slope=0.005, centre_value=1.0)
    there = dice.uniform(-1, 1, (200, 5))
    change, error = found.predicted(there)
    assert np.mean(np.abs(change - there @ effects) < 2 * np.hypot(error, SD)) > 0.9


def test_fewer_results_than_effects_still_give_the_strong_one() -> None:
    at, dice = sample(12, 10, 2)
    found = fitted(
        points(np.sign(at), 1 + 0.03 * np.sign(at)[:, 4] + dice.normal(0, SD, 12)), slope=0.005, centre_value=1
    )
    main, _ = found.main()
    assert int(np.argmax(np.abs(main))) == 4


def test_an_offset_between_gpu_types_is_not_an_effect() -> None:
    at, dice = sample(40, 3, 3)
    kind = (at[:, 0] > 0.2).astype(float)  # one type happens to run most of one side
    found = fitted(points(at, 1 - 0.02 * kind + dice.normal(0, SD, 40), kind), slope=0.005, centre_value=1.0)
    assert np.abs(found.main()[0]).max() < 0.004


def test_draws_scatter_where_nothing_was_measured() -> None:
    at, dice = sample(30, 3, 4)
    at[:, 2] = 0.0
    found = fitted(points(at, 1 + 0.01 * at[:, 0] + dice.normal(0, SD, 30)), slope=0.005, centre_value=1.0)
    slopes = np.array([slope for slope, _ in found.draws(200, dice)])
    assert slopes[:, 2].std() > 5 * slopes[:, 0].std()


def axis(name: str, value: float | int) -> Axis:
    return axes_of({name: value})[0]


def test_the_lattice_holds_values_that_train_py_can_have() -> None:
    assert 2.0 ** lattice(axis("DEPTH", 8), 1.0, 0.0) * 8 == pytest.approx([*range(4, 9), 9, 10, 11, 12, 13, 15, 16])
    assert lattice(axis("TOTAL_BATCH_SIZE", 2**19), 2.0, 0.0).tolist() == [-2, -1, 0, 1, 2]
    share = lattice(axis("WARMUP_RATIO", 0.0), 4.0, 0.0)
    assert share.min() == 0
    assert share.max() == 4


def test_the_lowest_point_is_found_within_the_radius() -> None:
    axes = [axis("A_LR", 0.1), axis("B_LR", 0.1)]
    levels = [lattice(each, 4.0, 0.0) for each in axes]
    slope, curvature = np.array([-2.0, 1.0]), np.array([[1.0, 0.5], [0.5, 1.0]])  # lowest at (5/3, −4/3)
    surfaces = [(slope, curvature)] * 2
    found = lowest(surfaces, levels, np.zeros(2), np.array([4.0, 0.5]), 0.0, ())
    assert found[0] == pytest.approx([5 / 3, -4 / 3], abs=0.1)
    assert np.abs(found[1]).max() <= 0.5 + 1e-6


def test_what_gains_too_little_stays() -> None:
    levels = [lattice(axis("A_LR", 0.1), 4.0, 0.0)]
    found = lowest([(np.array([-0.001]), np.array([[0.001]]))], levels, np.zeros(1), np.ones(1), 0.01, ())
    assert found[0, 0] == 0


def test_crashes_beyond_an_edge_keep_steps_on_the_safe_side() -> None:
    at, _ = sample(80, 3, 5)
    failed = at[:, 0] + at[:, 1] > 0.5
    edges = edges_of(at[~failed], [at[failed]])
    assert is_risky(edges, np.array([0.9, 0.9, 0.0]))
    assert not is_risky(edges, np.array([-0.5, 0.0, 0.9]))
    levels = [lattice(axis(f"{name}_LR", 0.1), 2.0, 0.0) for name in "ABC"]
    downhill = [(np.array([-1.0, -1.0, -1.0]), np.zeros((3, 3)))]
    point = lowest(downhill, levels, np.zeros(3), np.ones(1), 0.0, edges)[0]
    assert point[0] + point[1] < 0.6
    assert point[2] == pytest.approx(1.0, abs=0.01)


def test_a_single_crash_is_an_accident() -> None:
    at, _ = sample(20, 3, 6)
    assert edges_of(at, [at[:1]]) == ()
