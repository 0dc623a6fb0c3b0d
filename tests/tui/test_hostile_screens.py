"""No screen gives way to what is written in experiments, logs, notes and names, nor to any size of terminal."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import hostile
import pytest
from moments import hostile_session
from pictures import strips
from rooms import Room
from tapes import crossed
from textual import events
from textual.geometry import Size
from textual.pilot import Pilot

from core import events as ev

SCREENS = {
    "dashboard": (), "detail": ("4",), "curve": ("4", "4"), "tail": ("4", "4", "4"), "why": ("4", "left"),
    "experiments": ("t",), "filter": ("slash",), "lineage": ("L", "E"), "researcher": ("R",), "fleet": ("F",),
    "help": ("question_mark",), "diff": ("d",), "log": ("l",), "effects": ("e",), "palette": ("ctrl+p",),
    "command": ("colon",), "jump": ("ctrl+o",), "veto": ("v",), "steer": ("s",), "stop": ("k",), "zoom": ("z",),
}  # fmt: skip
TYPED = ("palette", "command", "jump", "veto", "steer", "stop", "filter")  # where keys are text or an answer
MOVES = ("down", "right", "end", "left_square_bracket", "up")


def told_by_models() -> tuple[ev.Fact, ...]:
    """Titles, reasons, log tails and source code; `hostile_session` has names of GPUs, factors and operators."""
    return tuple(hostile.told().facts)


SESSIONS: dict[str, Callable[[], Sequence[ev.Fact]]] = {"names": hostile_session, "texts": told_by_models}


def assert_whole(app: Any) -> None:
    """Each line is exactly as wide as the screen, and holds nothing that a terminal obeys."""
    width, height = app.size
    found = strips(app)
    assert len(found) == height
    for strip in found:
        assert sum(segment.cell_length for segment in strip) == width, strip.text
        assert not hostile.BAD.search(strip.text), repr(strip.text)
        assert strip.text.isprintable(), repr(strip.text)


async def there(app: Room, pilot: Pilot[Any], *keys: str) -> None:
    """From the dashboard, as it was found."""
    await pilot.pause()
    while len(app.screen_stack) > 2:
        app.pop_screen()
        await pilot.pause()
    app.screen.minimize()
    app.screen.query_one("#wave").focus()
    app.show_now()
    for key in keys:
        await pilot.press(key)
    await pilot.pause()


@pytest.mark.parametrize(("session", "size"), [("names", (120, 40)), ("texts", (80, 24)), ("texts", (200, 60))])
async def test_hostile_words_stay_in_their_cells_on_every_screen(session: str, size: tuple[int, int]) -> None:
    app = Room(SESSIONS[session]())
    async with app.run_test(size=size) as pilot:
        for screen, keys in SCREENS.items():
            await there(app, pilot, *keys)
            assert_whole(app)
            for key in MOVES if screen not in TYPED else ():
                await pilot.press(key)
                assert_whole(app)
            assert app._exception is None, screen


async def test_every_screen_lives_through_fifty_sizes_in_a_row() -> None:
    dice, app = random.Random(0), Room(crossed())
    async with app.run_test(size=(120, 40)) as pilot:
        for screen, keys in SCREENS.items():
            await there(app, pilot, *keys)
            for _ in range(50):  # faster than they can be drawn
                size = Size(dice.randint(20, 200), dice.randint(5, 60))
                app._driver._size = size  # type: ignore[union-attr]
                app.post_message(events.Resize(size, size))
            await pilot.pause()
            await pilot.resize_terminal(*dice.choice([(20, 5), (80, 24), (200, 60)]))
            await pilot.pause()
            assert_whole(app)
            assert app._exception is None, screen


async def test_a_terminal_of_twenty_by_five_takes_every_key() -> None:
    app = Room(crossed())
    async with app.run_test(size=(20, 5)) as pilot:
        for screen, keys in SCREENS.items():
            await there(app, pilot, *keys, "down", "end", "left")
            assert_whole(app)
            assert app._exception is None, screen


async def test_hostile_notices_are_shown_as_they_are_read() -> None:
    app = Room(crossed())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await there(app, pilot)
        app.complain(hostile.TEXT)
        await pilot.pause(0.3)
        assert "gnp.exe" in "".join(strip.text for strip in strips(app))
        assert_whole(app)
