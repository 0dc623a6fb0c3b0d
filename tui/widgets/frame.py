"""Where everything of the chart stands: what is in view, and which cell a result belongs to. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice, takewhile

import msgspec

from core.ids import ExperimentId
from tui.paint import Line
from tui.widgets.marks import Mark, Series, Step, number_of
from tui.widgets.viewport import Range, Viewport

Cells = dict[tuple[float, float], None]  # an ordered set
Groups = dict[tuple[str, str], list[Mark]]


class Drawing(msgspec.Struct, frozen=True):
    """`left`, `top`: cells before the plot, which has `width` × `height`; `floor`: its lowest rows, for crashes."""

    lines: tuple[Line, ...]
    left: int
    top: int
    width: int
    height: int
    floor: int
    x: Range
    y: Range

    def column(self, at: float) -> float:
        return (at - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - 1)

    def row(self, val_bpb: float | None) -> float:
        """From the bottom; a crash is on the floor, what is out of sight above is in the top row."""
        if val_bpb is None:
            return 0.0
        share = (val_bpb - self.y[0]) / (self.y[1] - self.y[0])
        return self.floor + min(1.0, share) * (self.height - 1 - self.floor)

    def cells(self, marks: Iterable[Mark], port: Viewport) -> tuple[Cells, Cells]:
        """The cells of those in sight, and of those above it, each once. What is below is left out."""
        (left, right), (low, high) = self.x, self.y
        across, up = (self.width - 1) / (right - left), (self.height - 1 - self.floor) / (high - low)
        by_number, base, top = port.axis == "experiments", self.floor, self.height - 1
        seen: Cells = {}
        above: Cells = {}
        for mark in marks:
            x = round(((mark.number if by_number else mark.at) - left) * across)
            value = mark.val_bpb
            if value is None:
                seen[x, 0] = None
            elif value > high:
                above[x, top] = None
            elif value >= low:
                seen[x, round(base + (value - low) * up)] = None
        return seen, above

    def at(self, column: int) -> float:
        """The position on the axis under a column of the pane."""
        share = (column - self.left) / max(1, self.width - 1)
        return self.x[0] + min(1.0, max(0.0, share)) * (self.x[1] - self.x[0])


def position(of: Mark | Step, port: Viewport) -> float:
    return float(of.number) if port.axis == "experiments" else of.at


def whole(series: Series, port: Viewport) -> Range:
    """All that there is on the axis."""
    last = float(series.marks[-1].number) if series.marks else 0.0
    return 0.0, max(last if port.axis == "experiments" else series.until, 1.0)


def chosen(series: Series, port: Viewport) -> list[Mark]:
    """Marks of the GPU type; crashes are of all."""
    if not port.gpu_type:
        return list(series.marks)
    return [mark for mark in series.marks if is_chosen(mark, port)]


def is_chosen(mark: Mark, port: Viewport) -> bool:
    return not port.gpu_type or mark.gpu_type in (port.gpu_type, "")


def marks_of(series: Series, name: ExperimentId | None) -> list[Mark]:
    """Those of one experiment, found by its number: a look at all takes longer than a key may."""
    if name is None:
        return []
    number = number_of(name)
    first = bisect_left(series.marks, number, key=lambda mark: mark.number)
    near = takewhile(lambda mark: mark.number == number, islice(series.marks, first, None))
    return [mark for mark in near if mark.experiment == name]


def in_view(marks: Iterable[Mark], port: Viewport) -> list[Mark]:
    if port.x is None:
        return list(marks)
    low, high = port.x
    return [mark for mark in marks if low <= position(mark, port) <= high]


def grouped(marks: Iterable[Mark]) -> Groups:
    """By status and GPU type: what looks the same is drawn in one go."""
    found: Groups = {}
    for mark in marks:
        key = (mark.status, mark.gpu_type)
        if key in found:
            found[key].append(mark)
        else:
            found[key] = [mark]
    return found


def main_type(series: Series, port: Viewport) -> str:
    return port.gpu_type or next(iter(series.types), "")
