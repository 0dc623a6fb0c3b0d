"""The latest answer to a question about a state, kept as long as the parts of the state it was made from are the same.

States are immutable, so sameness is identity: nothing is compared in depth. Knows no question.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    def __init__(self) -> None:
        self._parts: tuple[object, ...] = ()
        self._made: list[T] = []

    def get(self, parts: tuple[object, ...], make: Callable[[], T]) -> T:
        """`make()` if one of `parts` is another object than last time; numbers and texts are compared by value."""
        if not self._made or len(parts) != len(self._parts) or not all(map(_is_same, parts, self._parts)):
            self._made = [make()]
            self._parts = parts
        return self._made[0]


def _is_same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, int | float | str) and one == other)
