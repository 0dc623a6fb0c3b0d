"""What keeps the control room quick: what is not drawn, not yet drawn, and drawn with few segments."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from rich.color import Color
from rich.style import Style
from rooms import Room, Still
from story import E0, Story
from textual.geometry import Region

from core import events as ev
from core.feed import Update
from core.fold import fold
from core.ids import ExperimentId
from tui import paint
from tui.pane import Pane
from tui.widgets import chart as charts
from tui.widgets.chart import ChartPane
from tui.widgets.cursor import put
from tui.widgets.experiments import ExperimentTable
from tui.widgets.marks import Mark, Series
from tui.widgets.viewport import Viewport


@pytest.fixture
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def campaign(results: int) -> Story:
    story = Story(gpus=4).score(E0, 1.0, 1.01)
    names = story.wave(*({"DEPTH": str(level)} for level in range(results)))
    for number, name in enumerate(names):
        story.score(name, 1.0 + number / 1000).judge(name, "discarded")
    return story


class Reading(Still):
    """A session that is read, half of it so far."""

    async def updates(self) -> AsyncIterator[Update]:
        yield Update((), self.state, loading=0.0)
        self.state = fold(self.state, self._facts)
        yield Update(self._facts, self.state, loading=0.5)


@pytest.mark.usefixtures("_thawed")
async def test_while_a_session_is_read_only_how_far_is_shown() -> None:
    room = Room([])
    room.feed = Reading(campaign(3).facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.25)
        lines = {pane.id: "\n".join(paint.plain(line) for line in pane._lines) for pane in room.screen.query(Pane)}
        assert "loading 50 %" in lines["header"]
        assert "Reading the session" in lines["wave"]
        assert room.moment.state.waves  # they are there, and not drawn
        room._take(Update((), room.moment.state))
        room._show_changes()
        assert "Reading" not in "\n".join(paint.plain(line) for line in room.screen.query_one("#wave", Pane)._lines)


@pytest.mark.usefixtures("_thawed")
async def test_what_was_read_is_not_collected_again() -> None:
    room = Room([])
    room.feed = Reading(campaign(3).facts)
    async with room.run_test() as pilot:
        await pilot.pause()
        before = gc.get_freeze_count()
        room._take(Update((), room.moment.state))
        assert gc.get_freeze_count() > before


async def test_new_results_among_many_are_drawn_behind_the_frame_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "MANY", 5)
    story = campaign(9)
    room = Room(story.facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.1)
        chart = room.screen.query_one(ChartPane)
        before = chart._series
        story.score(ExperimentId("e9"), 0.9)
        room.moment = msgspec.structs.replace(room.moment, state=story.state)
        room.show_now()
        assert chart._series is before
        for _ in range(100):
            await pilot.pause(0.02)
            if chart._series is not before:
                break
        assert next(mark for mark in chart._series.marks if mark.experiment == "e9").runs == 2


async def test_a_key_moves_the_cursor_of_the_chart_without_drawing_what_is_under_it() -> None:
    room = Room(campaign(9).facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("3", "home")
        chart = room.screen.query_one(ChartPane)
        ground, drawn = chart._ground, chart._drawing
        await pilot.press("n")
        assert chart._ground is ground
        assert chart._drawing != drawn


async def test_a_key_in_the_table_paints_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(campaign(9).facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("t")
        await pilot.pause()
        painted: list[tuple[Region, ...]] = []
        table = room.screen.query_one(ExperimentTable)
        monkeypatch.setattr(table, "refresh", lambda *regions, **_: painted.append(regions))
        await pilot.press("down")
        assert [region.height for regions in painted for region in regions] == [1, 1]
        assert all(painted)  # no regions would be all of it


def test_what_looks_alike_is_one_segment() -> None:
    styles = {"kept": Style(color=Color.parse("green")), "crashed": Style(color=Color.parse("red"), reverse=True)}
    line = (("one", "kept"), ("  ", ""), ("two", "kept"), ("x", "crashed"), (" ", ""), ("end", ""))
    made = paint.strip(line, 13, lambda role: styles[role], Style())
    assert [segment.text for segment in made] == ["one  two", "x", " end"]


def test_a_cell_of_a_row_is_replaced() -> None:
    row = (("ab", "muted"), ("cd", "kept"))
    assert put(row, 2, "★", "best") == (("ab", "muted"), ("★", "best"), ("d", "kept"))
    assert put(row, 9, "★", "best") == row


def test_a_frame_at_ten_thousand_results_looks_at_few_of_them() -> None:
    """The cursor on a big campaign, in processor time; drawing it all takes 20 ms."""
    of = Series(marks=tuple(_mark(number) for number in range(10_000)), types=("H100",))
    spent = []
    for _ in range(5):
        begun = time.thread_time()
        assert charts.marked(of, Viewport(), ExperimentId("e9000")) is of.marks[9000]
        spent.append(time.thread_time() - begun)
    assert min(spent) < 0.0005


def _mark(number: int) -> Mark:
    name = ExperimentId(f"e{number}")
    return Mark(name, number, float(number), "discarded", "H100", 1.0, 1, None)


@pytest.mark.parametrize(("told", "ticks"), [((), True), ((ev.ResearchPaused,), True), ((ev.EngineStopped,), False)])
async def test_the_clock_goes_on_while_an_engine_lives_paused_or_not(told: tuple[type, ...], ticks: bool) -> None:
    """A paused engine uses up the session's hours too."""
    story = campaign(1)
    for kind in told:
        story.tell(kind, **({"by": "ada"} if kind is ev.ResearchPaused else {"reason": "done"}))
    room = Room(story.facts, alive=ticks)
    async with room.run_test() as pilot:
        await pilot.pause()
        room.show_now()
        shown: list[bool] = []
        room.show_now = lambda **_: shown.append(True)  # type: ignore[method-assign]
        room._dirty, room._shown_at = False, 0
        room._show_changes()
        assert bool(shown) == ticks
