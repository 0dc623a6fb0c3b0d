"""Zoom and pan."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.widgets.viewport import Viewport, next_type, other_axis, panned, revealed, ticks, time_ticks, zoomed

WHOLE = (0.0, 100.0)


def test_what_is_under_the_pointer_stays_there_while_it_zooms() -> None:
    port = zoomed(Viewport(), WHOLE, 0.5, 80.0)
    assert port.x == (40.0, 90.0)
    assert (80.0 - 40.0) / 50.0 == 80.0 / 100.0


def test_out_as_far_as_there_is_shows_all_again() -> None:
    port = zoomed(zoomed(Viewport(), WHOLE, 0.5), WHOLE, 4.0)
    assert port.is_whole


@given(st.lists(st.tuples(st.floats(0.1, 4.0), st.floats(-50, 150), st.floats(-3, 3)), max_size=20))
def test_no_walk_leaves_what_there_is(walk: list[tuple[float, float, float]]) -> None:
    port = Viewport()
    for factor, at, by in walk:
        port = panned(zoomed(port, WHOLE, factor, at), WHOLE, (0.9, 1.0), by, 0)
        low, high = port.x or WHOLE
        assert -1e-6 <= low < high <= 100 + 1e-6


def test_the_cursor_is_followed_only_when_it_leaves() -> None:
    port = Viewport(x=(20.0, 40.0))
    assert revealed(port, WHOLE, 30.0) is port
    moved = revealed(port, WHOLE, 60.0)
    assert moved.x is not None
    assert moved.x[0] <= 60.0 <= moved.x[1]


def test_gpu_types_take_turns_after_all_of_them() -> None:
    port, seen = Viewport(), []
    for _ in range(3):
        port = next_type(port, ("H100", "H200"))
        seen.append(port.gpu_type)
    assert seen == ["H100", "H200", ""]
    assert next_type(Viewport(), ("cpu",)).gpu_type == ""


def test_another_axis_shows_all_of_it() -> None:
    assert other_axis(Viewport(x=(1.0, 2.0))) == Viewport(axis="time")


@pytest.mark.parametrize("low", [0.9, 2.0, 0.0])
@pytest.mark.parametrize("span", [0.0003, 0.7, 12.0, 900.0])
def test_ticks_are_round_numbers_inside_the_range(low: float, span: float) -> None:
    found = ticks(low, low + span, 6)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 <= value <= low + span + 1e-9 for value in found)


def test_time_is_ticked_in_minutes_and_hours() -> None:
    assert time_ticks(0, 7200, 4) == [0, 1800, 3600, 5400, 7200]
    assert time_ticks(0, 30 * 86400, 4)[1] % 86400 == 0
    assert time_ticks(5, 5, 4) == []
