"""The detail pane and its full-screen views, in a room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import moments
import pytest
import tapes
from hostile import check, told
from rooms import Room
from story import E0, Story
from textual.pilot import Pilot

from core.events import Fact
from core.ids import ExperimentId
from tui.paint import plain
from tui.screens.effects import EffectsScreen
from tui.screens.log import LogReader, LogScreen
from tui.widgets.detail import TABS, DetailPane, tab_at, tab_bar
from tui.widgets.reader import Reader


@pytest.fixture(scope="module")
def simulated() -> Sequence[Fact]:
    return tapes.simulated(0.5)


def text(pane: DetailPane | Reader) -> str:
    return "\n".join(plain(line) for line in pane._lines)


def select(room: Room, name: str) -> None:
    room.eye.experiment = ExperimentId(name)
    room.show_now()


async def settled(pilot: Pilot[int]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def test_a_click_on_a_tab_finds_it() -> None:
    bar = plain(tab_bar("log", 60))
    for tab in TABS:
        assert tab_at(bar.index(tab)) == tab
    assert tab_at(59) is None
    assert plain(tab_bar("log", 12)) == "< log >"


async def test_tabs_turn_with_arrows_and_with_the_pane_s_own_number() -> None:
    room = Room(tapes.crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        pane = room.screen.query_one(DetailPane)
        assert pane.tab == "diff"
        await pilot.press("4", "right")
        assert pane.tab == "log"
        await pilot.press("left", "h", "h")
        assert pane.tab == "why"


async def test_every_tab_says_something_about_the_selection() -> None:
    room = Room(tapes.crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        select(room, "e6")
        await pilot.press("4")
        pane = room.screen.query_one(DetailPane)
        await settled(pilot)
        assert "DEPTH = 8" in text(pane)
        assert "e6 ▶ running" in str(pane.border_title)
        await pilot.press("right")
        assert "e6-1 loss 2.9000" in text(pane)
        await pilot.press("right")
        assert "runs elsewhere" in text(pane)
        await pilot.press("right")
        await settled(pilot)
        assert "w1 from e0 on H100" in text(pane)
        await pilot.press("right")
        assert "No verdict yet: 1 run on the way." in text(pane)


async def test_another_selection_starts_at_its_beginning(simulated: Sequence[Fact]) -> None:
    room = Room(simulated)
    async with room.run_test(size=(120, 40)) as pilot:
        select(room, "e0")
        await pilot.press("4", "4", "4", "4", "4", "down", "down")
        pane = room.screen.query_one(DetailPane)
        assert pane.tab == "why"
        assert pane._top == 2
        select(room, "e1")
        assert pane._top == 0


async def test_the_tail_of_a_run_on_this_machine_is_read_while_it_runs(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "e6-1"
    folder.mkdir(parents=True)
    (folder / "run.log").write_text("".join(f"step {i}\n" for i in range(100)) + "\x1b[31mstep 100\n")
    room = Room(tapes.crossed(), file=tmp_path / "session.db")
    async with room.run_test(size=(120, 40)) as pilot:
        select(room, "e6")
        await pilot.press("4", "right", "right")
        await settled(pilot)
        pane = room.screen.query_one(DetailPane)
        assert plain(pane._lines[-1]) == "step 100"
        await pilot.press("up")
        assert plain(pane._lines[-1]) == "step 99"


async def test_a_recorded_crash_shows_the_end_of_its_log() -> None:
    room = Room(told().facts)
    async with room.run_test(size=(120, 40)) as pilot:
        select(room, "e2")
        await pilot.press("4", "right", "right")
        pane = room.screen.query_one(DetailPane)
        assert "gnp.exe" in text(pane)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (20, 5)])
async def test_hostile_words_break_no_tab(size: tuple[int, int]) -> None:
    for facts in (told().facts,):
        room = Room(facts)
        async with room.run_test(size=size) as pilot:
            for name in list(room.moment.state.experiments):
                select(room, name)
                for _ in TABS:
                    await pilot.press("4")
                    await settled(pilot)
                    pane = room.screen.query_one(DetailPane)
                    check(pane._lines, max(1, pane.size.width))


async def test_the_log_screen_follows_searches_and_pages(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "e6-1"
    folder.mkdir(parents=True)
    log = folder / "run.log"
    log.write_text("".join(f"step {i}\n" for i in range(500)))
    room = Room(tapes.crossed(), file=tmp_path / "session.db")
    async with room.run_test(size=(80, 24)) as pilot:
        select(room, "e6")
        await pilot.press("l")
        assert isinstance(room.screen, LogScreen)
        reader = room.screen.query_one(LogReader)
        await settled(pilot)
        await pilot.pause()
        assert reader.scroll_offset.y == len(reader._lines) - reader.size.height
        with log.open("a") as more:
            more.write("step 500\n")
        reader._read_again()
        await settled(pilot)
        await pilot.pause()
        assert reader.scroll_offset.y == 501 - reader.size.height
        await pilot.press("slash", *"tep 42", "enter")  # from the end it goes on at the beginning
        await pilot.pause()
        await pilot.pause()
        assert reader.scroll_offset.y == 42
        await pilot.press("n")
        assert reader.scroll_offset.y == 420
        await pilot.press("N")
        assert reader.scroll_offset.y == 42
        await pilot.press("escape")
        assert not isinstance(room.screen, LogScreen)


async def test_the_effects_screen_goes_from_wave_to_wave() -> None:
    story = Story().score(E0, 1.0, 1.01)
    for _ in range(2):
        (name,) = story.wave({"DEPTH": "2"})
        story.score(name, 0.9)
    room = Room(story.facts)
    async with room.run_test(size=(80, 24)) as pilot:
        await pilot.press("e")
        assert isinstance(room.screen, EffectsScreen)
        reader = room.screen.query_one(Reader)
        await settled(pilot)
        assert text(reader).startswith("w2 from e0")
        assert "wave 2 of 2" in str(reader.border_title)
        await pilot.press("left_square_bracket")
        await settled(pilot)
        assert text(reader).startswith("w1 from e0")


async def test_hostile_waves_can_be_looked_at() -> None:
    room = Room(told().facts)
    async with room.run_test(size=(80, 24)) as pilot:
        await pilot.press("e")
        await settled(pilot)
        reader = room.screen.query_one(Reader)
        check(reader._lines, reader.size.width)
    assert moments.HOSTILE
