"""The line behind ":": typed commands with what would complete them above, and the ones typed before with up and down.

What was typed is handed back; `tui.spoken` says what it means and `tui.obedience` carries it out.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from tui.moment import Moment
from tui.paint import Line, line
from tui.pane import Pane
from tui.safe import fit
from tui.screens.ask import Ahead, Field
from tui.spoken import OFFERS, Offer, hear, offers

COLUMN = 24  # cells for the command of an offer


class Offers(Pane):
    DEFAULT_CSS = "Offers { height: auto; }"
    FOCUSABLE = False

    def __init__(self) -> None:
        super().__init__(id="offers")
        self.found: list[Offer] = []
        self.note = ""  # instead of offers

    def tell(self, found: list[Offer], note: str) -> None:
        self.found, self.note = found, note
        self.styles.height = max(1, len(found))
        self.redraw()

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        if not self.found:
            return [line((fit(self.note, width), "muted"))]
        column = max(COLUMN, *(len(offer.text) + 2 for offer in self.found))
        return [
            _offer(offer, min(column, width // 2), width, first=not place) for place, offer in enumerate(self.found)
        ]

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(self.found):
            self.screen.query_one(Typed).put(self.found[event.y].text)


def _offer(offer: Offer, column: int, width: int, *, first: bool) -> Line:
    return line(
        (fit(f":{offer.text}", column), "key bold" if first else "key"), (fit(offer.note, width - column), "muted")
    )


class Typed(Field):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "older(1)", "Typed before", show=False),
        Binding("down", "older(-1)", "Typed after", show=False),
        Binding("tab", "complete", "Complete", show=False),
        Binding("backspace", "rub", "Rub out", show=False),
    ]

    def __init__(self, typed: list[str]) -> None:
        super().__init__()
        self._typed, self._at, self._draft = typed, 0, ""

    def put(self, text: str) -> None:
        self.value = text
        self.cursor_position = len(text)

    def action_older(self, by: int) -> None:
        if self._at == 0:
            self._draft = self.value
        self._at = max(0, min(len(self._typed), self._at + by))
        self.put(self._typed[-self._at] if self._at else self._draft)

    def action_complete(self) -> None:
        found = self.screen.query_one(Offers).found
        if found:
            self.put(found[0].text + " ")

    def action_rub(self) -> None:
        if not self.value:
            self.screen.dismiss("")
        else:
            self.action_delete_left()


class CommandLine(Ahead[str]):
    """Answers with what was typed; "" for nothing."""

    DEFAULT_CSS = """
    CommandLine { align: center bottom; }
    CommandLine > Vertical {
        width: 100%; height: auto; max-height: 12; background: $panel; border: round $focus; padding: 0 1;
    }
    CommandLine Horizontal { height: 1; }
    CommandLine Static { width: 1; color: $key; }
    CommandLine Input { border: none; height: 1; padding: 0; background: $panel; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, moment: Moment, themes: list[str], typed: list[str]) -> None:
        """`typed`: commands of before, the oldest first."""
        super().__init__()
        self._moment, self._themes, self._typed = moment, themes, typed

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Command"
            box.border_subtitle = "enter: do it   tab: complete   up: before   esc: leave"
            yield Offers()
            with Horizontal():
                yield Static(":")
                yield Typed(self._typed)

    def on_mount(self) -> None:
        self.query_one(Typed).focus()
        self._offer("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._offer(event.value)

    def _offer(self, said: str) -> None:
        found = offers(said, self._moment, self._themes)[:OFFERS]
        heard = hear(said, self._moment, self._themes)
        self.query_one(Offers).tell(found, heard.wrong if said.strip() else "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        self.dismiss("")
