"""Answers kept while what they follow from is the same: one plan asks hundreds of times about what rarely changes.

Answers are functions of frozen parts, so keeping them changes nothing but the time it takes. Parts are compared by
identity, numbers by value.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")
Parts = tuple[object, ...]


class Known(Generic[Answer]):
    """`most` answers at a time; then all are forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._told: dict[Hashable, tuple[Parts, Answer]] = {}

    def __call__(self, key: Hashable, parts: Parts, ask: Callable[[], Answer]) -> Answer:
        """The answer for `key`, asked for again once any of its `parts` is another."""
        found = self._told.get(key)
        if found is not None and is_same(found[0], parts):
            return found[1]
        if len(self._told) >= self._most:
            self._told.clear()
        answer = ask()
        self._told[key] = (parts, answer)
        return answer


def is_same(some: Parts, others: Parts) -> bool:
    return len(some) == len(others) and all(map(_same, some, others))


def _same(one: object, other: object) -> bool:
    return one is other or (type(one) is tuple and one == other)
