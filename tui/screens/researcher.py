"""The researcher screen: the transcript, newest last, under what it is doing now and what it has cost."""

from __future__ import annotations

from operator import is_not
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from tui import conversation
from tui.moment import Moment
from tui.paint import Line, line
from tui.pane import Pane
from tui.screens.room import Room
from tui.widgets.pieces import cut
from tui.widgets.reader import Reader

GAP = "   "


class Now(Pane):
    """What it is doing, and what it has done and cost."""

    DEFAULT_CSS = "Now { height: 2; }"
    FOCUSABLE = False

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return [cut(each, width) for each in (conversation.now_line(moment, self.looks.glyphs), summary(moment, width))]


def summary(moment: Moment, cells: int) -> Line:
    """As much as there is room for; what it costs is last to go."""
    parts = conversation.summary(moment)
    while len(parts) > 1 and len(GAP.join(parts)) > cells:
        parts = parts[1:]
    return line((GAP.join(parts), "muted"))


class Transcript(Reader):
    FROM_END: ClassVar[bool] = True

    def __init__(self, id: str) -> None:  # noqa: A002
        super().__init__(id=id, classes="transcript")
        self._for: tuple[object, ...] = ()
        self._made: list[Line] = []
        self._made_for = 0

    def text(self, moment: Moment, width: int) -> list[Line]:
        state, memory = moment.state, self.app.memory  # type: ignore[attr-defined]
        key = (
            *(state.waves, state.notes, state.experiments, state.asked, state.talk, state.notebook),
            *(moment.loading, memory.version),
        )
        if width != self._made_for or len(self._for) != len(key) or any(map(is_not, self._for, key)):
            self._made = conversation.transcript(moment, memory, width, self.looks.glyphs)
            self._for, self._made_for = key, width
        return self._made


class ResearcherScreen(Room):
    def compose_body(self) -> ComposeResult:
        with Vertical(classes="pane") as box:
            box.border_title = "Researcher"
            yield Now()
            yield Transcript(id="transcript")

    def on_mount(self) -> None:
        self.query_one(Transcript).focus()
