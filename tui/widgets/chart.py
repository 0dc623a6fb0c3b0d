"""The chart pane: val_bpb of everything tried, with a cursor, zoom and pan.

Keys: + − 0 zoom, arrows and h pan (unzoomed, left and right move the cursor), n N the next and previous experiment,
o the next GPU type, home end the first and last. The wheel zooms at the pointer, dragging pans. What is drawn stands in
`tui.widgets.drawing`.
"""

from __future__ import annotations

import time
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from core.ids import ExperimentId
from core.state import State
from tui import plot
from tui.descent import gain_of
from tui.glyphs import UNICODE, Glyphs
from tui.messages import Opened, Selected
from tui.moment import Moment
from tui.numbers import bpb, count, delta
from tui.paint import Line, line
from tui.pane import Pane
from tui.safe import line as safe_line
from tui.signs import sign
from tui.standing import leaning
from tui.widgets import drawing, frame, viewport
from tui.widgets.cursor import Ground, under_cursor
from tui.widgets.frame import Drawing
from tui.widgets.marks import Collector, Mark, Series
from tui.widgets.pieces import cut
from tui.widgets.viewport import Viewport

STEP = 0.2  # of what is shown, per key
IN, OUT = 0.6, 1 / 0.6
MANY = 1000  # marks from which a drawing is worth waiting for
EVERY_S = 0.5  # between two looks at many results
AFTER_S = 0.05  # a frame is out by then


class ChartPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "closer(1)", "Zoom in", show=False),
        Binding("minus,underscore", "closer(-1)", "Zoom out", show=False),
        Binding("0", "whole", "All", show=False),
        Binding("left,h", "pan(-1,0)", "Left", show=False),
        Binding("right", "pan(1,0)", "Right", show=False),
        Binding("up", "pan(0,1)", "Up", show=False),
        Binding("down,j", "pan(0,-1)", "Down", show=False),
        Binding("n", "step(1)", "Next experiment", show=False),
        Binding("N", "step(-1)", "Previous experiment", show=False),
        Binding("home", "edge(-1)", "First experiment", show=False),
        Binding("end", "edge(1)", "Last experiment", show=False),
        Binding("o", "gpu_type", "GPU type", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self.port = Viewport()
        self._collector = Collector()
        self._series = Series()
        self._ground: Ground | None = None
        self._ground_of: tuple[object, ...] = ()
        self._drawing: Drawing | None = None
        self._has_waited = plot.is_loaded()
        self._is_waiting = False  # for the next look at many results
        self._looked_at = 0.0
        self._dragged: tuple[int, int] | None = None
        self._has_moved = False  # since the button went down: what comes of it is no click

    # --- showing ---

    def heading(self, moment: Moment) -> str:
        types = self._series.types if not self.port.gpu_type else (self.port.gpu_type,)
        where = safe_line(" + ".join(types), 40)
        return f"val_bpb over {self.port.axis}{f' · {where}' if where else ''}"

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        series, glyphs = self._latest(moment.state), self.looks.glyphs
        if not self._has_waited and series.marks:
            self._has_waited = True
            self.call_after_refresh(self.redraw)  # what draws takes 0.1 s to load; the other panes are shown first
            return []
        key = (series, self.port, width, height, glyphs)
        if not _same(key, self._ground_of):
            self._ground, self._ground_of = drawing.ground(series, self.port, width, height, glyphs), key
        if self._ground is None:
            self._drawing = None
            return empty(moment.state, width, height)
        words = readout(moment.state, marked(series, self.port, moment.selected), moment.selected, width, glyphs)
        self._drawing = under_cursor(self._ground, series, self.port, glyphs, moment.selected, words)
        return list(self._drawing.lines)

    def _latest(self, state: State) -> Series:
        """Of many results, new ones are drawn twice a second at most, and never before what a key has changed."""
        if len(self._series.marks) < MANY or self._collector.knows(state):
            self._series = self._collector.of(state)
        elif not self._is_waiting:
            self._is_waiting = True
            self.set_timer(max(AFTER_S, self._looked_at + EVERY_S - time.monotonic()), self._look_again)
        return self._series

    def _look_again(self) -> None:
        self._is_waiting, self._looked_at = False, time.monotonic()
        self._series = self._collector.of(self.moment.state)
        self.show(self.moment)

    # --- moving ---

    def toggle_axis(self) -> None:
        self._look(viewport.other_axis(self.port))

    def action_closer(self, by: int) -> None:
        mark = marked(self._series, self.port, self.moment.selected)
        at = frame.position(mark, self.port) if mark else None
        self._look(viewport.zoomed(self.port, self._whole(), IN if by > 0 else OUT, at))

    def action_whole(self) -> None:
        self._look(Viewport(axis=self.port.axis, gpu_type=self.port.gpu_type))

    def action_pan(self, right: int, up: int) -> None:
        if right and self.port.x is None:
            self.action_step(right)
        elif self._drawing is not None:
            self._look(viewport.panned(self.port, self._whole(), self._drawing.y, right * STEP, up * STEP))

    def action_step(self, by: int) -> None:
        if (mark := drawing.neighbour(self._series, self.port, self.moment.selected, by)) is not None:
            self._go_to(mark)

    def action_edge(self, which: int) -> None:
        if marks := frame.chosen(self._series, self.port):
            self._go_to((max if which > 0 else min)(marks, key=lambda mark: frame.position(mark, self.port)))

    def action_gpu_type(self) -> None:
        self._look(viewport.next_type(self.port, self._series.types))

    def action_open(self) -> None:
        if self.moment.selected is not None:
            self.post_message(Opened(self.moment.selected))
        else:
            self.notify("No experiment is selected.", timeout=2, markup=False)

    def _go_to(self, mark: Mark) -> None:
        self.port = viewport.revealed(self.port, self._whole(), frame.position(mark, self.port))
        self.post_message(Selected(mark.experiment))
        self.redraw()

    def _look(self, port: Viewport) -> None:
        if port != self.port:
            self.port = port
            self.show(self.moment)

    def _whole(self) -> viewport.Range:
        return frame.whole(self._series, self.port)

    # --- the mouse ---

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, IN)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, OUT)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        event.stop()
        if self._drawing is not None:
            at = self._drawing.at(event.get_content_offset_capture(self).x)
            self._look(viewport.zoomed(self.port, self._whole(), factor, at))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._dragged, self._has_moved = (event.screen_x, event.screen_y), False
        self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._dragged = None
        self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged is None or self._drawing is None:
            return
        across, down = event.screen_x - self._dragged[0], event.screen_y - self._dragged[1]
        self._dragged = (event.screen_x, event.screen_y)
        self._has_moved = self._has_moved or bool(across or down)
        right, up = -across / self._drawing.width, down / self._drawing.height
        if self.port.x is not None:
            self._look(viewport.panned(self.port, self._whole(), self._drawing.y, right, up))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if self._drawing is None or offset is None or self._has_moved:
            return
        mark = drawing.nearest(self._series, self._drawing, self.port, offset.x, offset.y)
        if mark is not None and mark.experiment == self.moment.selected and event.chain > 1:
            self.action_open()
        elif mark is not None:
            self._go_to(mark)


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    """Big parts by identity, small ones by value."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(a is b or (not isinstance(a, Series) and a == b) for a, b in pairs)


def marked(series: Series, port: Viewport, selected: ExperimentId | None) -> Mark | None:
    """The mark of an experiment: of the GPU type in view, or the one with most results."""
    main = frame.main_type(series, port)
    found = [mark for mark in frame.marks_of(series, selected) if frame.is_chosen(mark, port)]
    return next((mark for mark in found if mark.gpu_type == main), next(iter(found), None))


def readout(
    state: State, mark: Mark | None, selected: ExperimentId | None, cells: int, glyphs: Glyphs = UNICODE
) -> Line:
    """What is under the cursor, in words: "▸ e42 ✓ kept 0.9812 −0.0021 on H100, 2 runs  its title".

    Value, difference and count are of all its runs on that GPU type, as in the lineage.
    """
    experiment = state.experiments.get(selected) if selected else None
    if experiment is None:
        return line(("n N: go from experiment to experiment", "muted"))
    found = sign(state, experiment, glyphs)
    head = [(f"{glyphs.cursor} ", "focus"), (experiment.id, "bold"), (f" {found.glyph} {found.word}", found.role)]
    if mark is None or mark.val_bpb is None:
        said = "no val_bpb" if experiment.status == "crashed" else "no result yet"
        return cut(line(*head, (f"  {said}  ", "muted"), (safe_line(experiment.title), "muted")), cells)
    gain = gain_of(state, experiment, mark.gpu_type)
    change = (f" {delta(gain.delta)}", leaning(gain.delta, gain.standard_error, gain.df)) if gain else ("", "")
    value, runs = (gain.after, gain.runs) if gain else (mark.val_bpb, mark.runs)  # marks may be half a second old
    where = f" on {safe_line(mark.gpu_type, 12)}, {count(runs, 'run')}  "
    return cut(
        line(
            *head, (f"  {bpb(value)}", "bold"), change,
            (where, "muted"), (safe_line(experiment.title), "muted"),
        ),
        cells,
    )  # fmt: skip


def empty(state: State, width: int, height: int) -> list[Line]:
    """Before the first result: one calm sentence in the middle."""
    if state.active:
        said = f"No result yet: {count(len(state.active), 'run')} on the way."
    else:
        said = "No result yet: the chart begins with the first run."
    if width < len(said):
        said = "No result yet."
    pad = max(0, (width - len(said)) // 2)
    return [()] * max(0, (height - 1) // 2) + [line((" " * pad + said, "muted"))]
