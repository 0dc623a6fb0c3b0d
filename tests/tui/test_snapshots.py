"""What every screen looks like, in every size, and the dashboard in every condition: pictures kept beside the tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conditions import CONDITIONS, playback
from pictures import check
from rooms import Room
from tapes import crossed
from textual.pilot import Pilot
from textual.widgets import Input

from core.player import Player
from themes.loader import built_in
from tui.looks import ASCII, UNICODE, Glyphs, Looks

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
SCREENS = {  # the keys that lead there
    "dashboard": (), "detail": ("4",), "experiments": ("t",), "lineage": ("L",), "researcher": ("R",), "fleet": ("F",),
    "help": ("question_mark",), "diff": ("d",), "log": ("l",), "effects": ("e",),
}  # fmt: skip
WINDOWS = {
    "palette": ("ctrl+p",), "command": ("colon",), "jump": ("ctrl+o",), "veto": ("v",), "steer": ("s",),
    "marked": ("t", "m", "down", "m"), "zoom": ("3", "z"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_place_in_the_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local times are shown: everybody's are those of Greenwich here. Nobody's environment chooses the colours."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("USER", "ada")
    for name in ("NO_COLOR", "COLORTERM", "AUTORESEARCH_ASCII"):
        monkeypatch.delenv(name, raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


async def rest(pilot: Pilot[Any]) -> None:
    """Everything is worked out and drawn, and no cursor blinks."""
    app: Any = pilot.app
    for _ in range(3):
        await pilot.pause()
        if at_work := [each for each in app.workers if each.name != "feed"]:
            await app.workers.wait_for_complete(at_work)
    for field in app.screen.query(Input):
        field.cursor_blink = False
    app.show_now()
    await pilot.pause()


async def shoot(app: Any, name: str, size: tuple[int, int], *keys: str) -> None:
    async with app.run_test(size=size) as pilot:
        await rest(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await rest(pilot)
        check(app, name)


@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SCREENS)
async def test_a_screen_looks_as_it_did(screen: str, size: str, theme: str) -> None:
    await shoot(Room(crossed(), theme=theme), f"{screen}-{size}-{theme}", SIZES[size], *SCREENS[screen])


@pytest.mark.parametrize("window", WINDOWS)
async def test_a_window_on_top_looks_as_it_did(window: str) -> None:
    await shoot(Room(crossed()), f"{window}-80x24-night", (80, 24), *WINDOWS[window])


@pytest.mark.parametrize("theme", [name for name in built_in() if name not in ("night", "day")])
async def test_a_theme_looks_as_it_did(theme: str) -> None:
    await shoot(Room(crossed(), theme=theme), f"dashboard-120x40-{theme}", (120, 40))


async def test_a_wide_screen_looks_as_it_did() -> None:
    await shoot(Room(crossed()), "dashboard-200x60-night", (200, 60))


@pytest.mark.parametrize("condition", CONDITIONS)
async def test_a_condition_looks_as_it_did(condition: str) -> None:
    await shoot(CONDITIONS[condition](), f"condition-{condition}", (80, 24))


@pytest.mark.parametrize(("share", "name"), [(0.0, "begin"), (0.5, "middle"), (1.0, "end")])
async def test_playback_looks_as_it_did(tmp_path: Path, share: float, name: str) -> None:
    app: Any = playback(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        player: Player = app.feed
        while not player.is_loaded:
            await pilot.pause(0.01)
        player.pause()
        player.seek(round(share * player.length))
        while player.state.seq != round(share * player.length):
            await pilot.pause(0.01)
        await rest(pilot)
        check(app, f"playback-{name}")


def poor(glyphs: Glyphs, *, no_color: bool) -> Room:
    room = Room(crossed())
    room.all_looks = {name: Looks(theme, no_color=no_color, glyphs=glyphs) for name, theme in built_in().items()}
    return room


async def test_without_colours_it_looks_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await shoot(poor(UNICODE, no_color=True), "no-color-120x40", (120, 40))


async def test_in_ascii_it_looks_as_it_did() -> None:
    await shoot(poor(ASCII, no_color=False), "ascii-120x40", (120, 40))
