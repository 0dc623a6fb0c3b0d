"""What is typed, what is pasted, and what the terminal says of it."""

from __future__ import annotations

from tui.bursts import BURST, Bursts

LONG = "x" * BURST


def test_hundreds_of_characters_at_once_are_a_paste() -> None:
    assert Bursts().is_paste(LONG)
    assert not Bursts().is_paste("veto this" * 10)


def test_a_paste_that_the_terminal_announces_is_left_to_its_parser() -> None:
    bursts = Bursts()
    assert not bursts.is_paste("\x1b[20")  # also where the announcement is cut in two
    assert not bursts.is_paste("0~" + LONG)
    assert not bursts.is_paste(LONG)
    assert not bursts.is_paste("\x1b[201~")
    assert not bursts.is_paste("j" * 20)
    assert bursts.is_paste(LONG)


def test_what_follows_the_beginning_of_an_escape_sequence_is_not_torn_from_it() -> None:
    bursts = Bursts()
    bursts.is_paste("\x1b")
    assert not bursts.is_paste(LONG)


def test_many_arrow_keys_are_keys() -> None:
    assert not Bursts().is_paste("\x1b[B" * BURST)
