"""Answers kept while what they follow from is the same."""

from __future__ import annotations

import pytest
from tapes import simulated

from core import judging, known
from core.fold import fold
from core.known import Known
from core.policy import plan
from core.state import State
from core.verdict import Rules


def counted(memory: Known[int], *parts: object) -> tuple[int, bool]:
    """The answer, and whether it was asked for again."""
    asked = list[int]()

    def ask() -> int:
        asked.append(1)
        return len(parts)

    return memory("key", parts, ask), bool(asked)


def test_an_answer_is_asked_for_once_while_its_parts_are_the_same() -> None:
    memory, part = Known[int](10), object()
    assert counted(memory, part, (1, 2)) == (2, True)
    assert counted(memory, part, (1, 2)) == (2, False), "a tuple of the same numbers is the same part"


def test_another_part_fewer_parts_or_an_equal_but_other_part_are_asked_for_again() -> None:
    memory, part = Known[int](10), object()
    counted(memory, part, (1, 2))
    assert counted(memory, part, (1, 3)) == (2, True)
    assert counted(memory, part) == (1, True)
    assert counted(memory, [1]) == (1, True)
    assert counted(memory, [1]) == (1, True), "a list may have changed since"


def test_at_most_so_many_answers_are_kept() -> None:
    memory = Known[int](2)
    for key in ("a", "b", "c"):
        memory(key, (), lambda: 1)
    assert len(memory._told) == 1
    assert memory("a", (), lambda: 2) == 2, "it was forgotten"


def test_plans_with_kept_answers_are_those_without(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, states = simulated(0.5), [State()]
    for cut in range(0, len(facts), 7):  # one after another, as an engine has them: parts stay the same objects
        states.append(fold(states[-1], facts[cut : cut + 7]))
    kept = [plan(state, Rules(), state.at) for state in states]
    monkeypatch.setattr(known.Known, "__call__", lambda self, key, parts, ask: ask())
    monkeypatch.setattr(judging.Judged, "__call__", lambda self, *about: self._ask(*about))
    assert sum(map(len, kept)) > 0
    assert kept == [plan(state, Rules(), state.at) for state in states]
