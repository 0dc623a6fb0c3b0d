"""Constants of train.py: what is one, how it is set, how a value is written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import knobs
from core.errors import PatchError

UPSTREAM = """\
from prepare import MAX_SEQ_LEN, TIME_BUDGET, evaluate_bpb

# Model architecture
ASPECT_RATIO = 64       # model_dim = depth * ASPECT_RATIO
HEAD_DIM = 128          # target head dimension for attention
WINDOW_PATTERN = "SSSL" # sliding window pattern: L=full, S=half context

# Optimization
TOTAL_BATCH_SIZE = 2**19 # ~524K tokens per optimizer step
EMBEDDING_LR = 0.6      # learning rate for token embeddings (Adam)
MATRIX_LR = 0.04
ADAM_BETAS = (0.8, 0.95) # Adam beta1, beta2
H100_BF16_PEAK_FLOPS = 989.5e12

DEPTH = 8               # number of transformer layers
WIDTH = DEPTH * ASPECT_RATIO
lowercase = 3


def build():
    LOCAL = 4
    return LOCAL
"""


def texts(source: str) -> dict[str, str]:
    return {knob.name: knob.text for knob in knobs.find(source)}


def test_upstreams_constants_are_found_with_value_line_and_comment() -> None:
    found = {knob.name: knob for knob in knobs.find(UPSTREAM)}
    assert list(found) == [
        *("ASPECT_RATIO", "HEAD_DIM", "WINDOW_PATTERN", "TOTAL_BATCH_SIZE", "EMBEDDING_LR", "MATRIX_LR", "ADAM_BETAS"),
        *("H100_BF16_PEAK_FLOPS", "DEPTH"),
    ]
    batch = found["TOTAL_BATCH_SIZE"]
    assert (batch.text, batch.value, batch.line) == ("2**19", 524288, 9)
    assert batch.comment == "~524K tokens per optimizer step"
    assert found["ADAM_BETAS"].value == (0.8, 0.95)
    assert found["MATRIX_LR"].comment == ""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("X: int = 4", {"X": "4"}),
        ("A = 1; B = -0.5  # b", {"A": "1", "B": "-0.5"}),
        ("X = (  # two\n    1 +\n    1\n)\n", {"X": "(  # two\n    1 +\n    1\n)"}),
        ("X = \\\n  1e-3", {"X": "1e-3"}),
        ("X = 1, 2", {"X": "1, 2"}),
        ("X = 'é'; Y = 'ü'", {"X": "'é'", "Y": "'ü'"}),
        ("\ufeffX = 4", {"X": "4"}),
        ("A = 1\rB = 2\r\nC = '\x0c'\n", {"A": "1", "B": "2", "C": "'\x0c'"}),
        ("X = [1, True, None]", {"X": "[1, True, None]"}),
        ("X: int\nX = 3", {"X": "3"}),
    ],
)
def test_the_text_is_exactly_what_the_source_says(source: str, expected: dict[str, str]) -> None:
    assert texts(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "X = 9**9**9",
        "X = 1 << 10**9",
        "X = 1e999",
        "X = 1 / 0",
        "X = (-8) ** 0.5",
        "X = 'a' * 9",
        "X = f()",
        "X = Y",
        "X = 1\nX = 2",
        "X = 1\nX += 1",
        "X = 1\nif True:\n    X = 2",
        "X = 1\ndef f():\n    global X\n    X = 2",
        "X = 1\nfrom m import X",
        "A = B = 1",
        "X =",
        "X = 1\0",
        "X = '\ud800'",
        "X = " + "-" * 1000 + "1",
        "X = " + "[" * 10_000,
    ],
)
def test_what_no_single_literal_decides_is_no_knob(source: str) -> None:
    assert knobs.find(source) == ()


def test_setting_keeps_every_other_byte_and_the_column_of_comments() -> None:
    changed = knobs.settings(UPSTREAM, {"DEPTH": "12", "ASPECT_RATIO": "128", "MATRIX_LR": "0.08"})
    expected = UPSTREAM.replace("DEPTH = 8  ", "DEPTH = 12  ").replace("_RATIO = 64       #", "_RATIO = 128      #")
    assert changed == expected.replace("MATRIX_LR = 0.04", "MATRIX_LR = 0.08")


def test_setting_keeps_carriage_returns_semicolons_and_other_scripts() -> None:
    source = '\ufeffé = "ü"; A = 1;B=2#b\r\nC = (\r\n  1,\r\n  2,\r\n) # ü\r\n'
    changed = knobs.settings(source, {"B": "2**4", "C": "3"})
    assert changed == '\ufeffé = "ü"; A = 1;B=2**4#b\r\nC = 3 # ü\r\n'


@pytest.mark.parametrize(
    "text",
    ["", "foo", "f(1)", "1 # x", "1; import os", "1\nY = 2", "Z = 2", "9**9**9", "1\\", "\0", "(", "*a", "\ud800"],
)
def test_only_a_literal_can_be_set(text: str) -> None:
    with pytest.raises(PatchError, match=r"X cannot be set to .* give a literal"):
        knobs.settings("X = 1\n", {"X": text})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("DEPHT", r"train.py has no constant 'DEPHT'; the nearest is DEPTH\."),
        ("WIDTH", "WIDTH is not an UPPER_CASE constant with a literal value; change it with an edit"),
        ("TWICE", "TWICE is assigned in more than one place"),
    ],
)
def test_a_name_that_is_no_knob_is_refused_with_what_to_do(name: str, sentence: str) -> None:
    with pytest.raises(PatchError, match=sentence):
        knobs.settings(UPSTREAM + "TWICE = 1\nTWICE = 2\n", {name: "3"})


def test_a_source_that_does_not_parse_is_refused() -> None:
    with pytest.raises(PatchError, match="does not parse"):
        knobs.settings("X = (", {"X": "1"})


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (2**18, "2**19", "2**18"),
        (2**18, "2 ** 19", "2 ** 18"),
        (3, "2**19", "3"),
        (1, "2**19", "1"),
        (2**17, "1 << 19", "1 << 17"),
        (1_000_000, "524_288", "1_000_000"),
        (0.04, "", "0.04"),
        (0.1 * 3, "0.5", "0.3"),
        (3e-5, "0.1", "3e-05"),
        (1, "0.5", "1.0"),
        (8.0, "4", "8"),
        (8.0, "", "8.0"),
        (True, "False", "True"),
        (None, "3", "None"),
        ("SSL", '"SSSL"', '"SSL"'),
        ("SSL", "'SSSL'", "'SSL'"),
        ([0.8, 0.9], "(0.8, 0.95)", "(0.8, 0.9)"),
        ((4,), "", "(4,)"),
        ((4, 5), "[2**3, 7]", "[2**2, 5]"),
    ],
)
def test_a_value_is_written_in_the_style_of_the_old_text(value: object, like: str, text: str) -> None:
    assert knobs.render(value, like) == text


@pytest.mark.parametrize("value", [math.inf, math.nan, 2**5000, {1: 2}, object()])
def test_what_a_constant_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(PatchError):
        knobs.render(value)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
values = scalars | st.tuples(scalars, scalars) | st.lists(scalars, max_size=4) | st.tuples(scalars)


def same(left: object, right: object) -> bool:
    match left, right:
        case (tuple() | list(), tuple() | list()):
            return len(left) == len(right) and all(map(same, left, right))
        case float(), float():
            return abs(left - right) <= 4 * math.ulp(left)
    return type(left) is type(right) and left == right


@given(values)
def test_a_rendered_value_reads_back(value: object) -> None:
    text = knobs.render(value)
    assert same(value, knobs.value_of(text))
    assert texts(f"X = {text}") == {"X": text}


@given(values, values, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["", "  # ü", ";Z=3 # z", " # a # b"]))
def test_what_was_set_is_found_and_can_be_set_back(old: object, new: object, newline: str, rest: str) -> None:
    before = newline.join(["\ufeffA = 'é' # x", f"X: object = {knobs.render(old)}{rest}", "B = 2**4", ""])
    changed = knobs.settings(before, {"X": knobs.render(new)})
    assert texts(changed) == texts(before) | {"X": knobs.render(new)}
    assert knobs.settings(changed, {"X": texts(before)["X"]}) == before


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_text_breaks_out_of_its_constant(source: str, text: str) -> None:
    knobs.find(source)
    try:
        changed = knobs.settings("A = 1 # a\nX = 2\nB = 3\n", {"X": text})
    except PatchError:
        return
    assert texts(changed) == {"A": "1", "X": text.strip(), "B": "3"}


PARENT = "import os\nA = 1  # one\nB = (1, 2)\nC = 'c'\nprint(A)\n"


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        (PARENT, {}),
        (PARENT.replace("A = 1 ", "A = 2 "), {"A": "2"}),
        (PARENT.replace("A = 1  # one", "A = 2**4"), {"A": "2**4"}),
        (PARENT.replace("(1, 2)", "(1, 3)").replace("'c'", "'d'"), {"B": "(1, 3)", "C": "'d'"}),
    ],
)
def test_a_source_that_differs_in_constants_alone_is_told_by_them(source: str, changed: dict[str, str]) -> None:
    found = knobs.variant(source, PARENT)
    assert found is not None
    assert {name: knob.text for name, knob in found.items()} == changed
    assert all(knob in knobs.find(source) for knob in found.values()), "the same knobs as by reading everything"


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("A = 1; import sys  # one", "A = 1  # one"),  # more than an assignment
        ("A: print(2) = 2", "A = 1  # one"),  # an annotation is run
        ("A = 1 + os.getpid()", "A = 1  # one"),
        ("A = (1,", "A = 1  # one"),
        ("D = 1  # one", "A = 1  # one"),
        ("A = 2\rimport sys", "A = 1  # one"),
        ("print(B)", "print(A)"),
        ("import os\nD = 1", "import os"),
    ],
)
def test_a_source_that_differs_in_more_is_not_taken_for_a_variant(new: str, old: str) -> None:
    assert knobs.variant(PARENT.replace(old, new), PARENT) is None


def test_what_looks_like_an_assignment_inside_a_text_is_none() -> None:
    parent = 'X = 1\nTEXT = """\nA = 1\n"""\n'
    assert knobs.variant(parent.replace("A = 1", "A = 2"), parent) is None
