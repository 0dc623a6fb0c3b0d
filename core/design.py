"""Designed experiments: which factors at which levels, and the cells that follow. Knows no runs and no results."""

from __future__ import annotations

import itertools
from typing import Literal

import msgspec

from core.patch import Change, Edit

Kind = Literal[
    "full factorial", "fractional factorial", "Plackett-Burman", "definitive screening", "central composite", "list"
]
Scale = Literal["category", "linear", "log", "power of two"]


class Factor(msgspec.Struct, frozen=True, omit_defaults=True):
    """An UPPER_CASE constant of train.py and the values tried for it, as source text ("2**18", "0.04").

    With `edits` it is a structural factor instead: its levels are WITHOUT and WITH, and the edits are made at WITH.
    """

    name: str
    levels: tuple[str, ...]
    scale: Scale = "category"
    edits: tuple[Edit, ...] = ()


WITHOUT, WITH = "without", "with"


class Design(msgspec.Struct, frozen=True, omit_defaults=True):
    """`generators` of a fractional factorial, in the letters of its factors: ("D=ABC",)."""

    kind: Kind
    factors: tuple[Factor, ...]
    generators: tuple[str, ...] = ()


def cells(design: Design) -> tuple[dict[str, str], ...]:
    """Every combination of levels, the first factor changing slowest. A design without factors has one empty cell."""
    names = [factor.name for factor in design.factors]
    levels = itertools.product(*(factor.levels for factor in design.factors))
    return tuple(dict(zip(names, combination, strict=True)) for combination in levels)


def change(design: Design, cell: dict[str, str], base: dict[str, str]) -> Change:
    """What a cell changes where `base` has the parent's texts of the constants."""
    settings = {
        f.name: cell[f.name] for f in design.factors if not f.edits and cell[f.name] != base.get(f.name, cell[f.name])
    }
    edits = tuple(edit for f in design.factors if f.edits and cell[f.name] == WITH for edit in f.edits)
    return Change(settings=settings, edits=edits)
