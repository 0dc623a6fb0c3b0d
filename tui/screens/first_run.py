"""The first run's screen: three ways to go on, what each does and costs, and then how far it is.

Work goes on in a thread that ends with the program, so that leaving never waits for a download.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, ClassVar, cast

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen

from core.errors import AutoresearchError
from tui.first_run import Choice, Survey, Way, carry_out, shown, ways
from tui.glyphs import Glyphs
from tui.looks import Looks, textual_theme
from tui.moment import Moment
from tui.numbers import duration
from tui.paint import EMPTY, Line, line
from tui.pane import Pane
from tui.preferences import Preferences
from tui.safe import fit, wrap
from tui.safe import line as safe
from tui.widgets.pieces import cut

WORD = 10  # cells for the word before a sentence
WIDEST = 100  # cells; longer lines are hard to read
TOLD = 6  # lines of progress that are kept


class Doing(Message):
    """From the thread: a line of progress, or how it ended."""

    def __init__(self, text: str = "", *, choice: Choice | None = None, error: str = "") -> None:
        super().__init__()
        self.text, self.choice, self.error = text, choice, error


class Ways(Pane):
    """The ways with the chosen one unfolded; while it works, what it does."""

    DEFAULT_CSS = "Ways { height: 1fr; padding: 1 2; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j,tab", "move(1)", "Down", show=False),
        Binding("up,k,shift+tab", "move(-1)", "Up", show=False),
    ]

    def __init__(self, known: Survey) -> None:
        super().__init__(id="ways")
        self.known, self.ways, self.at = known, ways(known), 0
        self.told: deque[str] = deque(maxlen=TOLD)
        self.since: float | None = None  # monotonic; it is at work
        self.error = ""

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        cells = min(width, WIDEST)
        lines = [*welcome(self.known, cells), *_listed(self.ways, self.at, cells, self.looks.glyphs)]
        if self.since is not None:
            lines += working(list(self.told), time.monotonic() - self.since, cells, self.looks.glyphs)
        elif self.error:
            lines += [line((text, "error bold")) for text in wrap(self.error, cells)]
        return lines

    def action_move(self, by: int) -> None:
        if self.since is None:
            self.at = (self.at + by) % len(self.ways)
            self.error = ""
            self.redraw()


def welcome(known: Survey, cells: int) -> list[Line]:
    said = f"{shown(known.folder)} is no workspace yet. A workspace is a git repository with a train.py to improve."
    why = known.why if known.present else ""
    motto = ("  autonomous research on a training script, under control", "muted")
    return [
        cut(line(("autoresearch-tui", "accent bold"), motto), cells),
        EMPTY,
        *(line((text, "")) for text in wrap(said, cells)),
        *(line((text, "warning")) for text in wrap(safe(why, 500), cells)),
        EMPTY,
    ]


def _listed(found: tuple[Way, ...], at: int, cells: int, glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    for place, way in enumerate(found):
        lines += _way(way, place, cells, glyphs, chosen=place == at)
    return lines


def _way(way: Way, place: int, cells: int, glyphs: Glyphs, *, chosen: bool) -> list[Line]:
    mark = f"{glyphs.cursor} {place + 1}  " if chosen else f"  {place + 1}  "
    lines = [line((mark, "key bold"), (fit(way.title, cells - len(mark)).rstrip(), "bold" if chosen else ""))]
    if chosen:
        for word, sentence in way.rows:
            texts = wrap(sentence, cells - WORD - 6)
            lines += [
                line((" " * 5, ""), (fit(word if not index else "", WORD) + " ", "muted"), (text, ""))
                for index, text in enumerate(texts)
            ]
        lines += [line((" " * 5, ""), (text, "warning")) for text in wrap(way.warning, cells - 5)]
    return [*lines, EMPTY]


def working(told: list[str], seconds: float, cells: int, glyphs: Glyphs) -> list[Line]:
    since = (f"{glyphs.alive} preparing for {duration(seconds)}", "accent bold")
    return [
        cut(line(since, ("   q leaves; what is made stays", "muted")), cells),
        *(line((fit(f"  {text}", cells), "muted")) for text in told),
    ]


class Hints(Pane):
    DEFAULT_CSS = "Hints { dock: bottom; height: 1; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        keys = (("enter", "start"), ("up/down", "choose"), ("q", "leave: nothing is changed"))
        return [line(" ", *(span for key, what in keys for span in ((key, "key bold"), (f" {what}   ", "muted"))))]


class FirstRun(Screen[Choice | None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "start", "Start"),
        Binding("q,escape,ctrl+c", "leave", "Leave"),
        Binding("1", "pick(0)", show=False),
        Binding("2", "pick(1)", show=False),
        Binding("3", "pick(2)", show=False),
    ]

    def __init__(self, known: Survey, flags: dict[str, Any]) -> None:
        super().__init__()
        self._known, self._flags = known, flags

    def compose(self) -> ComposeResult:
        yield Ways(self._known)
        yield Hints()

    @property
    def pane(self) -> Ways:
        return self.query_one(Ways)

    def on_mount(self) -> None:
        self.pane.focus()
        self.set_interval(1.0, self._tick, name="clock")

    def _tick(self) -> None:
        if self.pane.since is not None:
            self.pane.redraw()

    def action_pick(self, at: int) -> None:
        if self.pane.since is None:
            self.pane.at = at
            self.pane.redraw()

    def action_start(self) -> None:
        pane = self.pane
        if pane.since is not None:
            return
        pane.since, pane.error = time.monotonic(), ""
        pane.told.clear()
        pane.redraw()
        kind = pane.ways[pane.at].kind
        threading.Thread(target=self._work, args=(kind,), name="first run", daemon=True).start()

    def _work(self, kind: Any) -> None:
        try:
            choice = carry_out(kind, self._known, self._flags, lambda text: self._say(Doing(text)))
        except (AutoresearchError, OSError) as error:
            self._say(Doing(error=str(error)))
        else:
            self._say(Doing(choice=choice))

    def _say(self, message: Doing) -> None:
        self.post_message(message)  # safe from a thread

    def on_doing(self, message: Doing) -> None:
        pane = self.pane
        if message.choice is not None:
            self.dismiss(message.choice)
            return
        if message.error:
            pane.since, pane.error = None, safe(message.error, 500)
        else:
            pane.told.append(safe(message.text, 300))
        pane.redraw()

    def action_leave(self) -> None:
        self.dismiss(None)


class FirstRunApp(App[Choice]):
    """The screen on its own, before there is a session to show."""

    CSS = """
    Screen { background: $background; color: $foreground; }
    Hints { background: $panel; }
    """
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, known: Survey, flags: dict[str, Any], chosen: Preferences, **app: Any) -> None:
        super().__init__(**app)
        if chosen.reduced_motion:
            self.animation_level = "none"
        self._known, self._flags, self._all = known, flags, chosen.looks
        for each in chosen.looks.values():
            self.register_theme(textual_theme(each.theme))
        self.theme = chosen.theme

    @property
    def looks(self) -> Looks:
        return self._all[self.theme]

    def get_line_filters(self) -> list[LineFilter]:
        return [*super().get_line_filters(), *self.looks.line_filters()]

    def on_mount(self) -> None:
        self.push_screen(FirstRun(self._known, self._flags), self._done)

    def _done(self, choice: Choice | None) -> None:
        self.exit(cast("Choice", choice))
