"""A pane: a widget whose lines are a function of the moment; only lines that changed are painted again.

`Pane` is for what fits on the screen or scrolls a little. Long tables are `tui.table.Table`.
"""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui import paint
from tui.looks import Looks
from tui.moment import Moment
from tui.paint import Line


class Pane(Widget):
    """Subclasses answer `lines`; `show` is called at most ten times a second, and at once after a key."""

    DEFAULT_CSS = "Pane { height: 1fr; }"
    FOCUSABLE: ClassVar[bool] = True

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self.can_focus = self.FOCUSABLE
        self.moment = Moment()
        self._lines: list[Line] = []
        self._strips: dict[int, Strip] = {}
        self._drawn_for: tuple[int, int] = (0, 0)

    # --- what a subclass says ---

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        """At most `height` lines of at most `width` cells; more is cut."""
        raise NotImplementedError

    def heading(self, moment: Moment) -> str:
        """The title on its border, safe; "" leaves it as it is."""
        return ""

    def copied(self) -> str:
        """What is on it, as plain text."""
        said = [paint.plain(each).rstrip() for each in self._lines]
        return "\n".join([self.heading(self.moment), *said]).strip("\n")

    # --- showing ---

    @property
    def looks(self) -> Looks:
        found: Looks = self.app.looks  # type: ignore[attr-defined]
        return found

    def show(self, moment: Moment) -> None:
        self.moment = moment
        self.redraw()

    def redraw(self) -> None:
        """Computes the lines again and paints those that differ, then the title: it may tell what the lines show."""
        size = (self.size.width, self.size.height)
        if size[0] > 0 and size[1] > 0:
            self._draw(size)
        if (title := self.heading(self.moment)) and title != self.border_title:
            self.border_title = title.replace("[", "\\[")

    def _draw(self, size: tuple[int, int]) -> None:
        fresh = self.lines(self.moment, *size)[: size[1]]
        before = self._lines if size == self._drawn_for else None
        self._lines, self._drawn_for = fresh, size
        if before is None:
            self._strips.clear()
            self.refresh()
            return
        changed = [y for y in range(size[1]) if _at(before, y) != _at(fresh, y)]
        for y in changed:
            self._strips.pop(y, None)
        if changed:
            self.refresh(*(Region(0, y, size[0], 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        if (found := self._strips.get(y)) is not None and found.cell_length == self.size.width:
            return found
        base = self.rich_style + Style(bold=False)
        made = paint.strip(_at(self._lines, y), self.size.width, self.looks.style, base)
        self._strips[y] = made
        return made

    def on_resize(self) -> None:
        self.redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()


def _at(lines: list[Line], y: int) -> Line:
    return lines[y] if y < len(lines) else paint.EMPTY
