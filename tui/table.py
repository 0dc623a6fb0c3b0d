"""A long list with a cursor: lines are made when they come into view, and kept until their row changes.

One row is one line; a heading, where there is one, stays on the first. Ten thousand rows cost nothing until they are
looked at. It knows nothing of what a row means.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui import paint
from tui.looks import Looks
from tui.moment import Moment
from tui.paint import Line
from tui.terminal import COPY_LIMIT

KEPT_STRIPS = 1000


class Table(ScrollView, can_focus=True):
    """Subclasses answer `keys` (what the rows are, in order), `row` (one line) and `version` (when a row is stale).

    `IS_ANSWERED`: whoever hears `Moved` shows a moment. The cursor is painted with that: one frame for a key, not two.
    """

    IS_ANSWERED: ClassVar[bool] = False
    DEFAULT_CSS = """
    Table { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+d", "move_page(1)", "Page down", show=False),
        Binding("pageup,ctrl+u", "move_page(-1)", "Page up", show=False),
        Binding("home,g", "edge(-1)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, table: Table, key: Hashable) -> None:
            super().__init__()
            self.table, self.key = table, key

    class Opened(Message):
        """Enter, or a second click on the row under the cursor."""

        def __init__(self, table: Table, key: Hashable) -> None:
            super().__init__()
            self.table, self.key = table, key

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self.moment = Moment()
        self.cursor = 0
        self._painted = 0  # where the cursor was last put on the screen
        self._keys: Sequence[Hashable] = ()
        self._strips: dict[Hashable, tuple[object, int, Strip]] = {}  # key: version, width, strip
        self._heading: Line | None = None
        self._said: Line = paint.EMPTY  # in place of rows

    # --- what a subclass says ---

    def keys(self, moment: Moment) -> Sequence[Hashable]:
        raise NotImplementedError

    def row(self, key: Hashable, moment: Moment, width: int) -> Line:
        raise NotImplementedError

    def version(self, key: Hashable, moment: Moment) -> object:
        """Compared by equality: a row is made again when this differs. The struct it shows is a good one."""
        raise NotImplementedError

    def heading(self, moment: Moment, width: int) -> Line | None:
        """The titles of the columns, pinned above the rows; None: there is none."""
        return None

    def nothing(self, moment: Moment) -> Line:
        """Said in place of the rows while there are none."""
        return paint.EMPTY

    def heading_clicked(self, x: int) -> None:
        """On a column's title."""

    def under_cursor(self, strip: Strip) -> Strip:
        """The row that the cursor is on."""
        return paint.over(strip, self.looks.style("cursor" if self.has_focus else "cursor-away"))

    # --- showing ---

    @property
    def looks(self) -> Looks:
        found: Looks = self.app.looks  # type: ignore[attr-defined]
        return found

    @property
    def key(self) -> Hashable | None:
        return self._keys[self.cursor] if self.cursor < len(self._keys) else None

    def copied(self, keys: Sequence[Hashable] | None = None) -> str:
        """All rows, or those of some keys, as plain text under their heading: as much as a clipboard takes."""
        width, size = self.columns, 0
        said = [] if self._heading is None else [paint.plain(self._heading).rstrip()]
        for key in self._keys if keys is None else keys:
            said.append(paint.plain(self.row(key, self.moment, width)).rstrip())
            if (size := size + len(said[-1])) > COPY_LIMIT:
                break
        return "\n".join(said)

    @property
    def columns(self) -> int:
        """Cells of a row: the scroll bar's are not among them."""
        return self.scrollable_content_region.width

    @property
    def above(self) -> int:
        """Lines that the heading takes."""
        return 0 if self._heading is None else 1

    @property
    def rows_shown(self) -> int:
        return max(0, self.size.height - self.above)

    def show(self, moment: Moment) -> None:
        under, self.moment = self.key, moment
        in_view = self._is_in_view() or self.cursor != self._painted
        keys, heading = self.keys(moment), self.heading(moment, self.columns)
        said = paint.EMPTY if keys else self.nothing(moment)
        moved, retitled = keys != self._keys or said != self._said, heading != self._heading
        self._keys, self._heading, self._said = keys, heading, said
        if not moved:
            self._refresh_stale()
            self._paint_cursor()
            if retitled:
                self.refresh(Region(0, 0, self.columns, 1))
            return
        if under is not None and self.key != under and under in keys:
            self.cursor = list(keys).index(under)
        self.cursor = self._painted = max(0, min(self.cursor, len(keys) - 1))
        self._measure()
        if in_view and self._reveal():
            self.call_after_refresh(self._tell_scroll_bar)
        self.refresh()

    def _tell_scroll_bar(self) -> None:
        """One that was not there when the rows were scrolled does not know where they are."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = self.scroll_y

    def _measure(self) -> None:
        self.virtual_size = Size(self.columns, len(self._keys) + self.above)

    def _refresh_stale(self) -> None:
        top, width, regions = self.scroll_offset.y, self.columns, []
        for y in range(min(self.rows_shown, len(self._keys) - top)):
            key = self._keys[top + y]
            found = self._strips.get(key)
            if found is None or found[0] != self.version(key, self.moment):
                regions.append(Region(0, y + self.above, width, 1))
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        width, base = self.columns, self.rich_style
        if self._heading is not None and y == 0:
            return paint.strip(self._heading, width, self.looks.style, base)
        index = y - self.above + self.scroll_offset.y
        if index >= len(self._keys):
            return paint.strip(self._said if index == 0 else paint.EMPTY, width, self.looks.style, base)
        made = self._strip(self._keys[index], width, base)
        return self.under_cursor(made) if index == self.cursor else made

    def _strip(self, key: Hashable, width: int, base: Style) -> Strip:
        version, found = self.version(key, self.moment), self._strips.get(key)
        if found is not None and found[0] == version and found[1] == width:
            return found[2]
        if len(self._strips) > KEPT_STRIPS:
            self._strips.clear()
        made = paint.strip(self.row(key, self.moment, width), width, self.looks.style, base)
        self._strips[key] = (version, width, made)
        return made

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self) -> None:
        self._heading = self.heading(self.moment, self.columns)
        self._measure()
        self._reveal()

    # --- moving ---

    def move_to(self, index: int) -> None:
        index = max(0, min(index, len(self._keys) - 1))
        if index == self.cursor or not self._keys:
            return
        self.cursor = index
        if not self.IS_ANSWERED:
            self._paint_cursor()
        self.post_message(self.Moved(self, self._keys[index]))

    def _paint_cursor(self) -> None:
        before, self._painted = self._painted, self.cursor
        if before != self.cursor and not self._reveal():
            top = self.scroll_offset.y - self.above
            self.refresh(*(Region(0, at - top, self.columns, 1) for at in (before, self.cursor)))

    def move_to_key(self, key: Hashable) -> None:
        if key in self._keys:
            self.move_to(list(self._keys).index(key))

    def _reveal(self) -> bool:
        """Scrolls so that the cursor is in view; says whether it had to."""
        top, height = self.scroll_offset.y, self.rows_shown
        if self._is_in_view() or height <= 0:
            return False
        first = self.cursor if self.cursor < top else self.cursor - height + 1
        self.scroll_to(y=first, animate=False, immediate=True, force=True)
        self.refresh()
        return True

    def _is_in_view(self) -> bool:
        return self.scroll_offset.y <= self.cursor < self.scroll_offset.y + self.rows_shown

    def action_move(self, by: int) -> None:
        self.move_to(self.cursor + by)

    def action_move_page(self, by: int) -> None:
        self.move_to(self.cursor + by * max(1, self.rows_shown - 1))

    def action_edge(self, which: int) -> None:
        self.move_to(0 if which < 0 else len(self._keys) - 1)

    def action_open(self) -> None:
        if self.key is None:
            self.notify("No row is here to open.", timeout=2, markup=False)
        else:
            self.post_message(self.Opened(self, self.key))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        if at is None:
            return
        index = at.y - self.above + self.scroll_offset.y
        if at.y < self.above:
            self.heading_clicked(at.x)
        elif index == self.cursor:
            self.action_open()
        elif index < len(self._keys):
            self.move_to(index)
