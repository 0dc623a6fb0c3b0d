"""plotext behind a pure function."""

from __future__ import annotations

import random

import pytest

from tui.glyphs import ASCII, UNICODE
from tui.paint import plain
from tui.plot import BRAILLE, Layer, plot


def test_points_stand_in_their_cells_in_the_role_of_their_layer() -> None:
    lines = plot([Layer("kept", "x", [(0, 0), (3, 2)])], 4, 3)
    assert [plain(line) for line in lines] == ["   x", "    ", "x   "]
    assert ("x", "kept") in lines[0]


def test_later_layers_stand_over_earlier_ones() -> None:
    lines = plot([Layer("noise", ":", [(x, 0) for x in range(4)]), Layer("kept", "x", [(1, 0)])], 4, 2)
    assert plain(lines[1]) == ":x::"


def test_points_outside_are_left_out() -> None:
    lines = plot([Layer("kept", "x", [(-3, 0), (1, 9), (40, 1), (1, 1)])], 4, 3)
    assert [plain(line) for line in lines] == ["    ", " x  ", "    "]


def test_ten_thousand_points_are_drawn_where_each_of_them_belongs() -> None:
    draw = random.Random(1)
    cloud = [(draw.uniform(0, 59), draw.gauss(6, 3)) for _ in range(10_000)]
    layers = [Layer("discarded", "o", cloud[:9000]), Layer("kept", "k", cloud[9000:])]
    grid = [[" "] * 60 for _ in range(14)]
    for layer in layers:
        for x, y in layer.points:
            if 0 <= round(y) < 14:
                grid[13 - round(y)][round(x)] = layer.symbol
    assert [plain(line) for line in plot(layers, 60, 14)] == ["".join(row) for row in grid]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_every_glyph_can_be_drawn(glyphs: object) -> None:
    for name in UNICODE.__struct_fields__:
        for symbol in getattr(glyphs, name).strip():
            assert plain(plot([Layer("kept", symbol, [(1, 1)])], 3, 3)[1]) == f" {symbol} "


def test_a_curve_is_one_line_of_dots() -> None:
    lines = plot([Layer("run-running", BRAILLE, [(0, 0), (9, 4)], joined=True)], 10, 5)
    assert all(any("⠀" < character <= "⣿" for character in plain(line)) for line in lines)


def test_a_second_plot_holds_nothing_of_the_first() -> None:
    plot([Layer("kept", "x", [(1, 1)])], 4, 3)
    assert "x" not in "".join(plain(line) for line in plot([Layer("kept", "o", [(0, 0)])], 4, 3))


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (5, 1), (1, 5)])
def test_there_is_no_plot_without_room(size: tuple[int, int]) -> None:
    lines = plot([Layer("kept", "x", [(0, 0)])], *size)
    assert [len(plain(line)) for line in lines] == [size[0]] * size[1]
