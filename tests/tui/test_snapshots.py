"""What every screen looks like, in every size, and the dashboard in every condition: pictures kept beside the tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conditions import CONDITIONS, playback, removed
from pictures import check
from rooms import Room
from tapes import crossed, shared
from textual.pilot import Pilot
from textual.widgets import Input

from core.player import Player
from themes.loader import built_in
from tui.first_run import Survey
from tui.looks import ASCII, UNICODE, Glyphs, Looks
from tui.preferences import FILE, Preferences, preferences
from tui.screens.first_run import FirstRunApp

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
SCREENS = {  # the keys that lead there
    "dashboard": (), "detail": ("4",), "experiments": ("t",), "lineage": ("L",), "researcher": ("R",), "fleet": ("F",),
    "help": ("question_mark",), "diff": ("d",), "log": ("l",), "effects": ("e",),
}  # fmt: skip
SHARED = {"dashboard": (), "fleet": ("F",), "effects": ("e", "left_square_bracket")}  # of the wave that is finished
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


@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("screen", SHARED)
async def test_a_fleet_that_is_shared_looks_as_it_did(screen: str, size: str, theme: str) -> None:
    """Two GPU types, some GPUs with others, one broken, and factors that interact."""
    await shoot(Room(shared(), theme=theme), f"shared-{screen}-{size}-{theme}", SIZES[size], *SHARED[screen])


@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize("size", SIZES)
async def test_the_first_run_looks_as_it_did(size: str, theme: str, tmp_path: Path) -> None:
    known = Survey(folder=Path("/home/ada/gpt"), gpus={"H100": 13, "H200": 3}, free_gb=41.3, demo=Path("/data/demo"))
    app: Any = FirstRunApp(known, {}, chosen(tmp_path, theme))
    async with app.run_test(size=SIZES[size]) as pilot:
        await pilot.pause()
        await pilot.pause()
        check(app, f"first-run-{size}-{theme}")


def chosen(folder: Path, theme: str) -> Preferences:
    (folder / FILE).write_text(f'theme = "{theme}"')
    return preferences({}, folder=folder, encoding="utf-8")


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


@pytest.mark.parametrize("theme", ["night", "day"])
@pytest.mark.parametrize("condition", ["engine-down", "executor-lost", "budget-reached", "finished", "file-gone"])
async def test_a_condition_on_a_shared_fleet_looks_as_it_did(condition: str, theme: str) -> None:
    app = removed(shared(), theme=theme) if condition == "file-gone" else CONDITIONS[condition](shared(), theme=theme)
    await shoot(app, f"condition-{condition}-120x40-{theme}", (120, 40))


@pytest.mark.parametrize(("share", "name"), [(0.0, "begin"), (0.5, "middle"), (1.0, "end")])
async def test_playback_looks_as_it_did(tmp_path: Path, share: float, name: str) -> None:
    await play(playback(tmp_path), share, f"playback-{name}", (80, 24))


@pytest.mark.parametrize("screen", ["dashboard", "fleet"])
async def test_playback_of_a_shared_fleet_looks_as_it_did(tmp_path: Path, screen: str) -> None:
    await play(playback(tmp_path, shared()), 0.9, f"playback-{screen}-120x40", (120, 40), *SCREENS[screen])


async def play(app: Any, share: float, name: str, size: tuple[int, int], *keys: str) -> None:
    async with app.run_test(size=size) as pilot:
        player: Player = app.feed
        while not player.is_loaded:
            await pilot.pause(0.01)
        player.pause()
        player.seek(round(share * player.length))
        while player.state.seq != round(share * player.length):
            await pilot.pause(0.01)
        for key in keys:
            await pilot.press(key)
        await rest(pilot)
        check(app, name)


def poor(glyphs: Glyphs, *, no_color: bool) -> Room:
    room = Room(crossed())
    room.all_looks = {name: Looks(theme, no_color=no_color, glyphs=glyphs) for name, theme in built_in().items()}
    return room


async def test_without_colours_it_looks_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await shoot(poor(UNICODE, no_color=True), "no-color-120x40", (120, 40))


async def test_in_ascii_it_looks_as_it_did() -> None:
    await shoot(poor(ASCII, no_color=False), "ascii-120x40", (120, 40))
