"""Designed experiments: which factors at which levels, and the cells that follow. Knows no runs and no results."""

from __future__ import annotations

import itertools
from typing import Literal

import msgspec


class Factor(msgspec.Struct, frozen=True):
    """An UPPER_CASE constant of train.py and the values tried for it, as source text ("2**18", "0.04")."""

    name: str
    levels: tuple[str, ...]


class Design(msgspec.Struct, frozen=True):
    kind: Literal["full factorial"]
    factors: tuple[Factor, ...]


def cells(design: Design) -> tuple[dict[str, str], ...]:
    """Every combination of levels, the first factor changing slowest. A design without factors has one empty cell."""
    names = [factor.name for factor in design.factors]
    levels = itertools.product(*(factor.levels for factor in design.factors))
    return tuple(dict(zip(names, combination, strict=True)) for combination in levels)
