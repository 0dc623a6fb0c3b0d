"""A long text to scroll through: lines are made once for what they show, and stay at the end while new ones come.

For transcripts and help. It has no cursor; it knows nothing of what a line means.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui import paint
from tui.looks import Looks
from tui.moment import Moment
from tui.paint import Line


class Reader(ScrollView, can_focus=True):
    """Subclasses answer `text`."""

    DEFAULT_CSS = "Reader { height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "by(1)", "Down", show=False),
        Binding("up,k", "by(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False),
        Binding("home,g", "edge(0)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
    ]
    FROM_END: ClassVar[bool] = False  # opens at its end, and follows it

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self.moment = Moment()
        self._lines: list[Line] = []
        self._strips: dict[int, Strip] = {}
        self._width = 0
        self._goes_to_end = False  # once what is new has been laid out

    def text(self, moment: Moment, width: int) -> list[Line]:
        """All lines, each at most `width` cells."""
        raise NotImplementedError

    @property
    def looks(self) -> Looks:
        found: Looks = self.app.looks  # type: ignore[attr-defined]
        return found

    def show(self, moment: Moment) -> None:
        self.moment = moment
        width = self.scrollable_content_region.width
        if width <= 0:
            return
        fresh, before = self.text(moment, width), self._lines
        if fresh is before and width == self._width:
            return
        at_end = self.FROM_END and (self._goes_to_end or self.scroll_offset.y >= len(before) - self.size.height)
        self._lines, same = fresh, width == self._width
        self._width = width
        if len(fresh) != len(before):
            self.virtual_size = Size(width, len(fresh))
        self._repaint(before if same else [])
        if at_end:
            self._goes_to_end = True
            self.call_after_refresh(self._go_to_end)

    def _go_to_end(self) -> None:
        self._goes_to_end = False
        self.scroll_end(animate=False, immediate=True)

    def _repaint(self, before: list[Line]) -> None:
        """Only lines that differ."""
        longest = max(len(before), len(self._lines))
        changed = [y for y in range(longest) if before[y : y + 1] != self._lines[y : y + 1]]
        for y in changed:
            self._strips.pop(y, None)
        top, width = self.scroll_offset.y, self.size.width
        regions = [Region(0, y - top, width, 1) for y in changed if top <= y < top + self.size.height]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        index, width = y + self.scroll_offset.y, self.size.width
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        found = self._strips.get(index)
        if found is None or found.cell_length != width:
            found = paint.strip(self._lines[index], width, self.looks.style, self.rich_style)
            self._strips[index] = found
        return found

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def copied(self) -> str:
        """All of it, as plain text."""
        return "\n".join(paint.plain(each).rstrip() for each in self._lines)

    def on_resize(self) -> None:
        self._strips.clear()
        self.show(self.moment)

    def action_by(self, lines: int) -> None:
        self.scroll_relative(y=lines, animate=False, immediate=True)

    def action_page(self, pages: int) -> None:
        self.scroll_relative(y=pages * max(1, self.size.height - 1), animate=False, immediate=True)

    def action_edge(self, end: int) -> None:
        if end > 0:
            self.scroll_end(animate=False, immediate=True)
        else:
            self.scroll_home(animate=False, immediate=True)
