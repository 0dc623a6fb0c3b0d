"""Makers: factors around a present value, and designs over factors that use a given number of cells well.

Texts are written in the style of the value they replace ("2**18" beside "2**19"). It knows numbers and their scales,
never what a constant means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from core import aliasing, knobs
from core.design import (
    MOST_CELLS,
    PLACKETT_BURMAN_RUNS,
    WITH,
    WITHOUT,
    Coded,
    Design,
    Factor,
    Scale,
    check,
    coded,
    is_category,
    number,
    scale_of,
)
from core.errors import DesignError
from core.patch import Edit

GRID = 41  # settings looked at between the lowest and the highest level of one factor
DIGITS = 3  # of a float that we choose

# --- factors ----------------------------------------------------------------------------------------------------------


def around(
    name: str,
    text: str,
    *,
    scale: Scale,
    step: float,
    at: Sequence[float] = (-1, 0, 1),
    low: float = -math.inf,
    high: float = math.inf,
) -> Factor:
    """Levels `at` so many steps from the present value `text`, clipped to low…high, lowest first, each once.

    A step adds `step` on the linear scale, multiplies by `step` on the log scale and by 2**step on the power-of-two
    scale. Whole numbers stay whole and move by at least 1. `text` itself is the level at 0. Raises DesignError if
    fewer than two different levels are left, or if the scale does not fit the value.
    """
    present = number(text)
    if present is None or scale == "category" or (scale != "linear" and present <= 0):
        raise DesignError(f"{name} = {text} has no place on a {scale} scale; take another, or list its levels.")
    moved = _mover(scale, present, step)
    texts: dict[float, str] = {}
    for place in sorted(at):
        value = min(high, max(low, moved(place))) if place else present
        value = _rounded(value, present, place, whole=isinstance(knobs.value_of(text), int))
        texts.setdefault(value, text if value == present else knobs.render(value, text))
    if len(texts) < 2:
        raise DesignError(f"{name} has one level between {low:g} and {high:g}; widen its limits or leave it out.")
    return Factor(name, tuple(texts[value] for value in sorted(texts)), scale)


def _mover(scale: Scale, present: float, step: float) -> Callable[[float], float]:
    """From a number of steps to the value there."""
    if scale == "linear":
        return lambda place: present + place * step
    ratio = 2.0**step if scale == "power of two" else step
    if not ratio > 0:
        raise DesignError(f"A step of {step:g} leads nowhere on a {scale} scale; take a ratio above 1.")
    return lambda place: present * ratio**place


def _rounded(value: float, present: float, place: float, *, whole: bool) -> float | int:
    if whole:
        near = round(value)
        return near + (place > 0) - (place < 0) if near == present and value != present else near
    short = float(f"{value:.{DIGITS}g}")
    return short if short != present or value == present else float(f"{value:.9g}")


def structural(name: str, edits: Iterable[Edit]) -> Factor:
    """An edit of train.py as a factor: without it and with it."""
    return Factor(name, (WITHOUT, WITH), edits=tuple(edits))


@lru_cache(maxsize=256)
def between(factor: Factor) -> tuple[Coded, ...]:
    """Settings that train.py could have from the lowest to the highest level, those levels among them.

    Whole numbers stay whole; on the power-of-two scale only doublings of the lowest level. A category has its levels.
    """
    levels = coded(factor)
    if is_category(factor):
        return levels
    low, high = float(number(levels[0].text) or 0.0), float(number(levels[-1].text) or 0.0)
    texts = {number(level.text): level.text for level in levels}
    for value in _values(factor, low, high):
        if low <= value <= high:
            texts.setdefault(value, knobs.render(value, levels[0].text))
    whole = Factor(factor.name, tuple(texts.values()), scale_of(factor))
    return coded(whole)


def _values(factor: Factor, low: float, high: float) -> Iterable[float | int]:
    scale = scale_of(factor)
    whole = all(isinstance(knobs.value_of(level), int) for level in factor.levels)
    if scale == "power of two":
        doublings = (low * 2**i for i in range(math.floor(math.log2(high / low) + 1e-9) + 1))
        return [round(value) if whole else value for value in doublings]
    if whole and high - low < GRID:
        return range(int(low), int(high) + 1)
    shares = [i / (GRID - 1) for i in range(GRID)]
    spread = [low * (high / low) ** share if scale == "log" else low + (high - low) * share for share in shares]
    return [round(value) if whole else float(f"{value:.{DIGITS}g}") for value in spread]


# --- designs ----------------------------------------------------------------------------------------------------------


def fractional(factors: Iterable[Factor], most: int) -> Design:
    """Two levels each, of the best resolution that fits `most` cells; all combinations if they fit.

    The lowest and highest of a factor's levels are run. Raises DesignError if no fraction fits.
    """
    factors = tuple(factors)
    basic = max(0, min(most, MOST_CELLS).bit_length() - 1)
    generators = aliasing.generators(len(factors), basic)
    all_two = all(len(factor.levels) == 2 for factor in factors)
    return _checked(
        Design("full factorial" if all_two and not generators else "fractional factorial", factors, generators)
    )


def plackett_burman(factors: Iterable[Factor]) -> Design:
    """Two levels each, in the fewest runs that keep main effects apart: the next of 4, 8, 12, 16, 20, 24, 32, …"""
    return _checked(Design("Plackett-Burman", tuple(factors)))


def plackett_burman_runs(count: int) -> int:
    """Cells of a Plackett-Burman design of so many factors."""
    return next(runs for runs in PLACKETT_BURMAN_RUNS if runs > count)


def central_composite(factors: Iterable[Factor]) -> Design:
    """For curvature: corners, axial cells and the centre. The corners are the smallest fraction of resolution V."""
    factors = tuple(factors)
    return _checked(Design("central composite", factors, _clear(len(factors))))


def rotatable(count: int) -> float:
    """Distance of the axial cells, in steps of the corners, at which the error depends on the distance from the centre
    only: the fourth root of the number of corners (Box and Hunter 1957). `around(at=(−d, −1, 0, 1, d))` makes levels.
    """
    return float(2.0 ** ((count - len(_clear(count))) / 4))


def _clear(count: int) -> tuple[str, ...]:
    for basic in range(2, count):
        try:
            generators = aliasing.generators(count, basic)
        except DesignError:
            continue
        words = aliasing.defining(aliasing.parsed(generators, count))
        if (aliasing.shortest(words) or 0) >= aliasing.CLEAR:
            return generators
    return ()


def definitive(factors: Iterable[Factor]) -> Design:
    """Three levels of each number in about 2n + 1 cells, main effects free of all second-order effects."""
    return _checked(Design("definitive screening", tuple(factors)))


def _checked(design: Design) -> Design:
    check(design)
    return design
