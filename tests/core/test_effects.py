"""Effects: least squares on what has finished, with errors that tell the truth."""

from __future__ import annotations

import random

import pytest

from core.design import Design, Factor, cells
from core.effects import effects

TWO_BY_TWO = Design("full factorial", (Factor("A", ("1", "2")), Factor("B", ("1", "2"))))


def test_effects_of_a_known_surface_are_found_exactly() -> None:
    grid = cells(TWO_BY_TWO)
    scores = [2.0 + 0.3 * (c["A"] == "2") - 0.1 * (c["B"] == "2") + 0.04 * (c["A"] == c["B"]) for c in grid]
    found = {effect.factors: effect.size for effect in effects(TWO_BY_TWO, grid, scores, 0.01)}
    assert found["A",] == pytest.approx(0.3)
    assert found["B",] == pytest.approx(-0.1)
    assert found["A", "B"] == pytest.approx(0.04)


def test_the_standard_error_of_a_replicated_factorial_is_the_textbook_one() -> None:
    grid = [*cells(TWO_BY_TWO)] * 2  # 8 runs: se = 2 sd / sqrt(n)
    (first, *_) = effects(TWO_BY_TWO, grid, [1.0] * 8, 0.02)
    assert first.standard_error == pytest.approx(2 * 0.02 / 8**0.5)


def test_standard_errors_cover_the_truth_as_often_as_they_say() -> None:
    dice, grid, inside = random.Random(7), [*cells(TWO_BY_TWO)] * 3, 0
    for _ in range(400):
        scores = [2.0 + 0.1 * (c["A"] == "2") + dice.gauss(0, 0.02) for c in grid]
        (effect,) = [e for e in effects(TWO_BY_TWO, grid, scores, 0.02) if e.factors == ("A",)]
        inside += abs(effect.size - 0.1) < 1.96 * effect.standard_error
    assert 0.92 < inside / 400 < 0.98


def test_a_missing_cell_leaves_out_only_what_cannot_be_told() -> None:
    grid = cells(TWO_BY_TWO)[:3]
    found = {effect.factors for effect in effects(TWO_BY_TWO, grid, [1.0, 2.0, 3.0], 0.1)}
    assert found == {("A",), ("B",)}


def test_nothing_is_said_of_nothing() -> None:
    assert effects(TWO_BY_TWO, [], [], 0.1) == ()
    assert effects(TWO_BY_TWO, [{"A": "1", "B": "1"}], [1.0], 0.1) == ()


def test_three_levels_are_crossed_in_order() -> None:
    design = Design("full factorial", (Factor("A", ("1", "2", "4")), Factor("B", ("x", "y"))))
    assert [(c["A"], c["B"]) for c in cells(design)][:3] == [("1", "x"), ("1", "y"), ("2", "x")]
    (first, *_) = effects(design, cells(design), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0], 0.1)
    assert first.factors == ("A",)
    assert first.size == pytest.approx(2.0)
