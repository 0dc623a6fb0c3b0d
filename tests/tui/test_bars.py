"""Bars, and the same answer kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.bars import bar, stacked
from tui.glyphs import ASCII, UNICODE
from tui.remembered import Remembered


def test_a_bar_is_full_to_an_eighth_of_a_cell() -> None:
    assert bar(0.5, 4, UNICODE) == ("██", "░░")
    assert bar(0.5625, 4, UNICODE) == ("██▎", "░")
    assert bar(2.0, 3, UNICODE) == ("███", "")
    assert bar(-1.0, 3, UNICODE) == ("", "░░░")


@given(st.floats(-2, 2), st.integers(0, 60))
def test_a_bar_has_its_width(share: float, cells: int) -> None:
    for glyphs in (UNICODE, ASCII):
        assert sum(map(len, bar(share, cells, glyphs))) == cells


@given(st.lists(st.floats(0, 1e9), max_size=15), st.integers(0, 200))
def test_stacked_parts_take_all_cells_or_none(parts: list[float], cells: int) -> None:
    found = stacked(parts, cells)
    assert len(found) == len(parts)
    assert sum(found) in (0, cells)
    assert all(each >= 0 for each in found)


def test_stacked_parts_are_in_proportion() -> None:
    assert stacked([1.0, 3.0, 0.0], 8) == [2, 6, 0]


def test_an_answer_is_kept_until_a_part_is_another_object() -> None:
    kept: Remembered[object] = Remembered()
    part = {"a": 1}
    first = kept.get((part, 1), object)
    assert kept.get((part, 1), object) is first
    second = kept.get((dict(part), 1), object)
    assert second is not first
    assert kept.get((dict(part), 2), object) is not second
