"""The help screen's text, the palette's matching, and the screens of ":" and jump mode."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rooms import Room
from story import Story
from tapes import crossed
from textual.pilot import Pilot
from textual.widgets import Input

from core import commands as c
from core import events as ev
from core.fold import fold
from core.ids import ExperimentId, WaveId
from core.patch import Change
from core.state import State
from tui.actions import ACTIONS, is_there
from tui.glyphs import ASCII, UNICODE
from tui.keys import keymap
from tui.manual import manual
from tui.moment import Moment
from tui.paint import plain, width
from tui.palette import Entry, Palette, display, match
from tui.preferences import FILE, settings_folder
from tui.screens.ask import Confirm
from tui.screens.command import CommandLine, Offers, Typed
from tui.screens.dashboard import Dashboard
from tui.screens.effects import EffectsScreen
from tui.screens.experiments import ExperimentsScreen
from tui.screens.fleet import FleetScreen
from tui.screens.help import HelpScreen
from tui.screens.jump import Jump, Label

STATE = fold(State(), crossed())
LIVE = Moment(state=STATE, mode="live", now=STATE.at, selected=ExperimentId("e6"), wave=WaveId("w1"))
HOSTILE = "[bold]x[/] [/nope] \x1b[31mred \x1b]0;t\x07 \u202e漢字 \udcff" + "y" * 10_000


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [30, 76, 116, 196])
def test_help_shows_every_action_that_is_there_and_fits(cells: int) -> None:
    lines = manual(LIVE, {}, cells, UNICODE)
    assert all(width(line) <= cells for line in lines)
    said = " ".join(" ".join(map(plain, lines)).split())
    for action in ACTIONS:
        if is_there(action, LIVE) and cells == 76:  # one column: sentences are whole
            assert action.help in said


def test_help_uses_the_room_it_has() -> None:
    heights = [len(manual(LIVE, {}, cells, UNICODE)) for cells in (76, 116, 196)]
    assert heights[0] > heights[1] > heights[2]


def test_help_shows_keys_as_they_are_mapped() -> None:
    chosen = keymap({"veto": "V", "rerun": "v"}).keys
    rows = [plain(line) for line in manual(LIVE, chosen, 76, UNICODE)]
    assert any(row.startswith("       V Veto") for row in rows)
    assert any(row.startswith("       v Run the selected") for row in rows)
    assert any(row.startswith("    none ") for row in manual_rows(keymap({"veto": "r"}).keys))


def manual_rows(chosen: Any) -> list[str]:
    return [plain(line) for line in manual(LIVE, chosen, 76, UNICODE)]


def test_help_says_why_something_is_impossible_and_a_common_reason_once() -> None:
    assert "No wave waits for approval." in "\n".join(manual_rows({}))
    playback = msgspec.structs.replace(LIVE, mode="playback")
    said = "\n".join(plain(line) for line in manual(playback, {}, 76, UNICODE))
    assert said.count("This is a recording") == 1
    assert "Faster, up to 1000 times." in said


def test_a_read_only_window_says_what_is_left_out() -> None:
    said = "\n".join(plain(line) for line in manual(msgspec.structs.replace(LIVE, read_only=True), {}, 76, UNICODE))
    assert "This window is read-only" in said
    assert "Veto the selected" not in said


def test_the_legend_has_ascii_twins() -> None:
    assert all(plain(line).isascii() for line in manual(LIVE, {}, 116, ASCII) if "Signs" not in plain(line))


# --- the palette ------------------------------------------------------------------------------------------------------


def test_a_whole_word_matches_best_then_a_beginning_a_part_and_letters_in_order() -> None:
    scores = [match("e12", text)[0] for text in ("go to e12 x", "go to e123", "some12", "eleven 1 and 2", "e21")]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1.0
    assert scores[-1] == 0.0
    assert match("", "anything")[0] == 0.0


def test_titles_are_never_markup() -> None:
    entry = Entry("go to e1 [bold]x[/] [/nope]", "[red]", lambda: None)
    assert "go to e1 [bold]x[/] [/nope]" in display(entry, match("nope", entry.name)[1]).plain


def drive(app: Room, steps: Callable[[Pilot[Any]], Awaitable[None]], size: tuple[int, int] = (120, 40)) -> None:
    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            app.show_now()
            await steps(pilot)

    asyncio.run(run())


async def palette(pilot: Pilot[Any], text: str) -> None:
    await pilot.press("ctrl+p")
    assert isinstance(pilot.app.screen, Palette)
    pilot.app.screen.query_one(Input).value = text
    await pilot.pause(0.3)


async def choose(pilot: Pilot[Any]) -> None:
    """The first enter may come before something is highlighted."""
    for _ in range(20):
        if not isinstance(pilot.app.screen, Palette):
            break
        await pilot.press("enter")
        await pilot.pause(0.1)
    await pilot.pause(0.1)


def test_the_palette_carries_out_what_is_chosen() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await palette(pilot, "fleet")
        await choose(pilot)
        assert isinstance(app.screen, FleetScreen)
        await palette(pilot, "go to e3")
        await choose(pilot)
        assert app.moment.selected == "e3"
        assert isinstance(app.screen, Dashboard)

    drive(app, steps)


@pytest.mark.parametrize("key", ["question_mark", "R", "t", "F"])
@pytest.mark.parametrize("name", ["e3", "w1"])
def test_what_is_gone_to_is_shown_wherever_one_was(key: str, name: str) -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press(key)
        await pilot.pause()
        assert not isinstance(app.screen, Dashboard)
        await palette(pilot, f"go to {name}")
        await choose(pilot)
        assert isinstance(app.screen, Dashboard)
        assert name in (app.moment.selected, app.moment.wave)

    drive(app, steps)


def test_a_theme_is_previewed_kept_only_if_chosen_and_then_remembered() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await palette(pilot, "theme: day")
        await pilot.press("down")
        await pilot.pause()
        assert app.theme == "day"
        await pilot.press("escape")
        await pilot.pause()
        assert app.theme == "night"
        await palette(pilot, "theme: day")
        await choose(pilot)
        assert app.theme == "day"

    drive(app, steps)
    assert 'theme = "day"' in (settings_folder() / FILE).read_text()


def test_hostile_titles_do_no_harm_in_palette_and_command_line() -> None:
    story = Story()
    wave = WaveId("w1")
    story.tell(ev.WavePlanned, wave=wave, parent=ExperimentId("e0"), reason=HOSTILE)
    story.tell(
        ev.ExperimentProposed, experiment=ExperimentId("e1"), wave=wave, parent=ExperimentId("e0"),
        change=Change(settings={"DEPTH": "6"}), digest="d", title=HOSTILE,
    )  # fmt: skip

    async def steps(pilot: Pilot[Any]) -> None:
        await palette(pilot, "go to")
        await pilot.press("escape")
        await pilot.press("colon", *"diff e")
        await pilot.pause()
        assert pilot.app.screen.query_one(Offers).found

    drive(Room(story.facts), steps)


# --- ":" --------------------------------------------------------------------------------------------------------------


async def typed(pilot: Pilot[Any], text: str) -> None:
    await pilot.press("colon")
    assert isinstance(pilot.app.screen, CommandLine)
    pilot.app.screen.query_one(Typed).put(text)
    await pilot.press("enter")
    await pilot.pause(0.1)


def test_commands_are_carried_out_on_what_they_name() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await typed(pilot, "promote e8")
        assert app.still.sent[-1] == msgspec.structs.replace(
            c.Promote(experiment=ExperimentId("e8")), at=app.still.sent[-1].at
        )
        selected = app.moment.selected
        await typed(pilot, "veto e6 far too slow")
        assert isinstance(app.screen, Confirm)
        await pilot.press("y")
        await pilot.pause()
        veto = app.still.sent[-1]
        assert isinstance(veto, c.Veto)
        assert (veto.experiment, veto.reason) == ("e6", "far too slow")
        assert app.moment.selected == selected
        await typed(pilot, "steer try a larger batch")
        note = app.still.sent[-1]
        assert isinstance(note, c.Note)
        assert note.text == "try a larger batch"

    drive(app, steps)


def test_commands_go_places() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await typed(pilot, "effects w1")
        assert isinstance(app.screen, EffectsScreen)
        await typed(pilot, "e3")
        assert isinstance(app.screen, Dashboard)
        assert app.moment.selected == "e3"
        await typed(pilot, "experiments verdict:kept")
        assert isinstance(app.screen, ExperimentsScreen)
        assert app.screen.input.value == "verdict:kept"
        await typed(pilot, "theme contrast")
        assert app.theme == "contrast"

    drive(app, steps)


def test_nonsense_is_said_and_sends_nothing() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        for text in ("vteo e6", "veto e99", "", "undo", "seek 50%"):
            await typed(pilot, text)
        assert app.still.sent == []
        assert isinstance(app.screen, Dashboard)

    drive(app, steps)


def test_tab_completes_up_goes_back_in_time_and_backspace_on_nothing_leaves() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await typed(pilot, "fleet")
        await pilot.press("colon", *"effec", "tab", "tab")
        field = app.screen.query_one(Typed)
        assert field.value == "effects w1 "
        await pilot.press("up")
        assert field.value == "fleet"
        await pilot.press("down")
        assert field.value == "effects w1 "
        field.put("")
        await pilot.press("backspace")
        assert isinstance(app.screen, FleetScreen)

    drive(app, steps)


@pytest.mark.parametrize("size", [(20, 5), (80, 24)])
def test_the_command_line_opens_on_any_screen_size(size: tuple[int, int]) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("colon", "v")
        assert isinstance(pilot.app.screen, CommandLine)

    drive(Room(crossed()), steps, size)


# --- jump and help ----------------------------------------------------------------------------------------------------


def test_jump_shows_a_letter_per_pane_and_focuses_the_one_pressed() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("ctrl+o")
        assert isinstance(app.screen, Jump)
        assert len(app.screen.query(Label)) == 5
        await pilot.press("a")
        await pilot.pause()
        assert app.focused is not None
        assert app.focused.id == "fleet"
        await pilot.press("ctrl+o", "f3")
        await pilot.pause()
        assert isinstance(app.screen, Dashboard)
        assert app.focused.id == "fleet"

    drive(app, steps)


def test_help_opens_scrolls_and_its_key_closes_it() -> None:
    app = Room(crossed())

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("question_mark", "j", "G", "k", "g", "ctrl+d")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("question_mark")
        assert isinstance(app.screen, Dashboard)

    drive(app, steps, (80, 24))


def test_a_remapped_key_works_and_its_old_key_does_not() -> None:
    app = Room(crossed(), keys=keymap({"fleet": "f9"}).keys)

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("F")
        assert isinstance(app.screen, Dashboard)
        await pilot.press("f9")
        assert isinstance(app.screen, FleetScreen)

    drive(app, steps)
