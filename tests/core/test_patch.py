"""Changes to train.py: applied, checked, told apart, shown."""

from __future__ import annotations

import difflib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import patch
from core.errors import PatchError
from core.patch import Change, Edit

PARENT = '''\
"""Trains."""
import os
import torch
from prepare import TIME_BUDGET, evaluate_bpb

DEPTH = 4
MATRIX_LR = 0.04  # Muon
BATCH = 2**16

torch.manual_seed(int(os.environ.get("AUTORESEARCH_SEED", "42")))
model = build(DEPTH)
while elapsed < TIME_BUDGET:
    step(model)
val_bpb = evaluate_bpb(model, BATCH)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
'''


def edited(search: str, replace: str) -> str:
    assert PARENT.count(search) == 1
    return PARENT.replace(search, replace)


def test_edits_are_applied_in_order_and_then_settings() -> None:
    change = Change(
        settings={"DEPTH": "2", "NEW": "5"},
        edits=(Edit("BATCH = 2**16\n", "BATCH = 2**16\nNEW = 3\n"), Edit("NEW = 3", "NEW = 4")),
    )
    assert patch.apply(PARENT, change) == edited("DEPTH = 4", "DEPTH = 2").replace("2**16\n", "2**16\nNEW = 5\n")


def test_an_empty_change_changes_nothing() -> None:
    assert patch.apply(PARENT, Change()) == PARENT


def test_an_edit_that_matches_nothing_is_told_the_nearest_line() -> None:
    with pytest.raises(PatchError, match=r"matches nothing in train\.py: the nearest line 7 is 'MATRIX_LR = 0.04"):
        patch.apply(PARENT, Change(edits=(Edit("MATRIX_LR = 0.40  # Muon", "x"),)))
    with pytest.raises(PatchError, match="no line is like"):
        patch.apply(PARENT, Change(edits=(Edit("§§§§§", "x"),)))


def test_an_edit_that_matches_twice_is_told_how_often_and_where() -> None:
    with pytest.raises(PatchError, match=r"Edit 2 matches 2 places \(lines 4, 14\)"):
        patch.apply(PARENT, Change(edits=(Edit("DEPTH = 4", "DEPTH = 5"), Edit("evaluate_bpb", "x"))))
    with pytest.raises(PatchError, match="matches 2 places"):
        patch.apply("aaa\n", Change(edits=(Edit("aa", "b"),)))
    with pytest.raises(PatchError, match="empty search"):
        patch.apply(PARENT, Change(edits=(Edit("", "b"),)))


def test_an_edit_written_with_newlines_fits_a_file_with_carriage_returns() -> None:
    source = PARENT.replace("\n", "\r\n")
    changed = patch.apply(source, Change(edits=(Edit("DEPTH = 4\nMATRIX", "DEPTH = 3\nMATRIX"),)))
    assert changed == source.replace("DEPTH = 4", "DEPTH = 3")


@pytest.mark.parametrize(
    "source",
    [
        edited("DEPTH = 4", "DEPTH = 2"),
        edited(
            "from prepare import TIME_BUDGET, evaluate_bpb", "import prepare\nfrom prepare import TIME_BUDGET"
        ).replace("= evaluate_bpb(", "= prepare.evaluate_bpb("),
        edited("evaluate_bpb\n", "evaluate_bpb as measure\n").replace("= evaluate_bpb(", "= measure("),
        edited("step(model)", "step(model)  # faster\n    step(model)"),
    ],
)
def test_a_change_that_keeps_the_contract_may_run(source: str) -> None:
    assert patch.check(source, PARENT) is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (PARENT, "does the same as its parent"),
        (PARENT + "# a comment\n", "nothing but comments or layout"),
        (edited("BATCH = 2**16", "BATCH = 65536"), "does the same as its parent"),
        (edited("DEPTH = 4", "DEPTH = ("), r"does not compile: .* \(line 6\)"),
        (edited("DEPTH = 4", "return 4"), "does not compile: 'return' outside function"),
        (edited("DEPTH = 4", "DEPTH = 4\0"), "does not compile"),
        (edited("DEPTH = 4", "DEPTH = '\ud800'"), "does not compile"),
        (edited("DEPTH = 4", "DEPTH = " + "(" * 5000), "does not compile"),
        (edited("DEPTH = 4", "DEPTH = " + "-" * 20_000 + "4"), "does not compile"),
        (edited("DEPTH = 4", "DEPTH = 5 # " + "x" * 2_000_000), "larger than 2 MB"),
        (edited("val_bpb = evaluate_bpb(model, BATCH)", "val_bpb = 0.1"), "no longer calls evaluate_bpb"),
        (edited("DEPTH = 4", "def evaluate_bpb(*_):\n    return 0.1"), "redefines evaluate_bpb, which prepare decides"),
        (edited("DEPTH = 4", "evaluate_bpb = lambda *_: 0.1"), "redefines evaluate_bpb"),
        (
            edited("evaluate_bpb\n", "evaluate_bpb as m\nm = print\n").replace("= evaluate_bpb(", "= m("),
            "redefines evaluate_bpb",
        ),
        (edited("DEPTH = 4", "import prepare\nprepare.evaluate_bpb = print"), "redefines evaluate_bpb"),
        (edited("DEPTH = 4", "import prepare as p\np.EVAL_TOKENS = 9"), "attributes of prepare, which is read-only"),
        (edited("DEPTH = 4", "import prepare\nsetattr(prepare, 'evaluate_bpb', print)"), "in a string"),
        (edited("DEPTH = 4", "TIME_BUDGET = 9999"), "redefines TIME_BUDGET"),
        (
            edited("from prepare import TIME_BUDGET, evaluate_bpb", "from mine import evaluate_bpb"),
            "no longer comes from",
        ),
        (edited("DEPTH = 4", "from mine import evaluate_bpb"), "no longer comes from prepare"),
        (edited('os.environ.get("AUTORESEARCH_SEED", "42")', "42"), "no longer reads AUTORESEARCH_SEED"),
        (edited("torch.manual_seed(", "print("), "no longer calls manual_seed"),
        (edited('print(f"val_bpb:          {val_bpb:.6f}")', "print(val_bpb)"), "no longer prints"),
    ],
)
def test_a_change_that_breaks_the_contract_is_told_why(source: str, reason: str) -> None:
    answer = patch.check(source, PARENT)
    assert answer is not None
    assert re.search(reason, answer), answer
    assert answer.startswith(("train.py", "evaluate_bpb"))
    assert answer.endswith(".")
    assert "\n" not in answer


