"""The val_bpb chart as lines: marks by verdict, the best so far as a staircase over its noise, scales and a legend.

Pure: a function of a series, a viewport and a size. It also says where everything stands, so that a pointer finds the
experiment under it. It knows no widget.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from core.ids import ExperimentId
from tui.chart import limits
from tui.glyphs import UNICODE, Glyphs
from tui.paint import EMPTY, Line, line
from tui.plot import Layer, plot
from tui.signs import point
from tui.widgets import margins, phases
from tui.widgets.cursor import Ground, under_cursor
from tui.widgets.frame import Drawing, Groups, chosen, grouped, in_view, main_type, position, whole
from tui.widgets.margins import SIGMAS, scale
from tui.widgets.marks import Mark, Series, Step
from tui.widgets.viewport import Range, Viewport

FAR = 4.0  # times what the median is above the lowest: further above the median is out of the picture
NAMED = 10  # rows from which phases have their names
FEWEST_FOR_WAVES = 8  # columns between two lines of waves, or they are left out
# from below to above where marks share a cell
ORDER = ("discarded", "duplicate", "merged", "vetoed", "crashed", "retest", "kept")


# --- what is in view --------------------------------------------------------------------------------------------------


def heights(marks: Sequence[Mark], steps: Sequence[Step], port: Viewport, across: Range) -> Range:
    """Limits of val_bpb: all but the worst of what is in view, and the best so far."""
    if port.y is not None:
        return port.y
    shown = [step.val_bpb for step in steps if step.number <= across[1]] if port.axis == "experiments" else []
    values = [mark.val_bpb for mark in marks if mark.val_bpb is not None]
    if not values and not shown:
        return 0.0, 1.0
    low, high = limits(_sane(values or shown))
    stairs = [step.val_bpb for step in _steps_in(steps, port, across)]
    return min([low, *stairs]), max([high, *(value + (high - low) * 0.06 for value in stairs)])


def _sane(values: Sequence[float]) -> list[float]:
    """Without those that are very far above the others: few results must not be squeezed by one disaster either."""
    ordered = sorted(values)
    low, middle = ordered[0], ordered[len(ordered) // 2]
    return [value for value in ordered if middle == low or value <= middle + FAR * (middle - low)]


def _steps_in(steps: Sequence[Step], port: Viewport, across: Range) -> list[Step]:
    """Those that held somewhere in view."""
    after = [position(step, port) for step in steps[1:]] + [float("inf")]
    pairs = zip(steps, after, strict=True) if steps else ()
    return [step for step, end in pairs if position(step, port) <= across[1] and end >= across[0]]


# --- drawing ----------------------------------------------------------------------------------------------------------


def drawn(
    series: Series,
    port: Viewport,
    cells: int,
    rows: int,
    *,
    glyphs: Glyphs = UNICODE,
    selected: ExperimentId | None = None,
    readout: Line = (),
) -> Drawing | None:
    """None where there is nothing to draw, or no room. `readout` is the lowest line where there is room for it."""
    below = ground(series, port, cells, rows, glyphs)
    return under_cursor(below, series, port, glyphs, selected, readout) if below is not None else None


def ground(series: Series, port: Viewport, cells: int, rows: int, glyphs: Glyphs = UNICODE) -> Ground | None:
    """All but the cursor: 20 ms at 10,000 results."""
    marks = chosen(series, port)
    if not marks or cells < 16 or rows < 3:
        return None
    across = port.x or whole(series, port)
    shown = in_view(marks, port)
    groups = grouped(shown)
    steps = series.steps.get(main_type(series, port), ())
    up = heights(shown, steps, port, across)
    legend, below = rows >= 7, rows >= 5
    height = rows - legend - below - 1
    floor = int(any(group[0].val_bpb is None for group in groups.values()) and height > 3)
    labels = scale(up, height, floor)
    left = max(map(len, labels.values()), default=4) + 2
    frame = Drawing((), left, int(legend), cells - left, height, floor, across, up)
    if named := phases.names(frame, series, port, glyphs) if rows >= NAMED else EMPTY:
        frame = msgspec.structs.replace(frame, top=frame.top + 1, height=height - 1)
        labels = scale(up, height - 1, floor)
    body = _body(frame, series, port, groups, labels, glyphs)
    head = (margins.legend(series, groups, port, cells, glyphs),) if legend else ()
    head = (*head, named) if named else head
    return Ground(frame, head, tuple(body), has_readout=below)


def _body(
    frame: Drawing, series: Series, port: Viewport, groups: Groups, labels: dict[int, str], glyphs: Glyphs
) -> list[Line]:
    begins = phases.lines(frame, series, port, glyphs)
    noise, *steps = stairs(frame, port, series.steps.get(main_type(series, port), ()), glyphs)
    layers = [
        *([] if begins else _waves(frame, series, port, glyphs)),
        *(noise, *begins, *steps),
        *_marks(frame, series, port, groups, glyphs),
    ]
    rows = plot(layers, frame.width, frame.height)
    room = frame.left - 2
    found = []
    for y, row in enumerate(rows):
        label = labels.get(frame.height - 1 - y, "")
        found.append((*line((f"{label:>{room}} ", "muted"), (glyphs.vertical, "border")), *row))
    return found


def _marks(frame: Drawing, series: Series, port: Viewport, groups: Groups, glyphs: Glyphs) -> list[Layer]:
    """Layers by verdict; results on other GPU types are small, what is too high points up."""
    main = main_type(series, port)
    layers: list[tuple[int, Layer]] = []
    for (_, gpu_type), marks in groups.items():
        status, is_main = marks[0].drawn, gpu_type in (main, "")
        rank = (ORDER.index(status) if status in ORDER else 0) + (len(ORDER) if is_main else 0)
        seen, above = frame.cells(marks, port)
        sign = point(status, glyphs)
        layers.append((rank, Layer(sign.role, sign.glyph if is_main else glyphs.dot, list(seen))))
        layers.append((rank, Layer(sign.role, glyphs.up, list(above))))
    return [layer for _, layer in sorted(layers, key=lambda item: item[0])]


# --- the best so far --------------------------------------------------------------------------------------------------


def stairs(frame: Drawing, port: Viewport, steps: Sequence[Step], glyphs: Glyphs) -> list[Layer]:
    """The noise around every baseline as an area, and the baselines as a line with corners."""
    flats = list(_flats(frame, port, steps))
    area = [(float(x), float(y)) for step, first, end in flats for x, y in _area(frame, step, first, end)]
    level, upright = [], []
    corners: dict[str, list[tuple[float, float]]] = {}
    for i, (step, first, end) in enumerate(flats):
        y = round(frame.row(step.val_bpb))
        level += [(float(x), float(y)) for x in range(first, end + 1)]
        if i + 1 == len(flats):
            continue
        y2 = round(frame.row(flats[i + 1][0].val_bpb))
        if y2 == y:
            continue
        turns = (glyphs.top_right, glyphs.bottom_left) if y2 < y else (glyphs.bottom_right, glyphs.top_left)
        for turn, height in zip(turns, (y, y2), strict=True):
            corners.setdefault(turn, []).append((float(end), float(height)))
        upright += [(float(end), float(each)) for each in range(min(y, y2) + 1, max(y, y2))]
    return [
        Layer("noise", glyphs.shade, area),
        Layer("staircase", glyphs.horizontal, level),
        Layer("staircase", glyphs.vertical, upright),
        *(Layer("staircase", turn, points) for turn, points in corners.items()),
    ]


def _flats(frame: Drawing, port: Viewport, steps: Sequence[Step]) -> Iterable[tuple[Step, int, int]]:
    """Each baseline with the first and last column on which it held; the last one of a column counts."""
    starts = [frame.column(position(step, port)) for step in steps]
    ends = [*starts[1:], float(frame.width - 1)] if starts else []
    for step, start, end in zip(steps, starts, ends, strict=True):
        first, last = max(0, round(start)), min(frame.width - 1, round(end))
        if last > first or (step is steps[-1] and last == first):
            yield step, first, last


def _area(frame: Drawing, step: Step, first: int, end: int) -> Iterable[tuple[int, int]]:
    middle, edge = frame.row(step.val_bpb), frame.row(step.val_bpb + SIGMAS * step.sd)
    reach = round(edge - middle) if edge < frame.height - 1 else frame.height
    rows = range(max(frame.floor, round(middle) - reach), min(frame.height - 1, round(middle) + reach) + 1)
    return ((x, y) for y in rows for x in range(first, end + 1))


def _waves(frame: Drawing, series: Series, port: Viewport, glyphs: Glyphs) -> list[Layer]:
    """A thin line where a wave begins, as long as there is room between them."""
    if port.axis != "experiments":
        return []
    inside = [number for number in series.starts if frame.x[0] < number <= frame.x[1]]
    places = sorted({round(frame.column(number - 0.5)) for number in inside})
    if not places or frame.width / (len(places) + 1) < FEWEST_FOR_WAVES:
        return []
    points = [(float(x), float(y)) for x in places if x >= 0 for y in range(frame.floor, frame.height)]
    return [Layer("border", glyphs.vertical, points)]


# --- finding ----------------------------------------------------------------------------------------------------------


def nearest(series: Series, frame: Drawing, port: Viewport, column: int, row: int) -> Mark | None:
    """The mark closest to a cell of the pane; rows count double, because cells are twice as high as wide."""
    x, y = column - frame.left, frame.height - 1 - (row - frame.top)
    marks = in_view(chosen(series, port), port)

    def distance(mark: Mark) -> float:
        return abs(frame.column(position(mark, port)) - x) + 2 * abs(frame.row(mark.val_bpb) - y)

    found = min(marks, key=distance, default=None)
    return found if found is not None and distance(found) <= 4 else None


def neighbour(series: Series, port: Viewport, selected: ExperimentId | None, by: int) -> Mark | None:
    """The mark after or before that of the selected experiment along the axis."""
    order: dict[ExperimentId, Mark] = {}
    for mark in sorted(chosen(series, port), key=lambda mark: (position(mark, port), mark.number)):
        order.setdefault(mark.experiment, mark)
    names = list(order)
    if not names:
        return None
    at = names.index(selected) + by if selected in order else (0 if by > 0 else len(names) - 1)
    return order[names[max(0, min(at, len(names) - 1))]]
