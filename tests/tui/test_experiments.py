"""The screen of all experiments: its table, its filter, its marks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rooms import Room
from story import Story
from tapes import crossed

from core import events as ev
from core.commands import Veto
from core.fold import fold
from core.ids import ExperimentId, WaveId
from core.patch import Change
from core.state import State
from tui.glyphs import ASCII, UNICODE
from tui.paint import plain, width
from tui.screens.diff import DiffScreen
from tui.screens.experiments import ExperimentsScreen, Note
from tui.widgets.experiments import ExperimentTable, heading, row

STATE = fold(State(), crossed())


def shown(name: str, cells: int, *, is_marked: bool = False) -> str:
    return plain(row(STATE, STATE.experiments[ExperimentId(name)], cells, UNICODE, is_marked=is_marked))


def test_a_row_tells_state_result_runs_and_change() -> None:
    assert shown("e4", 120).split()[:6] == ["e4", "✓", "kept", "0.9916", "–", "2"]
    assert shown("e3", 120).split()[:4] == ["e3", "‼", "crashed", "–"]
    assert shown("e6", 120).split()[:4] == ["e6", "▶", "running", "57"]  # per cent of its budget
    assert shown("e0", 120).startswith("★ e0")
    assert shown("e4", 120, is_marked=True).startswith("▸ e4")


def test_columns_stand_under_their_titles_at_every_width() -> None:
    for cells in (40, 80, 100, 120, 200):
        top = heading(cells, "bpb", UNICODE, downward=False)
        below = row(STATE, STATE.experiments[ExperimentId("e4")], cells, UNICODE, is_marked=False)
        assert [len(text) for text, _ in top] == [len(text) for text, _ in below]
    assert plain(heading(80, "bpb", ASCII, downward=True)).split()[2] == "vval_bpb"


def hostile() -> list[ev.Fact]:
    story = Story()
    name = story.wave({"DEPTH": "8"})[0]
    bad = "[b]x[/b] \x1b[31m\x1b]0;own\x07 \u202e日本 e\u0301\u0301\u0301 \ud800 \t" + "y" * 100_000
    story.tell(
        ev.ExperimentProposed, experiment=ExperimentId("e2"), wave=WaveId("w1"), parent=name, change=Change(),
        digest="z", title=bad, hypothesis=bad,
    )  # fmt: skip
    story.tell(ev.ExperimentVetoed, experiment=ExperimentId("e2"), by=bad, reason=bad)
    return [*story.facts]


def test_hostile_titles_keep_to_their_cells() -> None:
    state = fold(State(), hostile())
    line = row(state, state.experiments[ExperimentId("e2")], 100, UNICODE, is_marked=False)
    assert width(line[:-1]) == 100
    assert "\x1b" not in plain(line)


@pytest.mark.asyncio
async def test_typing_narrows_the_list_and_escape_gives_it_back() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("t", "slash", *"is:open")
        screen = room.screen
        assert isinstance(screen, ExperimentsScreen)
        assert screen.table.ids == ("e6", "e7", "e8")
        assert "3 of 9 experiments" in said(screen)
        await pilot.press("enter")
        assert screen.table.has_focus
        assert screen.input.value == "is:open"
        assert room.moment.selected in screen.table.ids
        await pilot.press("escape")
        assert len(screen.table.ids) == 9
        assert room.screen is screen
        await pilot.press("escape")
        assert room.screen is not screen


def said(screen: ExperimentsScreen) -> str:
    return "".join(plain(line) for line in screen.query_one(Note)._lines)


@pytest.mark.asyncio
async def test_a_slash_on_the_dashboard_opens_the_list_in_its_filter() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"DEPTH=8")
        screen = room.screen
        assert isinstance(screen, ExperimentsScreen)
        assert screen.table.ids == ("e6", "e7", "e8")


@pytest.mark.asyncio
async def test_a_filter_that_cannot_be_read_says_so_and_keeps_the_list() -> None:
    room = Room(crossed())
    async with room.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "slash", *"wave:1", "space", *"bpb<")
        screen = room.screen
        assert isinstance(screen, ExperimentsScreen)
        assert "bpb< needs a number" in said(screen)
        assert len(screen.table.ids) == 8
        await pilot.press("1")
        assert "1 of 9 experiments" in said(screen)


@pytest.mark.asyncio
async def test_the_row_under_the_cursor_is_the_selection_and_enter_opens_its_diff() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("t", "home", "j", "j")
        assert room.moment.selected == "e2"
        await pilot.press("k")
        assert room.moment.selected == "e1"
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(room.screen, DiffScreen)
        await pilot.press("right_square_bracket")
        assert room.moment.selected == "e2"
        await pilot.press("escape")
        assert isinstance(room.screen, ExperimentsScreen)
        assert room.screen.table.key == "e2"


@pytest.mark.asyncio
async def test_several_are_marked_and_a_veto_is_for_all_of_them() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("t", "slash", *"is:open", "enter", "home", "m", "m")
        assert room.moment.marked == {"e6", "e7"}
        await pilot.press("M")
        assert room.moment.marked == {"e6", "e7", "e8"}
        await pilot.press("v")
        await pilot.press("y")
        await pilot.pause()
        assert [command.experiment for command in room.still.sent if isinstance(command, Veto)] == ["e6", "e7", "e8"]
        await pilot.press("M")
        assert room.moment.marked == frozenset()


@pytest.mark.asyncio
async def test_shift_and_an_arrow_mark_as_they_move_and_marks_go_with_the_screen() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("t", "home", "shift+down", "shift+down")
        assert room.moment.marked == {"e0", "e1", "e2"}
        await pilot.press("D")
        await pilot.pause()
        assert room.moment.marked == frozenset()


@pytest.mark.asyncio
async def test_the_column_that_sorts_is_turned_by_key_and_by_a_click_on_its_title() -> None:
    room = Room(crossed())
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("t", "o", "o")
        screen = room.screen
        assert isinstance(screen, ExperimentsScreen)
        assert (screen.table.sorted_by, screen.table.ids[0]) == ("bpb", "e4")
        await pilot.press("O")
        assert screen.table.ids[0] == "e1"
        await pilot.click(ExperimentTable, offset=(4, 0))
        assert (screen.table.sorted_by, screen.table.ids[0]) == ("id", "e0")
        await pilot.click(ExperimentTable, offset=(4, 3))
        assert room.moment.selected == "e2"


@pytest.mark.asyncio
async def test_new_experiments_appear_and_the_cursor_stays_on_its_own() -> None:
    story = Story()
    story.wave({"DEPTH": "8"}, {"DEPTH": "9"})
    room = Room(story.facts)
    async with room.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "O", "home", "down")
        screen = room.screen
        assert isinstance(screen, ExperimentsScreen)
        assert screen.table.key == "e1"
        story.wave({"DEPTH": "10"})
        room.moment = msgspec.structs.replace(room.moment, state=story.state)
        room.show_now()
        await pilot.pause()
        assert screen.table.ids == ("e3", "e2", "e1", "e0")
        assert screen.table.key == "e1"


@pytest.mark.asyncio
async def test_hostile_text_and_small_terminals_break_nothing() -> None:
    for size in ((120, 40), (20, 5)):
        room = Room(hostile())
        async with room.run_test(size=size) as pilot:
            await pilot.press("t", "end", "o", "o", "slash", *"[b]", "enter", "escape", "d", "L", "E")
            assert room.is_running


async def test_a_key_in_the_list_makes_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row, the list's place and what is said about the experiment come together."""
    story = Story(gpus=1)
    story.wave(*({"DEPTH": str(level)} for level in range(2, 60)))
    room = Room(story.facts)
    async with room.run_test(size=(120, 40)) as pilot:
        await pilot.press("t")
        await pilot.pause(0.3)
        before, frames, display = room.moment.selected, list[ExperimentId | None](), room._display

        def displayed(*given: Any) -> None:
            frames.append(room.moment.selected)
            display(*given)

        monkeypatch.setattr(room, "_display", displayed)
        await pilot.press("down")
        await pilot.pause(0.3)
        assert room.moment.selected != before
        assert frames == [room.moment.selected]
