"""What every screen of the control room shares: a header, a footer, and showing the moment to its panes.

`compose_body` is what differs. A screen holds no state of the session: it is given the moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from tui.moment import Moment
from tui.pane import Pane
from tui.table import Table
from tui.widgets.footer import Footer
from tui.widgets.header import Header
from tui.widgets.reader import Reader
from tui.widgets.transport import Transport

if TYPE_CHECKING:
    from tui.app import ControlRoom


class Room(Screen[None]):
    """A screen that shows moments. `TITLE` is said in the header."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012  as Textual has it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-tall")]  # noqa: RUF012

    ALLOW_IN_MAXIMIZED_VIEW = ".-textual-system, Header, Footer, Transport"

    @property
    def control(self) -> ControlRoom:
        return cast("ControlRoom", self.app)

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
        for pane in self.panes():
            if pane.display:
                pane.show(moment)

    def show_progress(self, moment: Moment) -> None:
        """While a session is read: what tells how far, not what is in it."""
        for pane in self.query("Header, Transport, Footer").results(Pane):
            pane.show(moment)

    # --- what actions of the table mean here; a screen that cannot do one leaves it out ---

    def act(self, action: str) -> bool:
        """Carries out an action that is this screen's own; False where it means nothing here."""
        return False
