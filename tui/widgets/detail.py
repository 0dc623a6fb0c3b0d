"""The detail pane: everything about the selected experiment, in five tabs.

Keys: left and right (or h) another tab, up, down (or j) and page keys scroll; a click on a tab opens it. Each tab is
pure lines made elsewhere; this keeps which is shown, how far it is scrolled, and reads logs off the loop.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from core import views
from core.errors import PatchError
from core.ids import ExperimentId, RunId
from core.state import Experiment, Run, State
from tui.glyphs import Glyphs
from tui.moment import Moment
from tui.paint import Line, Span, line, plain, width
from tui.pane import Pane
from tui.remembered import Remembered
from tui.safe import line as safe
from tui.safe import wrap
from tui.signs import sign
from tui.widgets import logtail
from tui.widgets.analyst import WORKING, Analyst
from tui.widgets.curve import curve_lines
from tui.widgets.diff import diff_lines
from tui.widgets.effect_lines import effect_lines
from tui.widgets.why import why_lines

TABS = ("diff", "curve", "log", "effects", "why")
MOST = 400  # lines of a change; the diff screen has all
KEPT_COLOURED = 8  # fewer than the colouring keeps
READ_EVERY_S = 1.0  # of a log that is in view


class DetailPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "turn(1)", "Next tab", show=False),
        Binding("left,h", "turn(-1)", "Previous tab", show=False),
        Binding("down,j", "scroll_lines(1)", "Down", show=False),
        Binding("up", "scroll_lines(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "scroll_pages(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "scroll_pages(-1)", "Page up", show=False),
        Binding("home,g", "scroll_lines(-1000000)", "First", show=False),
        Binding("end,G", "scroll_lines(1000000)", "Last", show=False),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self.tab = TABS[0]
        self._top = 0
        self._follows = True  # the log's end
        self._all: list[Line] = []
        self._kept: Remembered[list[Line]] = Remembered()
        self._analyst = Analyst(self, self.redraw)
        self._coloured: set[ExperimentId] = set()  # parents whose train.py was coloured
        self._colouring: ExperimentId | None = None
        self._log: tuple[RunId, str] | None = None
        self._shown: tuple[object, ...] = ()

    def on_mount(self) -> None:
        self.set_interval(READ_EVERY_S, self._read_again, name="log tail")

    # --- showing ---

    def heading(self, moment: Moment) -> str:
        experiment = moment.experiment
        if experiment is None:
            return "Detail"
        found = sign(moment.state, experiment, self.looks.glyphs)
        return f"{experiment.id} {found.glyph} {found.word} · {safe(experiment.title, 60)}"

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        shown = (moment.selected, self.tab, moment.wave if self.tab == "effects" else None)
        if shown != self._shown:
            self._shown, self._top, self._follows = shown, 0, True
            self._read_now()
        self._all = self._made(moment, width, max(1, height - 1))
        most = max(0, len(self._all) - (height - 1))
        self._top = most if self.tab == "log" and self._follows else max(0, min(self._top, most))
        return [self._bar(width, height - 1), *self._all[self._top : self._top + height - 1]]

    def _bar(self, cells: int, room: int) -> Line:
        spans = tab_bar(self.tab, cells)
        if len(self._all) <= room:
            return spans
        where = f"{self._top + 1}–{min(self._top + room, len(self._all))} of {len(self._all)}"
        gap = cells - width(spans) - len(where)
        return (*spans, (" " * gap, ""), (where, "muted")) if gap > 0 else spans

    def _made(self, moment: Moment, width: int, height: int) -> list[Line]:
        if self.tab == "effects":
            return self._effects(moment, width)
        experiment = moment.experiment
        if experiment is None:
            return calm("Nothing is selected: choose an experiment in the wave or the chart.", width)
        match self.tab:
            case "diff":
                return self._diff(moment, experiment, width)
            case "curve":
                return self._curve(moment, experiment, width, height)
            case "log":
                return self._tail(moment, experiment, width)
            case _:
                return self._why(moment, experiment, width)

    def _diff(self, moment: Moment, experiment: Experiment, width: int) -> list[Line]:
        """At once where its parent was coloured before (4 ms); else off the loop (80 ms for 460 lines)."""
        glyphs, state = self.looks.glyphs, moment.state
        if experiment.parent is not None and experiment.parent not in self._coloured:
            self._colour(state, experiment)
            return calm(f"Comparing with {experiment.parent}.", width)
        parts = ("diff", experiment.id, experiment.change, experiment.parent, width, glyphs)
        return self._kept.get(parts, lambda: change_lines(state, experiment, width, glyphs))

    def _colour(self, state: State, experiment: Experiment) -> None:
        if self._colouring != experiment.id:
            self._colouring = experiment.id
            self.run_worker(self._coloured_by(state, experiment), name="diff", group="diff")

    async def _coloured_by(self, state: State, experiment: Experiment) -> None:
        """What is made here is kept by the functions that make it, so that the next time is quick."""
        await asyncio.to_thread(change_lines, state, experiment, 80, self.looks.glyphs)
        if len(self._coloured) >= KEPT_COLOURED:
            self._coloured.clear()
        if experiment.parent is not None:
            self._coloured.add(experiment.parent)
        self._colouring = None
        self.redraw()

    def _curve(self, moment: Moment, experiment: Experiment, width: int, height: int) -> list[Line]:
        glyphs, state, run = self.looks.glyphs, moment.state, moment.run
        own = (state.runs.get(run), state.curves.get(run)) if run else ()
        parts = ("curve", experiment, *own, state.baseline, width, height, glyphs)
        return self._kept.get(parts, lambda: curve_lines(state, experiment, run, width, height, glyphs))

    def _effects(self, moment: Moment, width: int) -> list[Line]:
        glyphs, state, wave = self.looks.glyphs, moment.state, moment.wave_shown
        found, is_known = self._analyst.of(moment)
        if not is_known:
            return list(WORKING)
        parts = ("effects", wave, found, width, glyphs)
        return self._kept.get(parts, lambda: effect_lines(state, moment.wave, found, width, glyphs))

    def _why(self, moment: Moment, experiment: Experiment, width: int) -> list[Line]:
        glyphs, state = self.looks.glyphs, moment.state
        progress = tuple(state.progress.get(run) for run in experiment.runs if run in state.active)
        said = next(reversed(moment.news), None)
        parts = ("why", experiment, *progress, state.baseline, state.deeds, state.waves, said, width, glyphs)
        return self._kept.get(parts, lambda: why_lines(moment, experiment, width, glyphs))

    def _tail(self, moment: Moment, experiment: Experiment, width: int) -> list[Line]:
        run = moment.state.runs.get(moment.run) if moment.run else None
        if run is None:
            return calm(f"{experiment.id} has not run yet.", width)
        text = self._log_of(run)
        if not text:
            return calm(logtail.without_log(moment.state, run), width)
        return self._kept.get(("log", run.id, text, width), lambda: logtail.log_lines(text, width))

    # --- the log of a run on this machine ---

    def _log_of(self, run: Run) -> str:
        """As read from its file, else as recorded."""
        read = self._log[1] if self._log is not None and self._log[0] == run.id else ""
        return read or (run.result.tail if run.result is not None else "")

    def _read_again(self) -> None:
        if self.tab == "log" and self.display and self.moment.run in self.moment.state.active:
            self._read_now()

    def _read_now(self) -> None:
        run = self.moment.run
        if self.tab == "log" and run is not None and (path := logtail.log_file(self._file, run)) is not None:
            self.run_worker(self._read(run, path), name="log tail", group="log tail", exclusive=True)

    async def _read(self, run: RunId, path: Path) -> None:
        text = await asyncio.to_thread(logtail.read_end, path)
        if text is not None and (run, text) != self._log:
            self._log = (run, text)
            self.redraw()

    @property
    def _file(self) -> Path | None:
        found: Path | None = self.app.file  # type: ignore[attr-defined]
        return found

    def copied(self) -> str:
        """The open tab, all of it; a log as it is."""
        run = self.moment.state.runs.get(self.moment.run) if self.moment.run else None
        log = logtail.copied(self._log_of(run)) if self.tab == "log" and run is not None else ""
        return log or "\n".join(plain(each).rstrip() for each in self._all)

    # --- moving ---

    def turn(self, by: int) -> None:
        """To another tab; beyond the last comes the first."""
        self._open(TABS[(TABS.index(self.tab) + by) % len(TABS)])

    def action_turn(self, by: int) -> None:
        self.turn(by)

    def _open(self, tab: str) -> None:
        self.tab = tab
        self.redraw()

    def action_scroll_lines(self, by: int) -> None:
        room = max(1, self.size.height - 1)
        most = max(0, len(self._all) - room)
        self._top = max(0, min(self._top + by, most))
        self._follows = self._top == most
        self.redraw()

    def action_scroll_pages(self, by: int) -> None:
        self.action_scroll_lines(by * max(1, self.size.height - 2))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_scroll_lines(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_scroll_lines(-3)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y == 0 and (tab := tab_at(offset.x)) is not None:
            self._open(tab)


# --- pure -------------------------------------------------------------------------------------------------------------


def calm(sentence: str, width: int, role: str = "muted") -> list[Line]:
    return [((part, role),) for part in wrap(sentence, width)]


def tab_bar(tab: str, cells: int) -> Line:
    """The names of the tabs; where there is no room for all, the open one between arrows."""
    spans: list[Span] = []
    for name in TABS:
        spans += [(name, "accent bold underline" if name == tab else "muted"), ("  ", "")]
    return tuple(spans) if width(spans) - 2 <= cells else line(("< ", "muted"), (tab, "accent bold"), (" >", "muted"))


def tab_at(column: int) -> str | None:
    left = 0
    for name in TABS:
        if left <= column < left + len(name):
            return name
        left += len(name) + 2
    return None


def change_lines(state: State, experiment: Experiment, width: int, glyphs: Glyphs) -> list[Line]:
    """The change against its parent."""
    if experiment.parent is None:
        return calm("The train.py as it was found: everything starts from it.", width)
    try:
        before, after = views.source_of(state, experiment.parent), views.source_of(state, experiment.id)
    except (KeyError, PatchError) as error:
        return calm(f"The change cannot be shown: {error}", width, "warning")
    return diff_lines(before, after, width, 1, glyphs=glyphs, most=MOST)
