"""First waves, made before anything is known: many constants at once on a fleet, a small grid on one or two GPUs.

Names decide only the order: in a fixed budget, what sets the number and size of steps usually comes first, and what
sets memory is moved one at a time, since half of its combinations do not fit a GPU.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from core import knobs
from core.axes import Axis
from core.design import Design, Factor, cells
from core.factors import plackett_burman
from core.knobs import Value
from core.researchers.measured import Place

Array = NDArray[np.float64]

FLEET = 8  # GPUs from which on a wave screens many constants
MOST = 23  # factors of one screening: a Plackett-Burman of 24 cells
STEP = 0.6  # units up and down in a screening
SINGLE = 0.8  # units of a constant moved alone
GRID_STEP = 1.0
GRID = 2  # constants crossed at three levels on a small fleet
SIZE = re.compile(r"DEPTH|LAYER|ASPECT|DIM|WIDTH|MLP|HEAD|^(DEVICE|MICRO)_BATCH|EMBD|HIDDEN")
PRIORITY = (
    re.compile(r"^(?!DEVICE_|MICRO_).*BATCH"),
    re.compile(r"DEPTH|LAYER"),
    re.compile(r"MATRIX_LR|^LEARNING_RATE$|^LR$"),
    re.compile(r"EMBED.*LR"),
    re.compile(r"WARMDOWN|COOLDOWN"),
    re.compile(r"ASPECT|DIM|WIDTH|MLP"),
    re.compile(r"LR"),
    re.compile(r"DECAY|BETA|MOMENTUM"),
)


class Opening(msgspec.Struct, frozen=True):
    """A wave to begin with: a design and the coordinates of its cells, the unchanged one left out."""

    design: Design
    at: tuple[Array, ...]
    asks: str


def rank(name: str) -> int:
    """What usually matters first."""
    return next((i for i, pattern in enumerate(PRIORITY) if pattern.search(name)), len(PRIORITY))


def opening(place: Place, slots: int, waves: int, most: int | None) -> Opening | None:
    """The wave with this number (from 0) while nothing but the baseline is known; None after the first ones."""
    order = sorted(range(len(place.axes)), key=lambda i: (rank(place.axes[i].name), i))
    if slots < FLEET:
        return _grid(place, order, most) if waves == 0 else None
    screened, alone = _split(place.axes, order)
    if len(screened) < 3:
        screened, alone = [], order
    if waves == 0 and screened:
        return _screening(place, screened)
    return _singles(place, alone) if alone and waves == bool(screened) else None


def _split(axes: tuple[Axis, ...], order: list[int]) -> tuple[list[int], list[int]]:
    """Axes that are screened together, one per constant, and those that are moved alone."""
    screened: list[int] = []
    for i in order:
        taken = {axes[j].name for j in screened}
        if not SIZE.search(axes[i].name) and axes[i].name not in taken and len(screened) < MOST:
            screened.append(i)
    return screened, [i for i in order if i not in screened]


def _screening(place: Place, chosen: list[int]) -> Opening:
    factors, moves = list[Factor](), dict[str, tuple[int, Mapping[str, float]]]()
    for i in chosen:
        lows = {text_of(place, i, c): c for c in _two(place, i, STEP)}
        if len(lows) == 2:
            factors.append(Factor(place.axes[i].name, tuple(lows)))
            moves[place.axes[i].name] = (i, lows)
    design = plackett_burman(factors)
    return Opening(design, tuple(_at(place, moves, cell) for cell in cells(design)), "which of them matter")


def _grid(place: Place, order: list[int], most: int | None) -> Opening | None:
    factors, moves, size = list[Factor](), dict[str, tuple[int, Mapping[str, float]]](), 1
    limit = 3**GRID if most is None else max(3, most + 1)
    for i in order:
        c = float(place.at[i])
        levels = {text_of(place, i, at): at for at in sorted({*_two(place, i, GRID_STEP), c})}
        fits = len(factors) < GRID and size * len(levels) <= limit and len(levels) == 3
        if fits and place.axes[i].name not in moves:
            factors.append(Factor(place.axes[i].name, tuple(levels)))
            moves[place.axes[i].name] = (i, levels)
            size *= len(levels)
    if not factors:
        return None
    design = Design("full factorial", tuple(factors))
    found = (_at(place, moves, cell) for cell in cells(design))
    return Opening(design, tuple(at for at in found if not np.allclose(at, place.at)), "which way they lead")


def _singles(place: Place, chosen: list[int]) -> Opening:
    found: list[Array] = []
    for i in chosen:
        for c in _two(place, i, SINGLE):
            at = place.at.copy()
            at[i] = c
            if not np.allclose(at, place.at):
                found.append(at)
    return Opening(list_design(place, found), tuple(found), "what each of them does alone, one step up and down")


def _two(place: Place, i: int, step: float) -> tuple[float, float]:
    """A coordinate below and one above; at an end of the scale the present one and one further up or down."""
    axis, here = place.axes[i], float(place.at[i])
    if axis.kind == "switch":
        return here, 1.0 - here
    low, high = (_moved(axis, here, side * step) for side in (-1, 1))
    if low == here:
        high = _moved(axis, here, 1.5 * step)
    return low, high


def _moved(axis: Axis, here: float, by: float) -> float:
    """Whole numbers move by one at least."""
    for further in (1.0, 1.3, 1.7, 2.5):
        there = axis.nearest(here + by * further)
        if abs(there - here) > 0.2:
            return there
    return here


def _at(place: Place, moves: Mapping[str, tuple[int, Mapping[str, float]]], cell: Mapping[str, str]) -> Array:
    at = place.at.copy()
    for name, text in cell.items():
        i, coordinates = moves[name]
        at[i] = coordinates[text]
    return at


# --- from coordinates to text -----------------------------------------------------------------------------------------


def text_of(place: Place, i: int, coordinate: float) -> str:
    """The constant of this axis as source text with this coordinate, its other parts as they are."""
    at = place.at.copy()
    at[i] = coordinate
    return settings_of(place, at).get(place.axes[i].name, place.knobs[place.axes[i].name].text)


def settings_of(place: Place, at: Array) -> dict[str, str]:
    """What has to be set in the baseline's train.py to be at these coordinates."""
    values = dict[str, Value]()
    for axis, present, wanted in zip(place.axes, place.at, at, strict=True):
        if abs(float(present) - float(wanted)) > 1e-6:
            values[axis.name] = axis.put(values.get(axis.name, place.knobs[axis.name].value), float(wanted))
    return {name: knobs.render(value, place.knobs[name].text) for name, value in values.items()}


def list_design(place: Place, found: list[Array]) -> Design:
    """The constants that these points change, each with the levels that occur."""
    levels: dict[str, dict[str, None]] = {}
    for at in found:
        for name, text in settings_of(place, at).items():
            levels.setdefault(name, {place.knobs[name].text: None})[text] = None
    return Design("list", tuple(Factor(name, tuple(texts)) for name, texts in levels.items()))