def test_a_parent_without_the_contract_asks_nothing_of_its_children() -> None:
    assert patch.check("x = 2\n", "x = 1\n") is None
    assert patch.check("x = 2\n", "x = (\n") is None


def test_checking_executes_nothing() -> None:
    assert patch.check("raise SystemExit('executed')\n", "x = 1\n") is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("X = 2**4\n", "X = 16 # sixteen\n"),
        ("X = -(0.5)\n", "X=-.50\n"),
        ('"""Doc."""\nX = "a"\n', "X = ( 'a' )\r\n"),
        ("def f():\n    '''Doc.'''\n    return 1\n", "def f(): return 1"),
        ("f(x * (4 * 1024))", "f(\n    x * 4096\n)"),
        ("\ufeffX = 1", "X = 1"),
    ],
)
def test_sources_that_do_the_same_have_one_digest(left: str, right: str) -> None:
    assert patch.digest(left) == patch.digest(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("X = 16", "X = 16.0"),
        ("X = 1", "X = True"),
        ("X = 'a'", "X = b'a'"),
        ("X = 'a'", "X = a"),
        ("f(a, b)", "f((a, b))"),
        ("x = [a, [b]]", "x = [[a], b]"),
        ("a < b", "a > b"),
        ("if a:\n    b()\nc()", "if a:\n    b()\n    c()"),
        ("match x:\n    case None: f()", "match x:\n    case True: f()"),
        ("X = (", "X = ( "),
        ("X = 0x" + "f" * 5000, "X = 0x" + "e" * 5000),
    ],
)
def test_sources_that_differ_have_different_digests(left: str, right: str) -> None:
    assert patch.digest(left) != patch.digest(right)


def test_the_digest_of_a_deep_expression_needs_no_recursion() -> None:
    assert patch.digest("x = " + "+".join(["y"] * 2000)) != patch.digest("x = " + "+".join(["y"] * 2001))


def test_the_digest_is_the_same_for_ever() -> None:
    assert patch.digest("X = 2**4\n") == "ea177966ee66e83d"


def test_a_diff_is_what_difflib_writes_for_short_files() -> None:
    new = edited("DEPTH = 4", "DEPTH = 2\nEXTRA = 1")
    lines = difflib.unified_diff(PARENT.splitlines(True), new.splitlines(True), "a/train.py", "b/train.py")
    assert patch.diff(PARENT, new) == "".join(lines)
    assert patch.diff(PARENT, PARENT) == ""


def test_a_line_that_occurs_often_still_counts_in_a_diff() -> None:
    lines = patch.diff("    pass\n" * 400, "    pass\n" * 200 + "x()\n" + "    pass\n" * 200).splitlines()[3:]
    assert [line for line in lines if not line.startswith(" ")] == ["+x()"]


def test_a_missing_newline_at_the_end_is_shown() -> None:
    assert patch.diff("a", "b") == (
        "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n"
        "-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    )


def test_a_summary_names_changed_constants() -> None:
    new = edited("DEPTH = 4", "DEPTH = 2").replace("0.04", "0.08")
    assert patch.summary(PARENT, new) == "DEPTH 4 → 2, MATRIX_LR 0.04 → 0.08"


def test_a_summary_counts_other_lines() -> None:
    assert patch.summary(PARENT, edited("    step(model)\n", "    a()\n    b()\n")) == "+2 −1 lines"
    both = edited("    step(model)\n", "    a()\n").replace("DEPTH = 4", "DEPTH = 2")
    assert patch.summary(PARENT, both) == "DEPTH 4 → 2, +1 −1 lines"
    assert patch.summary(PARENT, PARENT) == "no change"
    assert patch.summary(PARENT, PARENT + "# x\n") == "comments or layout only"
    assert patch.summary("X = (", "X = [") == "+1 −1 lines"
    many = "".join(f"K{i} = 1\n" for i in range(6))
    assert patch.summary(many, many.replace("= 1", "= 2")).endswith("K3 1 → 2, 2 more")


@given(st.text(max_size=80), st.text(max_size=80))
def test_anything_can_be_checked_told_apart_and_shown(old: str, new: str) -> None:
    patch.check(new, old)
    patch.digest(new)
    assert (patch.diff(old, new) == "") == (old == new)
    assert "\n" not in patch.summary(old, new)


@given(
    st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n"]), max_size=12), st.lists(st.sampled_from("ab\n"), max_size=12)
)
def test_a_diff_agrees_with_difflib(old: list[str], new: list[str]) -> None:
    before, after = "".join(old), "".join(line + "\n" for line in new)
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a/train.py", "b/train.py")
    assert patch.diff(before, after) == "".join(lines)
