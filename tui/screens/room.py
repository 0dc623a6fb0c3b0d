"""What every screen of the control room shares: a header, a footer, and showing the moment to its panes.

`compose_body` is what differs. A screen holds no state of the session: it is given the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, cast

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from tui import numbers
from tui.moment import Moment
from tui.pane import Pane
from tui.table import Table
from tui.widgets.footer import Footer
from tui.widgets.header import Header
from tui.widgets.hints import Hints
from tui.widgets.reader import Reader
from tui.widgets.transport import Transport

if TYPE_CHECKING:
    from tui.app import ControlRoom


class Room(Screen[None]):
    """A screen that shows moments. `TITLE` is said in the header."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012  as Textual has it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-tall")]  # noqa: RUF012

    ALLOW_IN_MAXIMIZED_VIEW = ".-textual-system, Header, Footer, Transport"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "app.do('next_pane')", "Next pane", show=False)]

    @property
    def control(self) -> ControlRoom:
        return cast("ControlRoom", self.app)

    @property
    def place(self) -> str:
        """Which screen it is: the id of the action that opens it."""
        return type(self).__name__.removesuffix("Screen").lower()

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield from self.compose_body()
        if self.control.moment.tape is not None:
            yield Transport(id="transport")
        yield Footer(id="footer")

    def compose_body(self) -> ComposeResult:
        raise NotImplementedError

    def on_mount(self) -> None:
        self.show(self.control.moment)

    def on_screen_resume(self) -> None:
        self.show(self.control.moment)

    def panes(self) -> Iterable[Pane | Table | Reader]:
        for widget in self.walk_children(Widget):
            if isinstance(widget, Pane | Table | Reader):
                yield widget

    def show(self, moment: Moment) -> None:
        here = self._here(moment)
        for pane in self.panes():
            if pane.display:
                pane.show(here)

    def show_progress(self, moment: Moment) -> None:
        """While a session is read: what tells how far, not what is in it."""
        here = self._here(moment)
        for pane in self.query("Header, Transport, Footer").results(Pane):
            pane.show(here)

    def _here(self, moment: Moment) -> Moment:
        return moment if moment.screen == self.place else msgspec.structs.replace(moment, screen=self.place)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Another pane takes other keys for itself."""
        for each in self.query(Footer):
            each.redraw()

    # --- what actions of the table mean here; a screen that cannot do one leaves it out ---

    def act(self, action: str) -> bool:
        """Carries out an action that is this screen's own; False where it means nothing here."""
        match action:
            case "open":
                return self._told_to_focus("action_open")
            case "top":
                return self._told_to_focus("action_edge", -1)
            case "bottom":
                return self._told_to_focus("action_edge", 1)
            case "next_pane":
                self.focus_next()
            case "copy":
                self._copy_shown()
            case _:
                return False
        return True

    def _told_to_focus(self, name: str, *given: int) -> bool:
        """What has the focus does it, if it can."""
        found: Callable[..., None] | None = getattr(self.focused, name, None)
        if found is not None:
            found(*given)
        return found is not None

    def copied(self) -> tuple[str, str]:
        """What is shown: what it is, and as plain text; "" where there is nothing."""
        frame = (Header, Hints, Transport, Footer)
        return f"the {self.place}", "\n\n".join(
            text for pane in self.panes() if not isinstance(pane, frame) and (text := pane.copied())
        )

    def _copy_shown(self) -> None:
        name, text = self.copied()
        if not text.strip():
            self.notify("There is nothing to copy here.", severity="warning", timeout=3, markup=False)
            return
        self.app.copy_to_clipboard(text)
        self.notify(f"Copied {name}: {numbers.count(text.count(chr(10)) + 1, 'line')}.", timeout=3, markup=False)
