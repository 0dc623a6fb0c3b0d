"""Two versions of a train.py, compared and drawn."""

from __future__ import annotations

import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tui.colouring import both, coloured
from tui.diffing import INVISIBLE, Row, compare, hunk_starts, rows, scope, words
from tui.glyphs import ASCII
from tui.paint import Line, plain, width
from tui.widgets.diff import cropped, diff_lines

BEFORE = (
    "import os\n\nDEPTH = 4  # layers\nMATRIX_LR = 0.04\n" + "".join(f"x{i} = {i}\n" for i in range(20)) + "END = 1\n"
)
AFTER = BEFORE.replace("DEPTH = 4", "DEPTH = 8").replace("END = 1", "END = 1\nMORE = 2")


def texts(lines: list[Line]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


def roles(line: Line, text: str) -> list[str]:
    return [role for part, role in line if text in part]


def test_a_unified_diff_has_both_line_numbers_signs_and_folds() -> None:
    assert texts(diff_lines(BEFORE, AFTER, 40, 1)) == [
        " 1  1   import os",
        " 2  2",
        " 3    − DEPTH = 4  # layers",
        "    3 + DEPTH = 8  # layers",
        " 4  4   MATRIX_LR = 0.04",
        "        … 20 equal lines",
        "25 25   END = 1",
        "   26 + MORE = 2",
    ]


def test_side_by_side_puts_versions_of_a_line_in_one_row() -> None:
    shown = texts(diff_lines(BEFORE, AFTER, 63, 0, split=True))
    assert shown[2].split("│")[0].rstrip() == " 3 − DEPTH = 4  # layers"
    assert shown[2].split("│")[1].strip() == "3 + DEPTH = 8  # layers"
    assert shown[-1].split("│")[0].strip() == ""


def test_every_line_is_exactly_as_wide_as_asked_for() -> None:
    for cells in (20, 41, 80, 200):
        for split in (False, True):
            for offset in (0, 3):
                assert {width(line) for line in diff_lines(BEFORE, AFTER, cells, split=split, offset=offset)} == {cells}


def test_only_the_words_that_changed_are_marked() -> None:
    removed, added = diff_lines(BEFORE, AFTER, 60)[2:4]
    assert [part for part, role in removed if "removed-word" in role] == ["4"]
    assert [part for part, role in added if "added-word" in role] == ["8"]
    assert words("a = 1.25  # why", "a = 1.5   # why") == (((4, 8),), ((4, 7),))
    assert words("lr = 1e-10", "lr = 2e-10") == (((5, 10),), ((5, 10),))


def test_code_has_the_roles_of_its_syntax() -> None:
    source = '"""A text\nover DEPTH lines"""\nimport os\ndef go():\n    return 12  # why\n'
    lines = diff_lines(source, source + "y = 'z'\n", 60, None)
    assert roles(lines[1], "DEPTH") == ["syntax-string"]
    assert roles(lines[2], "import") == ["syntax-keyword"]
    assert roles(lines[3], "go") == ["syntax-function"]
    assert roles(lines[4], "12") == ["syntax-number"]
    assert roles(lines[4], "# why") == ["syntax-comment"]
    assert roles(lines[5], "'z'") == ["syntax-string on added"]


def test_a_text_that_is_opened_by_the_change_colours_what_follows() -> None:
    before = "a = 1\nb = 2\nc = 3\n"
    lines = diff_lines(before, before.replace("a = 1", 'a = """1'), 40, None)
    assert "syntax-string" in dict(lines[2]).values()
    assert any(role == "syntax-string" for text, role in lines[-1] if "c = 3" in text)


def test_what_is_coloured_where_it_changed_is_as_if_the_whole_were() -> None:
    before = 'def go():\n    """Some\n    words\n    here."""\n    return 1\n' * 3
    for old, new in (("words", "texts"), ('"""Some', '"""Many'), ("return 1", "return 'x'"), ('here."""', 'here"')):
        compared = compare(before, before.replace(old, new, 2))
        assert both(compared)[1] == coloured(compared.after)[0], (old, new)


def test_a_change_of_the_line_end_alone_is_told() -> None:
    assert any(INVISIBLE in plain(line) for line in diff_lines("a = 1\nb = 2", "a = 1\nb = 2\n", 60))


def test_the_same_text_twice_is_one_calm_line() -> None:
    assert texts(diff_lines(BEFORE, BEFORE, 40)) == ["Nothing differs."]


def test_a_fold_names_the_function_that_comes_next() -> None:
    source = "class Model:\n    def forward(self):\n" + "".join(f"        x{i} = {i}\n" for i in range(9))
    shown = texts(diff_lines(source, source.replace("x8 = 8", "x8 = 9"), 60, 1))
    assert shown[0].endswith("then in def forward")
    assert scope(["x = 1"], 0) == ""


def test_an_open_fold_shows_its_lines() -> None:
    compared = compare(BEFORE, AFTER)
    folded = rows(compared, 1)
    at = next(row for row in folded if row.hidden)
    assert at == Row(4, 4, True, 20)
    opened = rows(compared, 1, opened=frozenset({3}))
    assert not any(row.hidden for row in opened)
    assert len(opened) == len(folded) + 19


def test_changes_are_found_where_they_begin() -> None:
    shown = rows(compare(BEFORE, AFTER), 1)
    assert [shown[at] for at in hunk_starts(shown)] == [Row(2, None), Row(None, 25)]


def test_moved_lines_are_paired_with_what_they_became() -> None:
    before, after = "alpha = 1\nbeta = 2\n", "new_one = 9\nalpha = 3\nbeta = 4\n"
    assert compare(before, after).mates == {0: 1, 1: 2}
    assert texts(diff_lines(before, after, 43, split=True))[0].split("│")[1].strip() == "1 + new_one = 9"


def test_text_that_does_not_fit_ends_in_an_ellipsis_at_either_end() -> None:
    assert plain(cropped((("abcdefghij", ""),), 0, 5, "…")) == "abcd…"
    assert plain(cropped((("abcdefghij", ""),), 3, 5, "…")) == "…efg…"
    assert plain(cropped((("abcdefghij", ""),), 3, 9, "…")) == "…efghij"
    assert plain(cropped((("日本語です", ""),), 1, 6, "…")) == "…本語…"
    assert plain(cropped((("日本語です", ""),), 2, 6, "…")) == "… 語 …"


def test_ascii_glyphs_are_all_there_is_where_asked_for() -> None:
    assert all(plain(line).isascii() for line in diff_lines(BEFORE, AFTER, 60, glyphs=ASCII))


HOSTILE = st.text(
    alphabet=st.sampled_from("a =1\n\t\r\x1b[]m\x07\u202e\u0301日e\u0301\ud800\"'#\\\x00\x0c"), max_size=80
)


@given(HOSTILE, HOSTILE, st.integers(12, 60), st.booleans())
def test_no_text_breaks_a_line(before: str, after: str, cells: int, split: bool) -> None:
    for line in diff_lines(before, after, cells, split=split):
        assert width(line) == cells
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in plain(line))


def test_a_line_of_100_kb_is_cut() -> None:
    long = "x = '" + "y" * 100_000 + "'\n"
    assert {width(line) for line in diff_lines(long, long.replace("y'", "z'"), 80)} == {80}


def test_a_thousand_lines_with_22_changes_are_drawn_in_time() -> None:
    old = [f"value_{i} = compute({i}, 'text {i}')  # the {i}th" for i in range(1000)]
    new = [line.replace("compute", "improve") if i % 45 == 7 else line for i, line in enumerate(old)]
    diff_lines("warm = 1\n", "warm = 2\n", 80)  # Pygments itself
    started = time.process_time()
    shown = diff_lines("\n".join(old), "\n".join(new), 160, split=True)
    assert time.process_time() - started < 0.4  # 0.12 s on a quiet machine
    assert len(shown) > 150
