"""Lines of pieces that give way."""

from __future__ import annotations

from tui.paint import EMPTY, line, plain
from tui.widgets.pieces import arranged, cut, piece, split

NAME = piece(50, line(("a long name", "")), line(("name", "")))
COUNT = piece(20, line(("12 experiments", "")), line(("12", "")), EMPTY)


def test_where_there_is_room_everything_is_long() -> None:
    assert plain(arranged([NAME, COUNT], 80)) == "a long name   12 experiments"


def test_to_shorten_comes_before_to_lose() -> None:
    assert plain(arranged([NAME, COUNT], 16)) == "a long name   12"
    assert plain(arranged([NAME, COUNT], 9)) == "name   12"


def test_the_light_one_goes_first() -> None:
    assert plain(arranged([NAME, COUNT], 8)) == "name"


def test_what_a_loss_makes_room_for_is_said_in_full_again() -> None:
    assert plain(arranged([NAME, piece(5, line(("x" * 30, "")), EMPTY)], 12)) == "a long name"


def test_the_last_piece_is_apart() -> None:
    left, right = split([NAME], COUNT, 80)
    assert (plain(left).rstrip(), plain(right)) == ("a long name", "12 experiments")
    assert split([NAME], COUNT, 5)[1] == ()


def test_what_is_cut_ends_in_an_ellipsis() -> None:
    assert plain(cut(line(("abc", ""), ("defgh", "")), 6)) == "abcde…"
    assert plain(cut(line(("abc", "")), 6)) == "abc"
