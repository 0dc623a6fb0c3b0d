"""Constants of a train.py as coordinates: where a value lies, which values are within reach.

Octaves for positive numbers, fifths of the way for shares between 0 and 1, octaves of the distance to 1 for decays.
Switches are 0 or 1. Zero is the value at the start. It knows names and values, not what they do to a result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Literal

import msgspec
import numpy as np

from core.knobs import Value

DEAD = re.compile(r"SEED|VOCAB|SEQ_LEN|EVAL|^DEVICE|DTYPE|EVERY|WORKERS|STEPS$|EPS$|ROPE|CAP$|VERSION|BUDGET|HEAD_DIM")
SHARE = re.compile(r"RATIO|FRAC|DROPOUT")
DECAY = re.compile(r"BETA|MOMENTUM")
POWER = re.compile(r"BATCH|DIM|WIDTH")  # kept to powers of two: trainers divide one by another
MEMORY = {"DEVICE_BATCH_SIZE": 1.0, "DEPTH": 1.0, "MLP_RATIO": 0.5, "width": 1.0}  # octaves of memory per octave
SHARE_UNIT = 0.2
FAR = 8.0  # coordinates end here: what lies beyond is as bad

NOWHERE = 1e-9

Kind = Literal["octaves", "share", "decay", "switch"]
Step = Literal["any", "whole", "power"]


class Axis(msgspec.Struct, frozen=True):
    """One number of train.py; `index` is its place in a tuple."""

    name: str
    index: int | None
    base: float
    kind: Kind
    step: Step
    matters: bool  # whether a surface may depend on it
    memory: float  # octaves of memory per octave
    unit: int = 1  # whole numbers are multiples of it

    @property
    def has_room(self) -> bool:
        """Whether it can move by two units either way."""
        return self.kind != "share" or SHARE_UNIT * 2 <= self.base <= 1 - SHARE_UNIT * 2

    def open_side(self, draw: np.random.Generator) -> float:
        """+1 or −1: a side on which there is room for 1.5 units."""
        side = float(draw.choice([-1.0, 1.0]))
        return side if self.kind != "share" or 0 <= self.base + 1.5 * SHARE_UNIT * side <= 1 else -side

    def coordinate(self, config: Mapping[str, Value]) -> float:
        """Where the value of `config` lies, −8 to 8."""
        if self.kind == "switch":
            return float(bool(config.get(self.name)) != bool(self.base))
        value = number_in(config.get(self.name), self.index)
        return 0.0 if value is None else max(-FAR, min(FAR, self._coordinate(value)))

    def reachable(self, coordinate: float) -> float:
        """The coordinate nearest to this one, zero only for zero, whose value train.py can have."""
        return self._coordinate(self._value(coordinate))

    def nearest(self, coordinate: float) -> float:
        """As `reachable`, but the value at the start is one of them."""
        if self.kind != "octaves" or self.step == "any":
            return self.reachable(coordinate) if coordinate else 0.0
        value = self.base * 2.0**coordinate
        return self._coordinate(max(1, round(value)))

    def put(self, present: Value, coordinate: float) -> Value:
        """The value at this coordinate, in place of `present`."""
        if self.kind == "switch":
            return bool(self.base) != (coordinate >= 0.5)
        value = self._value(coordinate)
        if self.index is None or not isinstance(present, tuple | list):
            return value
        return (*present[: self.index], value, *present[self.index + 1 :])

    def _coordinate(self, value: float) -> float:
        if self.kind == "share":
            return (value - self.base) / SHARE_UNIT
        if self.kind == "decay":
            return math.log2(max(1e-9, 1 - value) / (1 - self.base))
        return math.log2(value / self.base) if value > 0 else -FAR

    def _value(self, coordinate: float) -> float | int:
        if self.kind == "share":
            return round(min(1.0, max(0.0, self.base + coordinate * SHARE_UNIT)), 3)
        if self.kind == "decay":
            return float(f"{max(0.0, 1 - (1 - self.base) * 2.0**coordinate):.4g}")
        if abs(coordinate) < NOWHERE:
            return self.base
        if self.step == "any":
            return float(f"{self.base * 2.0**coordinate:.3g}")
        side = 1 if coordinate > 0 else -1
        if self.step == "power" and self.base > 1:
            return round(self.base * 2.0 ** (round(coordinate) or side))
        whole = max(self.unit, round(self.base * 2.0**coordinate / self.unit) * self.unit)
        return whole if whole != self.base else max(self.unit, round(self.base) + side * self.unit)


def axes_of(base: Mapping[str, Value], powers: Collection[str] = ()) -> tuple[Axis, ...]:
    """Every number and switch in `base`, by name; a tuple gives one axis per number in it.

    Integers named in `powers` are kept to powers of two, besides those that usually are. Zero and negative numbers are
    left out unless they are shares.
    """
    found: list[Axis] = []
    for name in sorted(base):
        value = base[name]
        parts = range(len(value)) if isinstance(value, tuple | list) else (None,)
        found += [axis for index in parts if (axis := _axis(name, index, value, name in powers)) is not None]
    head = number_in(base.get("HEAD_DIM"), None) or 1
    return tuple(msgspec.structs.replace(axis, unit=int(head)) if axis.name == "width" else axis for axis in found)


def _axis(name: str, index: int | None, whole: Value, power: bool) -> Axis | None:
    if isinstance(whole, bool):
        return Axis(name, None, float(whole), "switch", "whole", False, 0.0)
    value = number_in(whole, index)
    if value is None:
        return None
    share = bool(SHARE.search(name)) and 0 <= value <= 1
    decay = bool(DECAY.search(name)) and 0 < value < 1
    if value <= 0 and not share:
        return None
    kind: Kind = "share" if share else "decay" if decay else "octaves"
    step: Step = "any" if isinstance(value, float) else "power" if power or POWER.search(name) else "whole"
    return Axis(name, index, value, kind, step, not DEAD.search(name), MEMORY.get(name, 0.0))


def number_in(value: object, index: int | None) -> float | int | None:
    """The finite number there, if there is one."""
    if index is not None:
        value = value[index] if isinstance(value, tuple | list) and len(value) > index else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def nonsense(axis: Axis, config: Mapping[str, Value]) -> str:
    """Why training cannot even start with this value; "" if it can."""
    if axis.kind == "switch":
        return ""
    value = number_in(config.get(axis.name), axis.index)
    if value is None:
        return f"TypeError: {axis.name} must be a number"
    if axis.kind != "octaves":
        top = value <= 1 if axis.kind == "share" else value < 1
        return "" if value >= 0 and top else f"ValueError: {axis.name} must be between 0 and 1, not {value:g}"
    if axis.step == "any":
        return "" if value >= 0 else f"ValueError: invalid {axis.name}: {value:g}"
    if value != int(value) and axis.name != "ASPECT_RATIO":
        return f"TypeError: {axis.name} must be a whole number, not {value:g}"
    return "" if value > 0 else f"ValueError: {axis.name} must be at least 1, not {value:g}"


def widened(config: Mapping[str, Value]) -> dict[str, Value]:
    """With the width that the model gets in place of ASPECT_RATIO: ratios of equal width are the same model."""
    depth, ratio, head = (number_in(config.get(name), None) for name in _SHAPE)
    if depth is None or ratio is None or head is None or min(depth, ratio, head) <= 0:
        return dict(config)
    width = math.ceil(round(depth * ratio / head, 6)) * int(head)  # rounded: 76.8 * 10 is not quite 768
    return {name: value for name, value in config.items() if name != "ASPECT_RATIO"} | {"width": width}


def effective(config: Mapping[str, Value]) -> dict[str, Value]:
    """With the ratio that the model gets: ratios of equal width come out as the same one."""
    real = widened(config)
    if real == config or "width" in config:
        return dict(config)
    depth, width = number_in(real["DEPTH"], None), number_in(real["width"], None)
    exact = (width or 0) / (depth or 1)
    return {**config, "ASPECT_RATIO": int(exact) if exact.is_integer() else exact}


def narrowed(config: Mapping[str, Value], like: Mapping[str, Value]) -> dict[str, Value]:
    """The opposite of `widened` where `like` has an ASPECT_RATIO: the whole ratio that leads to the width."""
    depth, width = (number_in(config.get(name), None) for name in ("DEPTH", "width"))
    if "ASPECT_RATIO" not in like or depth is None or width is None or "width" in like:
        return dict(config)
    return {name: value for name, value in config.items() if name != "width"} | {"ASPECT_RATIO": int(width // depth)}


_SHAPE = ("DEPTH", "ASPECT_RATIO", "HEAD_DIM")
