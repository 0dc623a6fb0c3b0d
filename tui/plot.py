"""Points and lines as characters, drawn by plotext: a pure function around its one global figure.

Coordinates are cells, so that what is drawn where is decided by the caller; what comes back is lines of roles, so that
colours are the theme's. It knows no val_bpb, no axes and no widget.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

import msgspec

from tui.paint import Line

BRAILLE = "braille"  # a symbol of eight dots per cell, for curves
Mark = tuple[float, float, bool]  # where, and whether a line leads there from the one before
_PARTS = re.compile(r"\x1b\[([0-9;]*)m|([^\x1b]+)")
_CODE = re.compile(r"38;2;(\d+);(\d+);")


class Layer(msgspec.Struct, frozen=True):
    """Points of one look; later layers stand over earlier ones. Points outside the plot are left out.

    `points` are cells from the left and from the bottom, (0, 0) the lowest left one; fractions matter to BRAILLE only.
    """

    role: str
    symbol: str  # one character of one cell, or BRAILLE
    points: Sequence[tuple[float, float]]
    joined: bool = False  # by straight lines, in the order given


def is_loaded() -> bool:
    """Whether plotext is; the first plot loads it."""
    return "plotext" in sys.modules


def plot(layers: Iterable[Layer], width: int, height: int) -> list[Line]:
    """`height` lines of `width` cells, the top one first. At most one point per dot of the plot is drawn."""
    drawn = [layer for layer in layers if layer.points]
    if width < 2 or height < 2 or not drawn:
        return [((" " * max(0, width), ""),) for _ in range(max(0, height))]
    return _lines(_drawn(drawn, width, height), [layer.role for layer in drawn], width, height)


def _drawn(layers: Sequence[Layer], width: int, height: int) -> str:
    import plotext  # 0.1 s: only who looks at a chart waits for it

    plotext.terminal.limit(False, False)  # it would clamp to the process's terminal, which may be none
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.canvas("default")
    figure.axes(False)
    for axis, most in ((0, width - 1), (1, height - 1)):
        figure.ruler(axis).ticks([], [])
        figure.ruler(axis).lim(0, most)
    for number, layer in enumerate(layers):
        xs, ys, joins = zip(*_thinned(layer), strict=True)
        signal = figure.signal(xs, ys, marker=plotext.marker(layer.symbol, (number // 256, number % 256, 0)))
        for index in (index for index, is_joined in enumerate(joins) if is_joined):
            signal.line(index)
        figure.draw(signal)
    return str(figure.build().string())


def _thinned(layer: Layer) -> list[Mark]:
    """One point per cell, and of neighbours only both ends: plotext takes 10 µs for each point, seen or not."""
    if layer.joined or layer.symbol == BRAILLE:
        return [(x, y, layer.joined and index > 0) for index, (x, y) in enumerate(layer.points)]
    return _runs(sorted({(round(y), round(x)) for x, y in layer.points}))


def _runs(cells: Sequence[tuple[int, int]]) -> list[Mark]:
    """Both ends of what stands side by side; `cells` are (y, x) in order."""
    found: list[Mark] = []
    before = (-1, -1)
    for y, x in cells:
        if before == (y, x - 1):
            if found[-1][2]:
                found.pop()
            found.append((x, y, True))
        else:
            found.append((x, y, False))
        before = (y, x)
    return found


def _lines(text: str, roles: Sequence[str], width: int, height: int) -> list[Line]:
    """The colours of the text, which number the layers, as roles."""
    found: list[Line] = []
    for row in text.split("\n")[:height]:
        spans, role = [], ""
        for code, part in _PARTS.findall(row):
            if part:
                spans.append((part, role))
            else:
                number = _CODE.match(code)
                role = roles[int(number[1]) * 256 + int(number[2])] if number else ""
        found.append(tuple(spans))
    return found + [((" " * width, ""),)] * (height - len(found))
