"""The screen that other tests look at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from screen import Screen

PIECES = (
    "plain", "é", "e\u0301", "日本", "─│╮", "\r\n", "\n", "\r", "\b", "\t", "\x1b[H", "\x1b[2J", "\x1b[3;5H", "\x1b[K",
    "\x1b[1K", "\x1b[5X", "\x1b[0m", "\x1b[38;2;1;2;3;48;2;10;20;30m", "\x1b[7m", "\x1b[27m", "\x1b[2A", "\x1b[3C",
    "\x1b[?2026h", "\x1b[?25l", "\x1b[6n", "\x1b]0;title\x07", "\x1b]52;c;AAAA\x1b\\", "\x1b[?1049h", "\x1b[?1049l",
    "\x1b[>1u", "\x1b[?2026$p", "\x1bP+q544e\x1b\\", "\x1b=", "\x1b7", "\x1b8",
)  # fmt: skip


def seen(*pieces: str, size: tuple[int, int] = (10, 4)) -> Screen:
    screen = Screen(*size)
    screen.feed("".join(pieces).encode())
    return screen


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("one\r\ntwo", "one\ntwo"),
        ("one\ntwo", "one\n   two"),
        ("\x1b[2;3Hhere", "\n  here"),
        ("0123456789", "0123456789"),
        ("0123456789+", "0123456789\n+"),
        ("0123456789\r+", "+123456789"),
        ("123456789日", "123456789\n日"),
        ("日本\x1b[2G+", " +本"),
        ("日本\x1b[3G+", "日+"),
        ("e\u0301!", "e\u0301!"),
        ("\x1b[4;1Hlow\n\x1b[1Gnext", "\n\nlow\nnext"),
        ("gone\x1b[2J\x1b[Hnew", "new"),
        ("0123456789\x1b[1;4H\x1b[K", "012"),
        ("0123456789\x1b[1;4H\x1b[1K", "    456789"),
        ("0123456789\x1b[1;4H\x1b[2X", "012  56789"),
        ("one\x1b[?1049h\x1b[Htwo", "two"),
        ("one\x1b[?1049h\x1b[Htwo\x1b[?1049l!", "one!"),
        ("\x1b]0;a title\x07\x1b]52;c;AAAA\x1b\\\x1b[?25l\x1b[6n\x1b[>1u\x1b[?2026$pseen", "seen"),
        ("a\tb\x1b[1Dc", "a       c"),
    ],
)
def test_what_is_written_is_seen_where_a_terminal_shows_it(written: str, text: str) -> None:
    assert seen(written).text == text


def test_the_last_cell_can_be_written_without_scrolling() -> None:
    assert seen("\x1b[4;1H0123456789", "\x1b[1;1Htop").text == "top\n\n\n0123456789"


@pytest.mark.parametrize(
    ("colours", "ground"),
    [
        ("\x1b[48;2;10;20;255m", "0a14ff"),
        ("\x1b[48;5;203m", "203"),
        ("\x1b[1;44m", "4"),
        ("\x1b[101m", "9"),
        ("\x1b[48;2;1;2;3m\x1b[m", "default"),
        ("\x1b[48;2;1;2;3m\x1b[49m", "default"),
        ("\x1b[38;2;1;2;3;48;2;4;5;6;7m", "010203"),
        ("\x1b[38;2;1;2;3;48;2;4;5;6;7m\x1b[27m", "040506"),
    ],
)
def test_the_ground_of_a_cell_is_the_colour_that_was_set(colours: str, ground: str) -> None:
    screen = seen("a", colours, "b\x1b[0m", "\r\nc")
    assert screen.grounds(1) == [ground, "default", "default", "default"]
    assert screen.grounds(0) == ["default"] * 4


def test_erased_cells_have_the_ground_of_the_moment() -> None:
    assert seen("\x1b[48;2;1;2;3m\x1b[2K").grounds(9) == ["010203", "default", "default", "default"]


def test_a_screen_that_grows_and_shrinks_keeps_what_fits() -> None:
    screen = seen("0123456789\r\nsecond\r\nthird")
    screen.resize(4, 2)
    assert screen.text == "0123\nseco"
    screen.resize(12, 3)
    assert screen.text == "0123\nseco"
    assert len(screen.grounds(11)) == 3


@given(st.lists(st.sampled_from(PIECES), max_size=20), st.data())
def test_bytes_may_be_cut_anywhere(pieces: list[str], data: st.DataObject) -> None:
    told = "".join(pieces).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(told)), max_size=6)))
    screen = Screen(10, 4)
    for begin, end in zip([0, *cuts], [*cuts, len(told)], strict=True):
        screen.feed(told[begin:end])
    assert (screen.text, screen.cursor) == (seen(*pieces).text, seen(*pieces).cursor)
    assert [len(row) for row in screen._cells] == [10] * 4
