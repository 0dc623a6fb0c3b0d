"""Where the chart looks: which axis, which GPU type, what part of it. Zoom and pan are functions to another viewport.

Pure. It knows neither marks nor cells: positions are in units of the axis (experiments, or seconds of the session).
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

Range = tuple[float, float]
LEAST = {"experiments": 4.0, "time": 30.0}  # of the axis, that can be seen at once


class Viewport(msgspec.Struct, frozen=True, kw_only=True):
    """`x`, `y`: the part shown; None follows what there is."""

    axis: Literal["experiments", "time"] = "experiments"
    gpu_type: str = ""  # "": all
    x: Range | None = None
    y: Range | None = None

    @property
    def is_whole(self) -> bool:
        return self.x is None and self.y is None


_replace = msgspec.structs.replace


def other_axis(port: Viewport) -> Viewport:
    return _replace(port, axis="time" if port.axis == "experiments" else "experiments", x=None, y=None)


def next_type(port: Viewport, types: tuple[str, ...]) -> Viewport:
    """All, then each GPU type in turn."""
    turns = ("", *types) if len(types) > 1 else ("",)
    at = turns.index(port.gpu_type) if port.gpu_type in turns else -1
    return _replace(port, gpu_type=turns[(at + 1) % len(turns)], y=None)


def zoomed(port: Viewport, whole: Range, factor: float, at: float | None = None) -> Viewport:
    """`factor` < 1 shows less, around `at` (of the axis; default, the middle), which stays where it is."""
    low, high = port.x or whole
    centre = (low + high) / 2 if at is None else min(max(at, low), high)
    least = LEAST[port.axis]
    size = max(least, (high - low) * factor)
    if size >= whole[1] - whole[0]:
        return _replace(port, x=None)
    share = (centre - low) / (high - low) if high > low else 0.5
    return _replace(port, x=_inside((centre - share * size, centre + (1 - share) * size), whole))


def panned(port: Viewport, whole: Range, shown_y: Range, right: float, up: float) -> Viewport:
    """By shares of what is shown. Across, only what there is can be shown; up and down holds the limits still."""
    x, y = port.x, port.y
    if right and x is not None:
        by = right * (x[1] - x[0])
        x = _inside((x[0] + by, x[1] + by), whole)
    if up:
        by = up * (shown_y[1] - shown_y[0])
        y = (shown_y[0] + by, shown_y[1] + by)
    return _replace(port, x=x, y=y)


def revealed(port: Viewport, whole: Range, at: float) -> Viewport:
    """Moved just as far as it takes to show `at`."""
    if port.x is None or port.x[0] <= at <= port.x[1]:
        return port
    size = port.x[1] - port.x[0]
    low = at - size * 0.1 if at < port.x[0] else at - size * 0.9
    return _replace(port, x=_inside((low, low + size), whole))


def _inside(part: Range, whole: Range) -> Range:
    size = part[1] - part[0]
    low = max(whole[0], min(part[0], whole[1] - size))
    return low, low + size


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` + 1 round numbers in low…high: steps of 1, 2 or 5 times a power of ten."""
    if not high > low or most < 1:
        return []
    step = nice((high - low) / most)
    return [round(i * step, 10) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def nice(least: float) -> float:
    """The smallest step of 1, 2 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= least * (1 - 1e-9))


_TIMES = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400)  # seconds between two ticks


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """As `ticks`, in steps that people count time in."""
    if not high > low or most < 1:
        return []
    least = (high - low) / most
    step = next((each for each in _TIMES if each >= least), 86400 * math.ceil(least / 86400))
    return [float(i * step) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
