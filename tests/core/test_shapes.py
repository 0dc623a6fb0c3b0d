"""The digest of a source, worked out in full or from one that differs in constants alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from campaign import UPSTREAM

from core import knobs, patch, shapes
from core.shapes import digest

TEMPLATE = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
NUMBERS = ("1", "2**19", "-0.5", "1e-3", "True", "(0.8, 0.95)", "'x'", "None")


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("parent", [UPSTREAM, TEMPLATE], ids=["upstream", "template"])
def test_the_way_it_is_worked_out_does_not_change_the_digest(parent: str, value: str) -> None:
    source = patch.apply(parent, patch.Change(settings={"MATRIX_LR": value, "WEIGHT_DECAY": "0.123"}))
    assert source != parent
    assert digest(source, like=parent) == digest(source)
    assert digest(source, like=parent) != digest(parent)


def test_the_same_value_written_otherwise_is_the_same() -> None:
    source = UPSTREAM.replace("DEPTH = 8", "DEPTH = 2**3  # blocks")
    assert source != UPSTREAM
    assert digest(source, like=UPSTREAM) == digest(UPSTREAM) == digest(source)


def test_any_other_difference_is_seen_in_full() -> None:
    source = UPSTREAM.replace("evaluate_bpb(0)", "evaluate_bpb(1)")
    assert digest(source, like=UPSTREAM) == digest(source) != digest(UPSTREAM)
    assert digest("X = (", like=UPSTREAM) == digest("X = (")


def test_a_variant_is_not_parsed_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a campaign of a thousand experiments cheap to simulate."""
    source = TEMPLATE.replace("MATRIX_LR = 0.04", "MATRIX_LR = 0.0432")
    digest(TEMPLATE)
    shapes._pieces(TEMPLATE)
    patch.check(TEMPLATE.replace("MATRIX_LR = 0.04", "MATRIX_LR = 0.0433"), TEMPLATE)
    parse, parsed = knobs.parse, list[int]()

    def counted(text: str) -> ast.Module:
        parsed.append(len(text))
        return parse(text)

    monkeypatch.setattr(knobs, "parse", counted)
    assert patch.check(source, TEMPLATE) is None
    assert max(parsed) < 200


@pytest.mark.parametrize(("name", "value"), [("WINDOW_PATTERN", "'L'"), ("MATRIX_LR", "'val_bpb:'")])
def test_texts_in_constants_are_checked_in_full(name: str, value: str) -> None:
    source = patch.apply(UPSTREAM, patch.Change(settings={name: value}))
    assert not patch._differs_in_numbers(source, UPSTREAM)
    assert patch._differs_in_numbers(patch.apply(UPSTREAM, patch.Change(settings={"DEPTH": "9"})), UPSTREAM)
