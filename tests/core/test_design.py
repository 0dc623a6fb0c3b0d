"""Designs: their cells, held against what textbooks say of them."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from core import aliasing
from core.coding import place
from core.design import (
    WITH,
    WITHOUT,
    Design,
    Factor,
    aliases,
    cells,
    change,
    check,
    coded,
    resolution,
    scale_of,
    size,
)
from core.errors import DesignError
from core.factors import (
    around,
    between,
    central_composite,
    definitive,
    fractional,
    plackett_burman,
    rotatable,
    structural,
)
from core.patch import Edit
from core.terms import Matrix


def named(count: int, levels: tuple[str, ...] = ("1", "2")) -> tuple[Factor, ...]:
    return tuple(Factor(f"F{letter}", levels) for letter in aliasing.LETTERS[:count])


def coded_cells(design: Design) -> Matrix:
    return np.array([place(design, cell) for cell in cells(design)], dtype=float)


# --- full factorials and coding ---------------------------------------------------------------------------------------


def test_a_full_factorial_has_every_combination_the_first_factor_slowest() -> None:
    design = Design("full factorial", (Factor("A", ("1", "2", "4")), Factor("B", ('"x"', '"y"'))))
    assert [tuple(cell.values()) for cell in cells(design)] == list(itertools.product("124", ('"x"', '"y"')))
    assert size(design) == 6


def test_no_factors_make_one_empty_cell_and_a_list_none() -> None:
    assert cells(Design("full factorial", ())) == ({},)
    assert cells(Design("list", ())) == ()


@pytest.mark.parametrize(
    ("levels", "scale"),
    [
        (("1", "2", "4"), "log"),
        (("0.5", "0.6", "0.7"), "linear"),
        (("0", "10"), "linear"),
        (("(0.8, 0.9)", "(0.9, 0.95)"), "category"),
        (('"SSSL"', '"L"'), "category"),
        (("True", "False"), "category"),
        (("1", "None"), "category"),
    ],
)
def test_levels_of_old_recordings_get_the_scale_that_fits_them(levels: tuple[str, ...], scale: str) -> None:
    assert scale_of(Factor("A", levels)) == scale


def test_levels_are_coded_by_their_scale_from_lowest_to_highest() -> None:
    assert [level.code for level in coded(Factor("A", ("4", "1", "2"), "power of two"))] == pytest.approx([-1, 0, 1])
    assert [level.text for level in coded(Factor("A", ("4", "1", "2"), "power of two"))] == ["1", "2", "4"]
    assert [level.code for level in coded(Factor("A", ("1", "2", "4"), "linear"))] == pytest.approx([-1, -1 / 3, 1])
    assert [level.code for level in coded(Factor("A", ('"x"', '"y"')))] == [-1, 1]


@pytest.mark.parametrize(
    ("design", "reason"),
    [
        (Design("full factorial", (Factor("A", ("1",)),)), "A has 1 level; a factor needs two or more"),
        (Design("full factorial", (Factor("A", ("16", "2**4")),)), "A has a level twice"),
        (Design("full factorial", named(2) * 2), "names a factor twice"),
        (Design("full factorial", named(10)), "has 1024 cells; 512 are the most"),
        (Design("fractional factorial", named(3), ("D=ABC",)), "not one of factors ABC"),
        (Design("fractional factorial", named(4), ("D=ABX",)), "not one of factors"),
        (Design("fractional factorial", named(4), ("D=C",)), "must multiply two or more"),
        (Design("fractional factorial", named(4), ("C=AB", "D=BC")), "that are not generated"),
        (Design("fractional factorial", named(4), ("D=AB", "D=BC")), "has a factor twice"),
        (Design("Plackett-Burman", (Factor("A", ('"x"', '"y"', '"z"')),)), "a Plackett-Burman design takes two"),
        (Design("central composite", named(2)), "needs three or five levels"),
        (Design("definitive screening", named(4, ("1", "2", "3", "4"))), "needs three levels"),
        (Design("full factorial", (Factor("A", ("0", "1"), "log"),)), "0 is not above 0"),
        (Design("full factorial", (Factor("A", ('"x"', "1"), "linear"),)), "is no number"),
        (Design("full factorial", (Factor("A", ("1", "2"), edits=(Edit("a", "b"),)),)), '"without" and "with"'),
    ],
)
def test_what_is_no_design_is_refused_with_a_sentence(design: Design, reason: str) -> None:
    with pytest.raises(DesignError, match=reason):
        cells(design)
    with pytest.raises(DesignError):
        check(design)


# --- two-level fractions ----------------------------------------------------------------------------------------------


def test_the_half_fraction_of_four_factors_aliases_pairs_of_interactions() -> None:
    design = fractional(named(4), 8)
    assert design.generators == ("D=ABC",)
    assert resolution(design) == 4
    assert [{"".join(name[1] for name in term) for term in group} for group in aliases(design)] == [
        {"AB", "CD"},
        {"AC", "BD"},
        {"AD", "BC"},
    ]
    x = coded_cells(design)
    assert (x[:, 3] == x[:, 0] * x[:, 1] * x[:, 2]).all()
    assert np.array_equal(x.T @ x, 8 * np.eye(4))


@pytest.mark.parametrize(
    ("factors", "runs", "expected"),
    [  # NIST/SEMATECH e-Handbook, table 3.17 of section 5.3.3.4.7
        *((3, 4, 3), (4, 8, 4), (5, 16, 5), (5, 8, 3), (6, 32, 6), (6, 16, 4), (6, 8, 3), (7, 64, 7), (7, 32, 4)),
        *((7, 16, 4), (7, 8, 3), (8, 64, 5), (8, 32, 4), (8, 16, 4), (9, 128, 6), (9, 64, 4), (9, 32, 4), (9, 16, 3)),
        *((10, 64, 4), (10, 32, 4), (10, 16, 3), (11, 32, 4), (11, 16, 3), (15, 16, 3)),
    ],
)
def test_fractions_have_the_resolution_of_the_handbook(factors: int, runs: int, expected: int) -> None:
    design = fractional(named(factors), runs)
    assert len(cells(design)) == runs
    assert resolution(design) == expected
    x = coded_cells(design)
    assert np.array_equal(x.T @ x, runs * np.eye(factors)), "main effects are orthogonal"


def test_aliases_are_what_the_columns_show() -> None:
    design = fractional(named(7), 16)
    x = coded_cells(design)
    names = [factor.name for factor in design.factors]
    terms = [(i,) for i in range(7)] + list(itertools.combinations(range(7), 2))
    columns = {tuple(names[i] for i in term): np.prod(x[:, term], axis=1) for term in terms}
    groups = {frozenset(group) for group in aliases(design)}
    for term, column in columns.items():
        same = frozenset(other for other, its in columns.items() if abs(its @ column) == len(x))
        assert (same in groups) == (len(same) > 1), term


def test_a_negative_generator_takes_the_other_half() -> None:
    one, other = (Design("fractional factorial", named(3), (text,)) for text in ("C=AB", "C=-AB"))
    both = {tuple(cell.values()) for cell in (*cells(one), *cells(other))}
    assert len(both) == 8


def test_a_fraction_that_fits_entirely_is_a_full_factorial() -> None:
    assert fractional(named(3), 8).kind == "full factorial"
    outer = fractional(named(3, ("1", "2", "3")), 9)
    assert (outer.kind, outer.generators, resolution(outer)) == ("fractional factorial", (), None)
    assert {level for cell in cells(outer) for level in cell.values()} == {"1", "3"}, "the middle is not run"


def test_too_many_factors_for_the_runs_are_refused() -> None:
    with pytest.raises(DesignError, match="8 factors do not fit into 4 runs"):
        fractional(named(8), 7)


@pytest.mark.parametrize("basic", [3, 4, 5, 6])
def test_generators_give_resolution_four_whenever_the_runs_allow_it(basic: int) -> None:
    for count in range(basic + 1, min(25, 2**basic - 1) + 1, 3):
        words = aliasing.defining(aliasing.parsed(aliasing.generators(count, basic), count))
        assert (aliasing.shortest(words) or 0) >= (4 if count <= 2 ** (basic - 1) else 3)


# --- Plackett-Burman, definitive screening, central composite ---------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8, 11, 12, 13, 15, 16, 19, 20, 23, 24, 25])
def test_plackett_burman_columns_are_balanced_and_orthogonal(count: int) -> None:
    x = coded_cells(plackett_burman(named(count)))
    assert len(x) == size(plackett_burman(named(count)))
    assert len(x) - count <= 8
    assert np.array_equal(x.T @ x, len(x) * np.eye(count))
    assert not x.sum(axis=0).any()


def test_plackett_burman_of_eleven_factors_mixes_a_third_of_interactions_into_main_effects() -> None:
    x = coded_cells(plackett_burman(named(11)))
    assert len(x) == 12
    for i, j in itertools.combinations(range(11), 2):
        shares = [abs(x[:, i] * x[:, j] @ x[:, k]) / 12 for k in range(11) if k not in (i, j)]
        assert shares == pytest.approx([1 / 3] * 9)
    assert resolution(plackett_burman(named(11))) == 3


@pytest.mark.parametrize("count", [3, 4, 5, 6, 8, 9])
def test_definitive_screening_keeps_main_effects_free_of_everything_of_second_order(count: int) -> None:
    x = coded_cells(definitive(named(count, ("4", "5", "6"))))
    assert len(x) == 2 * (count + count % 2) + 1
    assert np.array_equal(x.T @ x, np.diag(np.diag(x.T @ x)))
    seconds = [x[:, i] * x[:, j] for i in range(count) for j in range(i, count)]
    assert not np.abs(x.T @ np.column_stack(seconds)).any()
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(x)), x, x**2])) == 2 * count + 1


def test_definitive_screening_takes_categories_where_they_stand() -> None:
    numbers = named(4, ("1", "2", "3"))
    design = definitive((numbers[0], Factor("W", ('"x"', '"y"')), *numbers[1:], structural("S", [Edit("a", "b")])))
    for cell in cells(design):
        assert cell["W"] in ('"x"', '"y"')
        assert cell["S"] in (WITHOUT, WITH)
    assert {cell["FA"] for cell in cells(design)} == {"1", "2", "3"}


def test_three_levels_make_a_face_centred_composite() -> None:
    found = [tuple(cell.values()) for cell in cells(central_composite(named(2, ("1", "2", "3"))))]
    assert found == [
        *(("1", "1"), ("1", "3"), ("3", "1"), ("3", "3")),
        *(("1", "2"), ("3", "2"), ("2", "1"), ("2", "3"), ("2", "2")),
    ]


def test_a_rotatable_composite_is_equally_sure_in_all_directions() -> None:
    far = rotatable(2)
    assert far == pytest.approx(2**0.5)
    texts = tuple(repr(at) for at in (-far, -1.0, 0.0, 1.0, far))
    x = coded_cells(central_composite((Factor("A", texts, "linear"), Factor("B", texts, "linear"))))
    model = np.column_stack([np.ones(len(x)), x, x**2, x[:, 0] * x[:, 1]])
    inverse = np.linalg.inv(model.T @ model)
    turns = np.linspace(0, 6.2, 9)
    around_it = 0.7 * np.column_stack([np.cos(turns), np.sin(turns)])
    rows = np.column_stack([np.ones(9), around_it, around_it**2, around_it[:, 0] * around_it[:, 1]])
    variances = np.einsum("ij,jk,ik->i", rows, inverse, rows)
    assert variances == pytest.approx([variances[0]] * 9)


def test_corners_of_a_large_composite_are_a_fraction_of_resolution_five() -> None:
    design = central_composite(named(5, ("1", "2", "3")))
    assert design.generators == ("E=ABCD",)
    assert len(cells(design)) == 16 + 10 + 1


# --- factors ----------------------------------------------------------------------------------------------------------


def test_levels_around_a_value_are_written_in_its_style() -> None:
    assert around("B", "2**18", scale="power of two", step=1).levels == ("2**17", "2**18", "2**19")
    assert around("L", "0.04", scale="log", step=2).levels == ("0.02", "0.04", "0.08")
    assert around("W", "0.5", scale="linear", step=0.25, high=0.6).levels == ("0.25", "0.5", "0.6")
    assert around("D", "4", scale="log", step=1.1).levels == ("3", "4", "5"), "whole numbers move by at least 1"
    assert around("D", "8", scale="log", step=2, at=(0, 1)).levels == ("8", "16")


def test_a_factor_without_room_is_refused() -> None:
    with pytest.raises(DesignError, match="one level between 4 and 4"):
        around("D", "4", scale="linear", step=1, low=4, high=4)
    with pytest.raises(DesignError, match="no place on a log scale"):
        around("D", "0", scale="log", step=2)
    with pytest.raises(DesignError, match="no place on a linear scale"):
        around("D", '"SSSL"', scale="linear", step=2)


def test_settings_between_levels_are_ones_that_train_py_can_have() -> None:
    assert [s.text for s in between(Factor("D", ("2", "4", "8")))] == ["2", "3", "4", "5", "6", "7", "8"]
    assert [s.text for s in between(Factor("B", ("2**8", "2**10"), "power of two"))] == ["2**8", "2**9", "2**10"]
    odd = between(Factor("W", ("384", "768", "1536"), "power of two"))
    assert [s.text for s in odd] == ["384", "768", "1536"]
    fine = between(Factor("L", ("0.02", "0.04", "0.08"), "log"))
    assert len(fine) > 30
    assert (fine[0].text, fine[-1].text) == ("0.02", "0.08")
    assert all(Fraction(s.text) <= Fraction("0.08") for s in fine)


def test_a_structural_factor_makes_its_edit_at_one_level_and_crosses_with_a_number() -> None:
    edit = Edit("relu", "gelu")
    design = Design("full factorial", (structural("GELU", [edit]), Factor("LR", ("0.02", "0.04"))))
    base = {"LR": "0.02"}
    changes = [change(design, cell, base) for cell in cells(design)]
    assert [(c.edits, c.settings) for c in changes] == [
        ((), {}),
        ((), {"LR": "0.04"}),
        ((edit,), {}),
        ((edit,), {"LR": "0.04"}),
    ]
