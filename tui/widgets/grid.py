"""The wave in view: a matrix for two factors, a table for everything else, with why it was planned and what it found.

The cursor is the selected experiment. What takes long to know of a wave (the predicted best) is worked out beside the
screen, in a thread, and shown when it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType

from core.ids import ExperimentId
from tui.messages import Marked, Opened, Selected
from tui.moment import Moment
from tui.paint import Line
from tui.pane import Pane
from tui.widgets import wave_view
from tui.widgets.analyst import Analyst
from tui.widgets.wave_items import factors
from tui.widgets.wave_view import View

if TYPE_CHECKING:
    from core.analysis import Analysis


class WavePane(Pane):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "walk(-1, 0)", "Left", show=False),
        Binding("right", "walk(1, 0)", "Right", show=False),
        Binding("up", "walk(0, -1)", "Up", show=False),
        Binding("down,j", "walk(0, 1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(-1)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
        Binding("m", "mark", "Mark", show=False),
    ]

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._top = 0  # the first row in view
        self._analyst = Analyst(self, self.redraw)

    def heading(self, moment: Moment) -> str:
        return wave_view.heading(moment, self.size.width - 2) if self.size.width else ""

    def on_resize(self) -> None:
        self.show(self.moment)  # its heading too

    def show(self, moment: Moment) -> None:
        if moment.wave != self.moment.wave:
            self._top = 0
        super().show(moment)

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        v = self._view(moment, width, height)
        if v is None:
            return wave_view.nothing(moment, width)
        self._top = v.top
        return wave_view.grid(v)

    def _view(self, moment: Moment | None = None, width: int = 0, height: int = 0) -> View | None:
        shown = moment or self.moment
        return wave_view.view(
            shown,
            width or self.size.width,
            height or self.size.height,
            self.looks.glyphs,
            keys=getattr(self.app, "keys", {}),
            analysis=self._analysis(shown),
            top=self._top,
            focused=self.has_focus,
        )

    def _analysis(self, moment: Moment) -> Analysis | None:
        """Of a design, as far as it is worked out; a list predicts nothing."""
        wave = moment.wave_shown
        return self._analyst.of(moment)[0] if wave is not None and factors(wave) else None

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    # --- the cursor ---

    def action_walk(self, right: int, down: int) -> None:
        if (v := self._view()) is not None:
            self._select(wave_view.moved(v, right, down))

    def action_page(self, by: int) -> None:
        self.action_walk(0, by * max(2, self.size.height - 4))

    def action_edge(self, which: int) -> None:
        if (v := self._view()) is not None:
            self._select(wave_view.edge(v, which))

    def action_mark(self) -> None:
        """Or takes the mark away; `veto`, `promote` and `rerun` act on all that are marked."""
        if self.moment.selected is not None:
            self.post_message(Marked(self.moment.marked ^ {self.moment.selected}))

    def action_open(self) -> None:
        if self.moment.selected is not None:
            self.post_message(Opened(self.moment.selected))
        else:
            self.notify("No experiment is selected.", timeout=2, markup=False)

    def on_mouse_scroll_down(self) -> None:
        self.action_walk(0, 1)

    def on_mouse_scroll_up(self) -> None:
        self.action_walk(0, -1)

    def on_click(self, event: events.Click) -> None:
        offset, v = event.get_content_offset(self), self._view()
        if offset is None or v is None:
            return
        found = wave_view.under(v, offset.x, offset.y)
        if found is not None and found == self.moment.selected:
            self.action_open()
        else:
            self._select(found)

    def _select(self, name: ExperimentId | None) -> None:
        if name is not None:
            self.post_message(Selected(name))
