"""Header, fleet, wave, ticker, transport and footer in a running control room: keys and mouse."""

from __future__ import annotations

from pathlib import Path

import pytest
from moments import hostile_facts, hostile_session, texts
from rooms import Room
from story import E0, Story
from tapes import crossed

from core import events as ev
from core import recording
from core.fold import fold
from core.player import Player
from core.state import State
from themes.loader import built_in
from tui.app import ControlRoom
from tui.looks import Looks
from tui.screens.dashboard import Dashboard
from tui.screens.diff import DiffScreen
from tui.screens.fleet import FleetScreen
from tui.widgets.fleet import FleetPane
from tui.widgets.fleet_cells import block_at
from tui.widgets.footer import Footer
from tui.widgets.grid import WavePane
from tui.widgets.ticker import TickerPane
from tui.widgets.transport import Transport, bar_at


async def test_walking_over_cells_selects_what_runs_there() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        await pilot.press("1", "right", "right")  # to the first cell, to the second
        await pilot.pause()
        assert room.moment.selected == "e6"
        await pilot.press("right")
        await pilot.pause()
        assert room.moment.selected == "e7"
        await pilot.click(FleetPane, offset=(2 + 5 + 2, 1))
        await pilot.pause()
        assert room.moment.selected == "e6"


async def test_keys_move_the_selection_and_enter_opens() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        await pilot.press("2", "home", "up", "right")
        await pilot.pause()
        assert room.moment.selected == "e3"
        pane = room.screen.query_one(WavePane)
        assert pane.border_title is not None
        assert "full factorial 3×3" in str(pane.border_title)


async def test_the_ticker_follows_until_the_cursor_goes_up() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        ticker = room.screen.query_one(TickerPane)
        await pilot.press("5", "up")
        await pilot.pause()
        assert room.moment.selected == "e5"  # the veto was the last
        await pilot.press("home")
        await pilot.pause()
        assert "newer" in texts(ticker._lines)[-1]
        await pilot.press("end")
        await pilot.pause()
        assert "newer" not in texts(ticker._lines)[-1]


async def test_a_click_on_a_key_of_the_footer_presses_it() -> None:
    story = Story(gpus=2, gpu_type="H100").score(E0, 1.0).tell(ev.GateSet, on=True, by="ada")
    story.wave({"DEPTH": "8"})
    room = Room(story.facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        await pilot.click(Footer, offset=(3, 0))
        await pilot.pause(0.1)
        assert [type(command).__name__ for command in room.still.sent] == ["Approve"]


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (120, 40), (200, 60)])
async def test_hostile_texts_break_no_screen(size: tuple[int, int]) -> None:
    room = Room([*hostile_session(), *hostile_facts()])
    async with room.run_test(size=size) as pilot:
        await pilot.pause(0.2)
        await pilot.press("5", "up", "up", "home", "end", "2", "end", "1", "right", "left_square_bracket")
        await pilot.pause(0.1)
        assert room.moment.wave == "w1"
        assert room.return_code in (None, 0)


async def test_a_click_on_the_bar_goes_there_and_marks_lie_ahead_too(tmp_path: Path) -> None:
    file = tmp_path / "crossed.jsonl"
    file.write_bytes(b"\n".join(recording.dump(recording.header(fold(State(), crossed()), "0"), crossed())))
    player = Player(file, stays=True)
    player.pause()
    room = ControlRoom(player, {name: Looks(theme) for name, theme in built_in().items()}, workspace="crossed.jsonl")
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.3)
        bar = room.screen.query_one(Transport)
        assert "│" in texts(bar._lines)[0]  # the wave is still to come
        assert room.moment.tape is not None
        begin, cells = bar_at(room.moment, room.moment.tape, 120)
        await pilot.click(Transport, offset=(begin + cells - 1, 0))
        await pilot.pause(0.3)
        assert room.moment.tape.position == len(crossed())
        assert "end of the tape" in texts(bar._lines)[0]


async def test_the_predicted_best_comes_when_it_is_worked_out() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        pane = room.screen.query_one(WavePane)
        for _ in range(100):
            await pilot.pause(0.1)
            if any("expected best" in text for text in texts(pane._lines)):
                break
        assert any("☆ expected best 0.97" in text for text in texts(pane._lines))


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_second_click_in_the_fleet_opens_what_runs_there(at_once: bool) -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        await pilot.click(FleetPane, offset=(2 + 5 + 2, 1), times=2 if at_once else 1)
        if not at_once:
            await pilot.pause()
            assert isinstance(room.screen, Dashboard)
            await pilot.click(FleetPane, offset=(2 + 5 + 2, 1))
        await pilot.pause(0.1)
        assert isinstance(room.screen, DiffScreen)
        assert room.moment.selected == "e6"


async def test_a_second_click_on_a_gpu_without_a_run_of_ours_opens_the_fleet() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        await pilot.press("1", "end")
        free = room.screen.query_one(FleetPane)._gpu
        assert free is not None
        column = next(x for x in range(60) if _gpu_at(room, x) == free)
        await pilot.click(FleetPane, offset=(2 + column, 1), times=2)
        await pilot.pause(0.1)
        assert isinstance(room.screen, FleetScreen)


def _gpu_at(room: Room, column: int) -> str | None:
    block = block_at(room.screen.query_one(FleetPane)._layout(), column, 0)
    return block.gpus[0] if block is not None else None


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_second_click_in_the_ticker_opens_the_experiment_of_the_line(at_once: bool) -> None:
    """Also of the first line, which a click brings to the middle."""
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.2)
        ticker = room.screen.query_one(TickerPane)
        row = next(y for y, text in enumerate(texts(ticker._lines)) if "e4" in text or "e5" in text)
        await pilot.click(TickerPane, offset=(20, 1 + row), times=2 if at_once else 1)
        if not at_once:
            await pilot.pause()
            assert isinstance(room.screen, Dashboard)
            under = next(y for y, line in enumerate(ticker._lines) if any("on cursor" in role for _, role in line))
            await pilot.click(TickerPane, offset=(20, 1 + under))
        await pilot.pause(0.1)
        assert isinstance(room.screen, DiffScreen)
        assert room.moment.selected in ("e4", "e5")
