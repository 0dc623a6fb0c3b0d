"""Effects: least squares on what has finished, with errors that tell the truth."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.aliasing import LETTERS
from core.design import Design, Factor, Term, cells
from core.effects import MIXED, Effect, Fit, Observation, effects, fit
from core.factors import central_composite, definitive, fractional, plackett_burman, structural
from core.optimum import predicted, turning
from core.patch import Edit

Cell = Mapping[str, str]
TWO_BY_TWO = Design("full factorial", (Factor("A", ("1", "2")), Factor("B", ("1", "2"))))


def named(count: int, levels: tuple[str, ...] = ("1", "2")) -> tuple[Factor, ...]:
    return tuple(Factor(letter, levels) for letter in LETTERS[:count])


def fitted(
    design: Design, surface: Callable[[Cell], float], *, without: tuple[int, ...] = (), lost: bool = False
) -> Fit:
    """All cells of a design but some, which wait or are lost as e0, e1, …"""
    grid = cells(design)
    rest = {f"e{i}": grid[i] for i in without}
    seen = [Observation(cell, surface(cell)) for i, cell in enumerate(grid) if i not in without]
    found = fit(design, seen, noise_sd=0.01, pending={} if lost else rest, lost=rest if lost else {})
    assert found is not None
    return found


def by_term(found: Fit) -> dict[Term, Effect]:
    return {effect.factors: effect for effect in found.effects}


# --- sizes and errors -------------------------------------------------------------------------------------------------


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


def test_intervals_cover_the_truth_as_often_as_they_say_though_the_noise_is_estimated() -> None:
    dice, design, df = random.Random(7), fractional(named(4), 8), 8
    grid, inside, repetitions = cells(design), 0, 400
    for _ in range(repetitions):
        sd = 0.02 * math.sqrt(sum(dice.gauss(0, 1) ** 2 for _ in range(df)) / df)
        seen = [Observation(c, 2.0 + 0.1 * (c["A"] == "2") + dice.gauss(0, 0.02)) for c in grid]
        found = fit(design, seen, noise_sd=sd, noise_df=df)
        assert found is not None
        effect = by_term(found)["A",]
        inside += effect.low < 0.1 < effect.high
    assert 0.92 < inside / repetitions < 0.98


def test_a_cell_with_more_runs_weighs_more() -> None:
    grid = cells(TWO_BY_TWO)
    seen = [Observation(cell, 1.0, runs) for cell, runs in zip(grid, (1, 1, 1, 9), strict=True)]
    found = fit(TWO_BY_TWO, seen, noise_sd=0.02)
    assert found is not None
    assert found.runs == 12
    error = 0.02 * math.sqrt(1 + 1 + 1 + 1 / 9) / 2
    assert by_term(found)["A",].standard_error == pytest.approx(error)


def test_runs_and_means_of_the_same_cell_are_pooled() -> None:
    grid = cells(TWO_BY_TWO)
    apart = fit(TWO_BY_TWO, [Observation(c, 1.0 + i) for c in grid for i in (0, 1, 5)], noise_sd=0.1)
    pooled = fit(TWO_BY_TWO, [Observation(c, 3.0, 3) for c in grid], noise_sd=0.1)
    assert apart is not None
    assert pooled is not None
    assert [e.standard_error for e in apart.effects] == pytest.approx([e.standard_error for e in pooled.effects])


def test_three_levels_are_coded_by_their_scale() -> None:
    design = Design("full factorial", (Factor("A", ("1", "2", "4")), Factor("B", ('"x"', '"y"'))))
    found = by_term(fitted(design, lambda c: math.log2(float(c["A"]))))
    assert found["A",].size == pytest.approx(2.0)
    assert found["A", "A"].size == pytest.approx(0.0, abs=1e-9), "straight on its own scale"


def test_effects_that_are_clear_and_sure_are_marked() -> None:
    found = by_term(fitted(fractional(named(4), 8), lambda c: 0.1 * (c["A"] == "2") + 0.016 * (c["B"] == "2")))
    assert (found["A",].is_clear, found["A",].is_sure) == (True, True)
    assert (found["B",].is_clear, found["B",].is_sure) == (True, False)
    assert (found["C",].is_clear, found["C",].is_sure) == (False, False)


def test_what_the_model_does_not_have_shows_as_lack_of_fit() -> None:
    design = Design("full factorial", named(3))
    straight = fitted(design, lambda c: 0.1 * (c["A"] == "2"))
    threeway = fitted(design, lambda c: 0.1 * (c["A"] == c["B"] == c["C"] == "2"))
    assert straight.residual_df == threeway.residual_df == 1
    assert not straight.is_off
    assert threeway.is_off


def test_errors_follow_from_the_lack_of_fit_where_it_is_more_than_the_noise() -> None:
    design = Design("full factorial", named(3))
    straight = fitted(design, lambda c: 0.1 * (c["A"] == "2"))
    threeway = fitted(design, lambda c: 0.1 * (c["A"] == c["B"] == c["C"] == "2"))
    assert straight.error == (0.01, math.inf)
    assert threeway.error == (threeway.residual_sd, 1)
    assert threeway.residual_sd is not None
    assert by_term(threeway)["A",].standard_error == pytest.approx(2 * threeway.residual_sd / 8**0.5)
    assert not by_term(threeway)["A",].is_clear


# --- cells measured elsewhere -----------------------------------------------------------------------------------------


def test_an_unknown_difference_is_shared_by_all_cells_measured_elsewhere() -> None:
    """As generalised least squares with the covariance sd²/n + shift² among those cells."""
    grid, dice, sd, shift = cells(TWO_BY_TWO), random.Random(3), 0.02, 0.03
    model = np.array([[1.0, a, b, a * b] for a in (-1, 1) for b in (-1, 1)] * 2)
    seen = [Observation(c, 2.0 + dice.gauss(0, 0.1), 1.0 + i, "H200" if i % 3 else "") for i, c in enumerate(grid * 2)]
    there = np.array([float(each.on == "H200") for each in seen])
    weights = np.linalg.inv(np.diag([sd**2 / each.runs for each in seen]) + shift**2 * np.outer(there, there))
    covariance = np.linalg.inv(model.T @ weights @ model)
    expected = covariance @ model.T @ weights @ np.array([each.mean for each in seen])
    found = fit(TWO_BY_TWO, seen, noise_sd=sd, shifts={"H200": shift})
    assert found is not None
    assert by_term(found)["A",].size == pytest.approx(2 * expected[1])
    assert found.covariance[1][1] * sd**2 == pytest.approx(covariance[1, 1])


def test_a_factor_that_changes_with_the_gpu_type_is_as_uncertain_as_their_difference() -> None:
    seen = [Observation(c, 2.0, 1.0, "H200" if c["A"] == "2" else "") for c in cells(TWO_BY_TWO)]
    found = fit(TWO_BY_TWO, seen, noise_sd=0.01, shifts={"H200": 0.5})
    assert found is not None
    assert by_term(found)["A",].standard_error == pytest.approx(0.5, rel=0.01)
    assert by_term(found)["B",].standard_error == pytest.approx(0.01)


# --- kinds of factors -------------------------------------------------------------------------------------------------


def test_a_structural_factor_and_a_number_interact() -> None:
    design = Design("full factorial", (structural("GELU", [Edit("a", "b")]), Factor("LR", ("0.02", "0.04", "0.08"))))
    slope = {"without": 0.1, "with": 0.3}
    found = by_term(fitted(design, lambda c: slope[c["GELU"]] * math.log2(float(c["LR"]))))
    assert found["LR",].size == pytest.approx(0.4)
    assert found["GELU", "LR"].size == pytest.approx(0.2)


def test_levels_of_a_category_are_deviations_from_their_mean() -> None:
    patterns = ('"SSSL"', '"L"', '"SL"', "(1, 2)")
    design = Design("full factorial", (Factor("W", patterns), Factor("B", ("1", "2"))))
    at = dict(zip(patterns, (0.0, 0.1, 0.2, 0.5), strict=True))
    found = fitted(design, lambda c: at[c["W"]] + 0.1 * (c["B"] == "2") * (c["W"] == "(1, 2)"))
    told = {e.levels: e.size for e in found.effects if e.factors == ("W",)}
    assert told == pytest.approx({('"SSSL"',): -0.2125, ('"L"',): -0.1125, ('"SL"',): -0.0125, ("(1, 2)",): 0.3375})
    crossed = {e.levels[0]: e.size for e in found.effects if e.factors == ("W", "B")}
    assert crossed["(1, 2)"] == pytest.approx(0.075)
    assert sum(crossed.values()) == pytest.approx(0.0, abs=1e-9)


def test_a_category_level_without_results_leaves_the_others_told() -> None:
    design = Design("full factorial", (Factor("W", ('"x"', '"y"', '"z"')), Factor("B", ("1", "2"))))
    found = fitted(design, lambda c: {'"x"': 0.0, '"y"': 0.2, '"z"': 9.0}[c["W"]], without=(4, 5), lost=True)
    assert {e.levels: e.size for e in found.effects if e.factors == ("W",)} == pytest.approx(
        {('"x"',): -0.1, ('"y"',): 0.1}
    )


# --- what cannot be told ----------------------------------------------------------------------------------------------


def test_aliased_effects_are_told_together() -> None:
    found = by_term(fitted(fractional(named(4), 8), lambda c: 0.1 * (c["A"] == c["B"])))
    assert found["A", "B"].size == pytest.approx(0.1)
    assert [(alias.factors, alias.sign) for alias in found["A", "B"].aliases] == [(("C", "D"), 1)]
    other = by_term(fitted(Design("fractional factorial", named(3), ("C=-AB",)), lambda c: 0.0))
    assert [(alias.factors, alias.sign) for alias in other["C",].aliases] == [(("A", "B"), -1)]


def test_aliases_are_those_of_the_finished_cells_not_only_of_the_plan() -> None:
    design = Design("full factorial", named(3))
    half = tuple(i for i, c in enumerate(cells(design)) if [*c.values()].count("2") % 2)
    found = by_term(fitted(design, lambda c: 0.1 * (c["A"] == "2"), without=half, lost=True))
    assert found["A",].size == pytest.approx(0.1)
    assert [alias.factors for alias in found["A",].aliases] == [("B", "C")], "the half that is left has C = −AB"


def test_what_waits_says_for_which_cells() -> None:
    found = fitted(fractional(named(4), 8), lambda c: 0.0, without=(0, 3))
    assert set(by_term(found)) == {("A",), ("B",), ("C",), ("D",)}
    assert {m.reason for m in found.missing} == {"needs e0, e3"}
    assert len(found.missing) == 6
    many = fitted(fractional(named(4), 8), lambda c: 0.0, without=(0, 1, 3, 5))
    assert {m.reason for m in many.missing} == {"not yet: 4 of 8 cells"}
    assert not many.effects, "no interaction is told before its main effects"


def test_one_lost_cell_of_a_saturated_screening_costs_little() -> None:
    design = plackett_burman(named(11))
    found = fitted(design, lambda c: 3.0 + 0.1 * (c["A"] == "2"), without=(4,), lost=True)
    assert len(found.effects) == 11
    assert by_term(found)["A",].size == pytest.approx(0.1 * 10 / 11)
    assert by_term(found)["B",].mixed >= 1 / 11
    two = fitted(design, lambda c: 3.0, without=(4, 5), lost=True)
    assert not two.effects


def test_what_was_lost_says_with_which_cell() -> None:
    found = fitted(fractional(named(4), 8), lambda c: 0.0, without=(5,), lost=True)
    assert {m.reason for m in found.missing} == {"lost with e5"}
    assert found.residual_df == 2


def test_effects_that_stay_mixed_say_so_and_how_much() -> None:
    found = fitted(plackett_burman(named(11)), lambda c: 0.1 * (c["A"] == "2"))
    assert by_term(found)["A",].size == pytest.approx(0.1)
    assert by_term(found)["A",].mixed == pytest.approx(1 / 3)
    assert {m.reason for m in found.missing} == {MIXED}
    assert len(found.missing) == 55


def test_main_effects_that_are_not_told_do_not_spoil_those_that_are() -> None:
    design = Design("full factorial", named(3))
    grid = cells(design)
    together = [i for i, c in enumerate(grid) if c["B"] == c["C"]]
    without = tuple(i for i in range(8) if i not in together or i == together[0])
    found = by_term(fitted(design, lambda c: 0.1 * (c["A"] == "2") + 5.0 * (c["B"] == "2"), without=without))
    assert found["A",].size == pytest.approx(0.1)
    assert ("B",) not in found


def test_nothing_is_said_of_nothing() -> None:
    assert effects(TWO_BY_TWO, [], [], 0.1) == ()
    assert effects(TWO_BY_TWO, [{"A": "1", "B": "1"}], [1.0], 0.1) == ()
    assert fit(TWO_BY_TWO, [], noise_sd=0.1) is None
    assert fit(TWO_BY_TWO, [Observation({"A": "7", "B": "1"}, 1.0)], noise_sd=0.1) is None


# --- the predicted best -----------------------------------------------------------------------------------------------


def bowl(cell: Cell) -> float:
    a, b = (float(cell[name]) for name in "AB")
    return 1.0 + 0.1 * (a - 5.4) ** 2 + 0.05 * (b - 4.8) ** 2 + 0.02 * (a - 5.4) * (b - 4.8)


def test_a_quadratic_is_recovered_with_its_minimum_between_the_levels() -> None:
    design = central_composite([Factor(name, ("4.0", "5.0", "6.0"), "linear") for name in "AB"])
    found = fitted(design, bowl)
    best = predicted(design, found, cells(design))
    assert best is not None
    assert (float(best.cell["A"]), float(best.cell["B"])) == pytest.approx((5.4, 4.8), abs=0.026)
    assert best.val_bpb == pytest.approx(1.0, abs=1e-3)
    assert not best.is_tested
    assert best.low < 1.0 < best.high
    point = turning(design, found, best)
    assert point is not None
    assert (point.shape, point.is_inside) == ("minimum", True)
    assert point.codes == pytest.approx({"A": 0.4, "B": -0.2})


def test_nothing_is_predicted_outside_the_levels() -> None:
    design = central_composite([Factor(name, ("1", "2", "3"), "linear") for name in "AB"])
    found = fitted(design, bowl)
    best = predicted(design, found, cells(design))
    assert best is not None
    assert best.cell == {"A": "3", "B": "3"}
    point = turning(design, found, best)
    assert point is not None
    assert not point.is_inside


def test_without_curvature_the_best_is_a_cell_of_the_design_tested_or_not() -> None:
    def surface(cell: Cell) -> float:
        return 1.0 - 0.1 * (cell["A"] == "2") + 0.1 * (cell["B"] == "2")

    grid = cells(TWO_BY_TWO)
    seen = [Observation(cell, surface(cell)) for cell in grid if cell != {"A": "2", "B": "1"}]
    found = fit(TWO_BY_TWO, seen, noise_sd=0.01, pending={"e1": {"A": "2", "B": "1"}})
    assert found is not None
    best = predicted(TWO_BY_TWO, found, [run.cell for run in seen])
    assert best is not None
    assert (best.cell, best.is_tested) == ({"A": "2", "B": "1"}, False)
    assert best.val_bpb == pytest.approx(0.9)
    assert best.standard_error == pytest.approx(0.01 * 3**0.5), "of a corner predicted from the other three"


def test_a_cell_is_predicted_only_if_the_finished_ones_say_something_about_it() -> None:
    design = Design("full factorial", named(3))
    seen = [
        Observation(dict(zip("ABC", levels, strict=True)), mean)
        for levels, mean in (("111", 1.0), ("221", 0.9), ("112", 0.95))
    ]
    found = fit(design, seen, noise_sd=0.01)
    assert found is not None
    best = predicted(design, found, [run.cell for run in seen])
    assert best is not None
    assert "".join(best.cell.values()) == "222", "A and B only changed together, so neither can be changed alone"
    assert best.val_bpb == pytest.approx(0.85)


# --- properties -------------------------------------------------------------------------------------------------------

DESIGNS = (
    TWO_BY_TWO,
    fractional(named(4), 8),
    fractional(named(6), 8),
    plackett_burman(named(5)),
    plackett_burman(named(9)),
    central_composite(named(3, ("1", "2", "4"))),
    definitive(named(4, ("1", "2", "4"))),
    Design(
        "full factorial",
        (Factor("A", ("1", "2", "4")), Factor("W", ('"x"', '"y"', '"z"')), structural("S", [Edit("a", "b")])),
    ),
    Design("full factorial", (Factor("V", ("(1,)", "(2,)", "(3,)")), Factor("W", ('"x"', '"y"', '"z"')))),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(DESIGNS), st.integers(0, 10**6), st.sampled_from((0.0, 0.002, 0.05)))
def test_any_finished_part_of_any_design_gives_finite_errors(design: Design, seed: int, sd: float) -> None:
    grid, dice = cells(design), random.Random(seed)
    state = {i: dice.choice(("done", "done", "twice", "waiting", "lost")) for i in range(len(grid))}
    seen = [
        Observation(grid[i], dice.gauss(1.0, 0.1))
        for i, what in state.items()
        for _ in range({"done": 1, "twice": 2}.get(what, 0))
    ]
    rest = {what: {f"e{i}": grid[i] for i, its in state.items() if its == what} for what in ("waiting", "lost")}
    found = fit(design, seen, noise_sd=sd, noise_df=3, pending=rest["waiting"], lost=rest["lost"])
    if not seen:
        assert found is None
        return
    assert found is not None
    for effect in found.effects:
        assert math.isfinite(effect.size)
        assert 0 < effect.standard_error < math.inf
        assert effect.low <= effect.size <= effect.high
    assert found.residual_df >= 0
    told = {effect.factors for effect in found.effects} | {a.factors for e in found.effects for a in e.aliases}
    missing = {entry.factors for entry in found.missing}
    assert not told & missing
    assert {(factor.name,) for factor in design.factors} <= told | missing
    best = predicted(design, found, [run.cell for run in seen])
    assert best is not None
    assert math.isfinite(best.val_bpb)
    assert 0 < best.standard_error < math.inf
    turning(design, found, best)
