"""The ticker: what just happened, newest last, and on the last line what the researcher is doing.

It follows what is new until the cursor goes up; down at the end it follows again. Enter opens the experiment that a
line is about. The sentences are those of `--no-ui`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType

from core import events as ev
from core import views
from core.ids import ExperimentId, RunId
from core.state import State
from core.telling import line as sentence
from tui import numbers
from tui.glyphs import Glyphs
from tui.messages import Opened, Selected
from tui.moment import Moment
from tui.paint import Line, line
from tui.pane import Pane
from tui.safe import fit
from tui.safe import line as safe
from tui.signs import named
from tui.widgets.pieces import cut
from tui.widgets.standing import doing

CLOCK = 9  # cells of the time
BEFORE = 36  # cells of the last line before what the researcher says itself
SHORTEST = 24  # cells of that


class Entry(NamedTuple):
    """A fact worth a line."""

    at: float
    word: str  # of a status, or "" for what is no experiment's
    text: str  # safe
    experiment: ExperimentId | None


class TickerPane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "walk(-1)", "Up", show=False),
        Binding("down,j", "walk(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(-1)", "First", show=False),
        Binding("end,G", "edge(1)", "Latest", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._told: dict[int, tuple[ev.Fact, Entry | None]] = {}  # by identity of the fact
        self._entries: list[Entry] = []
        self._cursor: Entry | None = None  # None: it follows what is new
        self._news: Sequence[ev.Fact] = ()

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        self._read(moment.news, moment.state)
        return ticker(moment, self._entries, width, height, self.looks.glyphs, self._at())

    def _read(self, news: Sequence[ev.Fact], state: State) -> None:
        """Every fact is put in words once, when it is new."""
        if news is self._news:
            return
        self._news, before = news, self._told
        self._told = {id(fact): before.get(id(fact)) or (fact, entry(fact, state)) for fact in news}
        self._entries = [told for _, told in self._told.values() if told is not None]

    def _at(self) -> int | None:
        """The line under the cursor; one that is forgotten lets go of it."""
        if self._cursor is None or self._cursor not in self._entries:
            self._cursor = None
            return None
        return self._entries.index(self._cursor)

    def action_walk(self, by: int) -> None:
        at, last = self._at(), len(self._entries) - 1
        if last < 0:
            return
        self._put(None if at is None and by > 0 else (last + 1 if at is None else at) + by)

    def action_page(self, by: int) -> None:
        self.action_walk(by * max(1, self.size.height - 2))

    def action_edge(self, which: int) -> None:
        self._put(0 if which < 0 else None)

    def action_open(self) -> None:
        if self._cursor is not None and self._cursor.experiment is not None:
            self.post_message(Opened(self._cursor.experiment))
        else:
            said = "This line is about no experiment." if self._cursor is not None else "Go up to a line first."
            self.notify(said, timeout=2, markup=False)

    def on_mouse_scroll_up(self) -> None:
        self.action_walk(-1)

    def on_mouse_scroll_down(self) -> None:
        self.action_walk(1)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or not 0 <= offset.y < self.size.height - 1:
            return
        begin = _begin(len(self._entries), self.size.height - 1, self._at())
        at = begin + offset.y
        if at >= len(self._entries):
            return
        if event.chain > 1 or self._entries[at] is self._cursor:  # the first click of two may have scrolled
            self.action_open()
        else:
            self._put(at)

    def _put(self, at: int | None) -> None:
        """The cursor on a line; past the last one it follows what is new."""
        follows = at is None or at >= len(self._entries)
        self._cursor = None if follows or at is None else self._entries[max(0, at)]
        self.redraw()
        if self._cursor is not None and self._cursor.experiment is not None:
            self.post_message(Selected(self._cursor.experiment))


def is_worth_a_line(fact: ev.Fact) -> bool:
    """Not what comes all the time: progress, and the words of a model, of which the last line tells the latest."""
    return not isinstance(fact, _COMMON) and not (isinstance(fact, ev.ModelCalled) and not fact.error)


_COMMON = (ev.RunProgressed, ev.ResearcherSaid, ev.Unknown)


def entry(fact: ev.Fact, state: State) -> Entry | None:
    """None for facts that say nothing here."""
    text = sentence(fact, state)
    return Entry(fact.at, word_of(fact), safe(text), about(fact, state)) if text else None


def word_of(fact: ev.Fact) -> str:
    """The status that a fact brings about, as in `tui.signs`; a word of `_SIGNS` for others; "" for none."""
    match fact:
        case ev.ExperimentJudged(verdict=verdict):
            return verdict
        case ev.ExperimentProposed():
            return "proposed"
        case ev.ExperimentRetested():
            return "retest"
        case ev.ExperimentVetoed():
            return "vetoed"
        case ev.DuplicateFound():
            return "duplicate"
        case ev.RunEnded(outcome="crashed" | "lost"):
            return "crashed"
        case ev.BaselineMoved():
            return "best"
        case ev.ExecutorLost() | ev.ResearchFailed() | ev.CommandRefused():
            return "warning"
        case ev.StandInAsked(stand_in=name) if name:
            return "warning"
        case ev.ToolUsed(error=error) | ev.ModelCalled(error=error) if error:
            return "warning"
        case ev.WavePlanned():
            return "wave"
        case ev.ResearchPaused() | ev.GateSet(on=True):
            return "held"
    return ""


def about(fact: ev.Fact, state: State) -> ExperimentId | None:
    """The experiment that a fact is about."""
    name: ExperimentId | None = getattr(fact, "experiment", None)
    run = state.runs.get(getattr(fact, "run", None) or RunId(""))
    found = name or (run.experiment if run is not None else None)
    return found if found in state.experiments else None


def ticker(
    moment: Moment, entries: Sequence[Entry], cells: int, height: int, glyphs: Glyphs, cursor: int | None = None
) -> list[Line]:
    room = max(0, height - 1)
    begin = _begin(len(entries), room, cursor)
    shown = entries[begin : begin + room]
    made = [_told(each, cells, glyphs, begin + y == cursor) for y, each in enumerate(shown)]
    if not made and room:
        made = [line((_nothing(moment), "muted"))]
    gap = [line()] * (room - len(made))
    return [*gap, *made, cut(_now(moment, glyphs, len(entries) - begin - len(shown), cells), cells)]


def _begin(count: int, room: int, cursor: int | None) -> int:
    """The first line in view: the end, or what has the cursor in the middle."""
    last = max(0, count - room)
    return last if cursor is None else max(0, min(last, cursor - room // 2))


def _told(told: Entry, cells: int, glyphs: Glyphs, under: bool) -> Line:
    glyph, role = _sign(told.word, glyphs)
    text = fit(told.text, max(0, cells - CLOCK - 2))
    on = " on cursor" if under else ""
    spans = ((f"{clock(told.at)} ", "muted"), (f"{glyph} ", role), (text, "muted" if told.word in _QUIET else ""))
    return tuple((text, f"{role}{on}".strip()) for text, role in cut(spans, cells))


_QUIET = ("", "proposed")


def _sign(word: str, glyphs: Glyphs) -> tuple[str, str]:
    if word == "best":
        return glyphs.best, "best bold"
    if word == "warning":
        return glyphs.warning, "warning bold"
    if word == "wave":
        return glyphs.cursor, "accent bold"
    if not word:
        return glyphs.bullet, "muted"
    sign = named(word, glyphs)
    return sign.glyph, f"{sign.role} bold"


def clock(at: float) -> str:
    """As on the wall here, "14:03:59"; dashes for what is no time."""
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):  # a recording may say anything
        return "--:--:--"


def _nothing(moment: Moment) -> str:
    if moment.mode == "loading":
        return "Reading the session…"
    return "Nothing new since this moment." if moment.state.seq else "Nothing has happened yet."


def _now(moment: Moment, glyphs: Glyphs, newer: int, cells: int) -> Line:
    """What the researcher is doing, and how much is below what is shown."""
    more = (f"  {glyphs.down} {newer:,} newer", "accent") if newer > 0 else ("", "")
    if moment.mode == "finished" or (moment.mode == "playback" and moment.state.engine is None):
        return line((f"{glyphs.kept} no engine runs: the session is at rest", "muted"), more)
    if moment.mode in ("loading", "starting", "down"):
        return line(("", ""), more)
    slots = _slots(moment)
    room = cells - len(slots) - len(more[0]) - BEFORE
    said, role = doing(moment, max(SHORTEST, room))
    return line((f"{glyphs.cursor} researcher: ", "muted"), (said, role), (slots, "muted"), more)


def _slots(moment: Moment) -> str:
    free = views.free(moment.state).total()
    asked = moment.state.asked
    if asked is not None:
        return f": {numbers.count(asked.slots, 'experiment')} asked for, {numbers.count(free, 'GPU')} free"
    return f", {numbers.count(free, 'GPU')} free" if free else ""
