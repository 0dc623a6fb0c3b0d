"""The dashboard: fleet, wave, chart, detail and ticker on one screen.

Where the screen is small, chart and detail take turns; `z` gives the focused pane all of it.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tui import here
from tui.messages import Marked, Opened
from tui.screens.diff import copy_patch
from tui.screens.room import Room
from tui.versions import pair
from tui.widgets.chart import ChartPane
from tui.widgets.detail import DetailPane
from tui.widgets.fleet import FleetPane
from tui.widgets.grid import WavePane
from tui.widgets.ticker import TickerPane

PANES = ("fleet", "wave", "chart", "detail", "ticker")


class Dashboard(Room):
    def compose_body(self) -> ComposeResult:
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield FleetPane(id="fleet")
                yield WavePane(id="wave")
            with Vertical(id="right"):
                yield ChartPane(id="chart")
                yield DetailPane(id="detail")
        yield TickerPane(id="ticker")

    def on_mount(self) -> None:
        for number, name in enumerate(PANES, start=1):
            self.query_one(f"#{name}").border_subtitle = str(number)
        self.query_one("#wave").focus()

    def act(self, action: str) -> bool:
        match action:
            case _ if action in here.PANES:
                self._turn_to(PANES[here.PANES.index(action)])
            case "next_pane":
                self.focus_next("#fleet, #wave, #chart, #detail, #ticker")
            case "open" if isinstance(self.focused, DetailPane) and (shown := self.control.moment.selected):
                self.post_message(Opened(shown))
            case "copy" if isinstance(self.focused, DetailPane) and self.focused.tab != "diff":
                return super().act(action)
            case "axis":
                self.query_one(ChartPane).toggle_axis()
            case "copy":
                moment = self.control.moment
                copy_patch(self.app, pair(moment.state, moment.selected, "parent"))
            case "zoom":
                self._zoom()
            case "back" if self.maximized is not None:
                self.minimize()
            case "back" if self.control.moment.marked:
                self.control.on_marked(Marked(frozenset()))
            case "back":
                self.notify("Nothing is open above the dashboard.", timeout=2, markup=False)
            case _:
                return super().act(action)
        return True

    def copied(self) -> tuple[str, str]:
        """The open tab of the detail; its change is copied as a patch."""
        pane = self.query_one(DetailPane)
        return f"{pane.tab} of {self.control.moment.selected}", pane.copied()

    def _turn_to(self, name: str) -> None:
        """On a small screen chart and detail share a place: the one asked for comes to the front."""
        if name == "detail" and isinstance(self.focused, DetailPane):
            self.focused.turn(1)
        if name in ("chart", "detail"):
            self.set_class(name == "detail", "-detail")
        self.query_one(f"#{name}").focus()
        self.call_after_refresh(lambda: self.show(self.control.moment))

    def _zoom(self) -> None:
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)
        self.call_after_refresh(lambda: self.show(self.control.moment))
