"""Going from screen to screen, and what leaves the screen: the clipboard, the marks that keys act on."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pictures import strips
from rooms import Room
from tapes import crossed
from textual import events

from tui.screens.ask import Confirm
from tui.screens.diff import DiffScreen
from tui.screens.experiments import ExperimentsScreen
from tui.screens.fleet import FleetScreen
from tui.terminal import COPY_LIMIT


class Window(Room):
    """What is written past the screen and said is kept."""

    def __init__(self, **app: Any) -> None:
        super().__init__(crossed(), **app)
        self.told: list[str] = []

    def notify(self, message: str, **_: Any) -> None:
        self.told.append(message)


async def test_going_to_and_fro_piles_up_no_screens() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "d", "t", "d", "t")
        assert isinstance(app.screen, ExperimentsScreen)
        assert len(app.screen_stack) == 3  # Textual's own, the dashboard, the table
        await pilot.press("d", "F", "d")
        assert isinstance(app.screen, DiffScreen)
        assert len(app.screen_stack) == 4
        await pilot.press("escape", "escape")
        assert len(app.screen_stack) == 2


async def test_the_filter_is_found_again_where_it_was_left() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"kept", "enter", "d", "slash")
        await pilot.pause()
        assert isinstance(app.screen, ExperimentsScreen)
        assert app.screen.input.value == "kept"
        assert app.screen.input.has_focus
        assert len(app.screen_stack) == 3


async def test_what_is_marked_is_said_on_every_screen() -> None:
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "m", "down", "m", "d")
        await pilot.pause()
        assert isinstance(app.screen, DiffScreen)
        assert "2 experiments marked" in strips(app)[0].text


async def test_the_fleet_opens_where_the_selected_experiment_runs() -> None:
    app = Window()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        app.show_now()
        before = app.moment.selected
        await pilot.press("F")
        await pilot.pause()
        assert isinstance(app.screen, FleetScreen)
        assert app.moment.selected == before == "e6"
        assert "H1001" in str(app.screen.query_one("#gpus").key)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "whole"), [("a patch\n", True), ("x" * (COPY_LIMIT + 1), False)])
async def test_a_copy_goes_to_the_clipboard_of_the_person_and_says_if_it_is_cut(
    text: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMUX", "STY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    app = Window()
    async with app.run_test(size=(80, 24)):
        driver: Any = app._driver
        written: list[str] = []
        driver.write = written.append
        app.copy_to_clipboard(text)
        copied = written[0].removeprefix("\x1b]52;c;").removesuffix("\x07")
        assert base64.b64decode(copied) == text[:COPY_LIMIT].encode()
        assert [said for said in app.told if "first 70,000 bytes" in said] == ([] if whole else app.told)
        assert bool(app.told) is not whole


async def test_keys_typed_right_behind_a_command_are_not_lost() -> None:
    """A slow line brings them all at once."""
    app = Window()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.show_now()
        for key, character in [("colon", ":"), ("e", "e"), ("7", "7"), ("enter", "\r"), ("v", "v")]:
            app.post_message(events.Key(key, character))
        for _ in range(5):
            await pilot.pause()
        assert isinstance(app.screen, Confirm)
        assert "Veto e7?" in "".join(strip.text for strip in strips(app))
