"""The long list that all tables of the control room are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import pytest
from textual.app import App, ComposeResult

from themes.loader import built_in
from tui.looks import Looks
from tui.moment import Moment
from tui.paint import Line, plain
from tui.table import Table


class Numbers(Table):
    rows: Sequence[int] = range(100)
    title: str | None = "number"
    clicked = -1
    made = 0

    def keys(self, moment: Moment) -> Sequence[Hashable]:
        return self.rows

    def row(self, key: Hashable, moment: Moment, width: int) -> Line:
        self.made += 1
        return ((f"row {key}", ""),)

    def version(self, key: Hashable, moment: Moment) -> object:
        return key

    def heading(self, moment: Moment, width: int) -> Line | None:
        return ((self.title, ""),) if self.title else None

    def nothing(self, moment: Moment) -> Line:
        return (("none", "muted"),)

    def heading_clicked(self, x: int) -> None:
        self.clicked = x


class Bench(App[None]):
    looks = Looks(built_in()["night"])

    def compose(self) -> ComposeResult:
        yield Numbers()

    def on_mount(self) -> None:
        self.query_one(Numbers).show(Moment())
        self.query_one(Numbers).focus()


def shown(table: Table) -> list[str]:
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


@pytest.mark.asyncio
async def test_the_heading_stays_while_the_rows_scroll() -> None:
    app = Bench()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.query_one(Numbers)
        assert shown(table) == ["number", *(f"row {i}" for i in range(9))]
        await pilot.press("end")
        assert shown(table) == ["number", *(f"row {i}" for i in range(91, 100))]
        await pilot.press("pageup")
        assert table.cursor == 91
        await pilot.press("k")
        assert shown(table)[1] == "row 90"


@pytest.mark.asyncio
async def test_a_click_is_on_the_row_that_is_seen_there() -> None:
    app = Bench()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.query_one(Numbers)
        await pilot.press("end")
        await pilot.click(Numbers, offset=(2, 1))
        assert table.key == 91
        await pilot.click(Numbers, offset=(3, 0))
        assert (table.key, table.clicked) == (91, 3)


@pytest.mark.asyncio
async def test_without_a_heading_the_first_line_is_a_row() -> None:
    app = Bench()
    async with app.run_test(size=(40, 5)) as pilot:
        table = app.query_one(Numbers)
        table.title = None
        table.show(Moment())
        await pilot.press("end")
        assert shown(table) == [f"row {i}" for i in range(95, 100)]


@pytest.mark.asyncio
async def test_an_empty_list_says_so_and_rows_may_come_back() -> None:
    app = Bench()
    async with app.run_test(size=(40, 5)) as pilot:
        table = app.query_one(Numbers)
        table.rows = ()
        table.show(Moment())
        await pilot.press("down", "end", "enter")
        assert shown(table)[:2] == ["number", "none"]
        table.rows = (7,)
        table.show(Moment())
        assert shown(table)[:2] == ["number", "row 7"]


@pytest.mark.asyncio
async def test_the_cursor_stays_on_its_row_when_others_come_before_it() -> None:
    app = Bench()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.query_one(Numbers)
        table.rows = range(5)  # no scroll bar yet
        table.show(Moment())
        await pilot.press("down", "down")
        table.rows = range(-50, 100)
        table.show(Moment())
        assert table.key == 2
        assert "row 2" in shown(table)
        await pilot.pause()
        assert table.vertical_scrollbar.position == table.scroll_y > 0


@pytest.mark.asyncio
async def test_rows_are_made_once_and_the_cursor_is_seen() -> None:
    app = Bench()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.query_one(Numbers)
        await pilot.press("down")
        before = table.made
        await pilot.press("up", "down", "up")
        assert table.made == before
        assert table.render_line(1) != table._strip(0, table.columns, table.rich_style)
        assert plain(table.row(0, Moment(), 10)) == "row 0"
