"""Cells of a design as codes, one per factor: what arithmetic is done with. Knows no results and needs no numpy.

A number is coded −1…+1; a category with more than two levels by the index of its level.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from core.design import Design, Factor, coded, is_category, number


def place(design: Design, cell: Mapping[str, str]) -> tuple[float, ...] | None:
    """A cell as one code per factor (of categories with several levels: the index). None: not levels of the design."""
    found = [_code(factor, cell.get(factor.name, "")) for factor in design.factors]
    known = tuple(code for code in found if code is not None)
    return known if len(known) == len(found) else None


def _code(factor: Factor, text: str) -> float | None:
    known = _codes(factor)
    if text in known or (value := number(text)) is None:
        return known.get(text)
    return next((code for level, code in known.items() if number(level) == value), None)


@lru_cache(maxsize=1024)
def _codes(factor: Factor) -> dict[str, float]:
    many = has_many(factor)
    return {level.text: float(i) if many else level.code for i, level in enumerate(coded(factor))}


def has_many(factor: Factor) -> bool:
    """Whether it is a category with more than two levels."""
    return is_category(factor) and len(factor.levels) > 2
