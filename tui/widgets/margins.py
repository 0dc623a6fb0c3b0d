"""What stands around a chart: the legend above, val_bpb at the left, experiments or time below. Pure."""

from __future__ import annotations

from core.ids import ExperimentId
from tui.glyphs import Glyphs
from tui.paint import Line, Span, fill, line, width
from tui.safe import fit
from tui.signs import point
from tui.widgets.frame import Drawing, Groups, marks_of, position
from tui.widgets.marks import Series
from tui.widgets.pieces import cut
from tui.widgets.viewport import Range, Viewport, nice, ticks, time_ticks

SIGMAS = 2.0  # of one run, around the best so far: what lies inside may be luck
LEGEND = ("kept", "discarded", "crashed", "retest", "vetoed", "duplicate", "merged")
WORDS = {"retest": "open"}


def scale(up: Range, height: int, floor: int) -> dict[int, str]:
    """Labels by row from the bottom."""
    values = ticks(*up, max(2, (height - floor) // 2))
    step = nice((up[1] - up[0]) / max(2, (height - floor) // 2)) if up[1] > up[0] else 1.0
    digits = min(6, max(0, next((d for d in range(7) if abs(round(step, d) - step) < step / 100), 6)))
    size = height - 1 - floor
    found = {floor + round((v - up[0]) / (up[1] - up[0]) * size): f"{v:.{digits}f}" for v in values}
    return {**found, 0: "crash"} if floor else found


def legend(series: Series, groups: Groups, port: Viewport, cells: int, glyphs: Glyphs) -> Line:
    """As much of it as there is room for: counts go first, then what the eye finds out by itself."""
    names: dict[str, set[ExperimentId]] = {}
    for group in groups.values():
        names.setdefault(group[0].drawn, set()).update(mark.experiment for mark in group)
    counts = {status: len(each) for status, each in names.items()}
    zoom: Line = () if port.is_whole else line(("zoomed", "accent"), ("  0 all", "muted"))
    room = cells - width(zoom) - 2 * bool(zoom)
    steps = line((glyphs.horizontal, "staircase"), (" best so far  ", "muted"))
    band = line((glyphs.shade, "noise"), (f" noise {glyphs.plus_minus}{SIGMAS:g} sd  ", "muted"))
    full, short = (_words(counts, glyphs, counted=counted) for counted in (True, False))
    others = _others(series, port, glyphs)
    forms = (
        (*full, *others, *steps, *band),
        (*full, *steps),
        (*short, *others, *steps, *band),
        (*short, *steps),
        short,
    )
    for spans in map(_trimmed, forms):
        if width(spans) <= room:
            return fill(spans, cells, zoom) if zoom else spans
    return cut(short, cells)


def _trimmed(spans: Line) -> Line:
    """Without the gap after the last word."""
    return (*spans[:-1], (spans[-1][0].rstrip(), spans[-1][1])) if spans else spans


def _words(counts: dict[str, int], glyphs: Glyphs, *, counted: bool) -> Line:
    spans: list[Span] = []
    for status in (each for each in LEGEND if each in counts):
        number = f" {counts[status]}" if counted else ""
        sign = point(status, glyphs)
        spans += [(sign.glyph, sign.role), (f" {WORDS.get(status, status)}{number}  ", "muted")]
    return tuple(spans)


def _others(series: Series, port: Viewport, glyphs: Glyphs) -> Line:
    if port.gpu_type or len(series.types) < 2:
        return ()
    name = series.types[1] if len(series.types) == 2 else "other types"
    return line((glyphs.dot, "discarded"), (f" {fit(name, min(12, len(name)))}  ", "muted"))


def across(frame: Drawing, port: Viewport, series: Series, selected: ExperimentId | None, glyphs: Glyphs) -> Line:
    """Labels under the plot; the cursor's column is pointed at."""
    mark = next(iter(marks_of(series, selected)), None)
    cursor = round(frame.column(position(mark, port))) if mark is not None else -1
    row = [" "] * frame.width
    free = 0
    for value, label in _labels(frame, port):
        start = max(0, min(round(frame.column(value)) - len(label) // 2, frame.width - len(label)))
        end = start + len(label)
        if start >= free and not start - 1 <= cursor <= end:
            row[start:end] = label
            free = end + 2
    text, room = "".join(row), " " * frame.left
    if not 0 <= cursor < frame.width:
        return line(room, (text, "muted"))
    return line(room, (text[:cursor], "muted"), (glyphs.up, "focus bold"), (text[cursor + 1 :], "muted"))


def _labels(frame: Drawing, port: Viewport) -> list[tuple[float, str]]:
    if port.axis == "time":
        return [(value, _hours(value)) for value in time_ticks(*frame.x, max(1, frame.width // 12))]
    values = ticks(*frame.x, max(1, frame.width // 8))
    return [(value, f"e{value:.0f}") for value in values if value == int(value)]


def _hours(seconds: float) -> str:
    """ "0", "30s", "20m", "1h30"."""
    minutes = round(seconds) // 60
    if seconds < 60 or round(seconds) % 60:
        return f"{minutes}m{round(seconds) % 60:02d}" if minutes else f"{seconds:.0f}{'s' * (seconds > 0)}"
    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h" + (f"{minutes % 60:02d}" if minutes % 60 else "")
