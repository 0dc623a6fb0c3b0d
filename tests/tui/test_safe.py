"""Hostile text at the boundary: whatever comes in, exactly so many harmless cells come out."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size

from tui import safe

ESCAPES = ("\x1b[31m", "\x1b]0;title\x07", "\x1b]52;c;aGk=\x1b\\", "\x9b2J", "\x1b", "\n", "\r", "\t")
UNSEEN = ("\u202e", "\u2066", "\u200d", "\ufe0f", "\u115f", "\ue0b0", "\ud800", "\udcff")
STRANGE = ("e\u0301\u0302\u0303\u0304", "日本", "👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "[bold]", "\\[")
NASTY = st.sampled_from(ESCAPES + UNSEEN + STRANGE)
BYTES = st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape"))
TEXTS = st.lists(st.one_of(st.text(max_size=20), NASTY, BYTES), max_size=12).map("".join)
BIDI_CONTROLS = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def assert_harmless(text: str) -> None:
    marks = 2
    for character in text:
        assert character == " " or unicodedata.category(character)[0] not in "CZ", ascii(text)
        assert unicodedata.bidirectional(character) not in BIDI_CONTROLS
        marks = marks + 1 if get_character_cell_size(character) == 0 else 0
        assert marks <= 2, ascii(text)
    text.encode("utf-8")


@given(TEXTS, st.integers(0, 40), st.sampled_from(["left", "right"]), st.sampled_from(["…", "...", ""]))
@example("日本", 3, "left", "…")
@example("\u0301", 1, "left", "…")
def test_a_fitted_text_is_harmless_and_has_exactly_its_width(text: str, width: int, align: str, ellipsis: str) -> None:
    made = safe.fit(text, width, align=align, ellipsis=ellipsis)  # type: ignore[arg-type]
    assert cell_len(made) == sum(map(get_character_cell_size, made)) == width
    assert_harmless(made)


@given(TEXTS, st.integers(0, 30))
def test_a_line_is_harmless_short_enough_and_stays_as_it_is_when_cleaned_again(text: str, limit: int) -> None:
    made = safe.line(text, limit)
    assert len(made) <= limit
    assert_harmless(made)
    assert safe.line(safe.line(text)) == safe.line(text)


@given(TEXTS, st.integers(1, 20))
def test_wrapped_lines_are_harmless_no_wider_than_asked_and_lose_no_word(text: str, width: int) -> None:
    lines = safe.wrap(text, width)
    for each in lines:
        assert cell_len(each) <= width
        assert_harmless(each)
    if width > 1:
        kept = [safe.line(part) for part in safe._NEWLINE.split(safe._ESCAPE.sub("", text))]
        assert "".join(lines).replace(" ", "") == "".join(kept).replace(" ", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\x1b]8;;http://x\x07link\x1b]8;;\x07b", "alinkb"),
        ("a\x1b]0;never ended", "a"),
        ("one\r\ntwo\tthree", "one two three"),
        ("abc\u202edcba", "abcdcba"),
        ("caf\udce9", "caf\ufffd"),
        ("🇩🇪", "DE"),
        ("👍🏽 ❤️", "👍 ❤"),
        ("[red]markup[/red]", "[red]markup[/red]"),
        ("Z\u0300\u0301\u0302\u0303a", "Z\u0300\u0301a"),
    ],
)
def test_a_line_shows(text: str, shown: str) -> None:
    assert safe.line(text) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 4, "abc…"),
        ("日本語", 4, "日… "),
        ("日本語", 6, "日本語"),
        ("ab", 1, "…"),
        ("ab", 4, "ab  "),
        ("", 3, "   "),
    ],
)
def test_a_text_is_cut_at_whole_characters(text: str, width: int, shown: str) -> None:
    assert safe.fit(text, width) == shown


def test_a_right_aligned_text_has_its_space_in_front() -> None:
    assert safe.fit("1.5", 6, align="right") == "   1.5"


def test_words_are_wrapped_at_spaces_and_long_ones_are_broken() -> None:
    assert safe.wrap("the  learning rate\n\n  abcdefghijk", 10) == ["the", "learning", "rate", "", "  abcdefgh", "ijk"]
    assert safe.wrap("", 10) == []


@pytest.mark.parametrize("piece", ["a", "日", "\x1b[31m", "e\u0301", "\udcff"])
def test_a_line_of_100_kilobytes_costs_what_is_seen_of_it(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    safe.fit(text, 80)
    start = time.perf_counter()
    for _ in range(20):
        safe.fit(text, 80)
    assert (time.perf_counter() - start) / 20 < 0.01


@given(TEXTS, st.integers(0, 40))
@example("日本", 3)
@example("a\u0301" * 50, 5)
def test_the_end_of_a_text_is_harmless_no_wider_than_asked_and_its_end(text: str, width: int) -> None:
    made = safe.end(text, width)
    assert cell_len(made) <= width
    assert_harmless(made)
    assert safe.line(text.strip()).endswith(made.removeprefix("…")) or len(text) > 8 * width


def test_the_end_of_a_long_text_follows_an_ellipsis() -> None:
    assert safe.end("the depth of the model", 9) == "…he model"
    assert safe.end("short", 9) == "short"
    assert safe.end("x" * 100_000 + "y", 4) == "…xxy"
    assert safe.end("ab日本", 4) == "…本"
