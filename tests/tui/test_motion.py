"""Reduced motion: nothing slides, fades or blinks."""

from __future__ import annotations

from pathlib import Path

import pytest
from rooms import Room
from tapes import crossed
from textual.widgets import Input

from tui.first_run import survey
from tui.preferences import FILE, Preferences, preferences
from tui.screens.first_run import FirstRunApp
from tui.window import LiveRoom, _preferred


@pytest.fixture(autouse=True)
def _motion_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textual.constants.TEXTUAL_ANIMATIONS", "full")


def chosen(folder: Path, text: str) -> Preferences:
    (folder / FILE).write_text(text)
    return preferences({}, folder=folder, encoding="utf-8")


@pytest.mark.parametrize(("text", "level"), [("reduced_motion = true", "none"), ("", "full")])
def test_a_wish_for_less_motion_reaches_every_window(tmp_path: Path, text: str, level: str) -> None:
    wish = chosen(tmp_path, text)
    assert LiveRoom(tmp_path, {}, read_only=True, chosen=wish).animation_level == level
    assert FirstRunApp(survey(tmp_path), {}, wish).animation_level == level
    looks = {name: each for name, each in _preferred(wish).items() if name != "looks"}
    assert Room(crossed(), **looks).animation_level == level


@pytest.mark.parametrize("reduced", [True, False])
async def test_the_cursor_blinks_only_where_motion_is_welcome(reduced: bool) -> None:
    app = Room(crossed(), reduced_motion=reduced)
    async with app.run_test(size=(80, 24)) as pilot:
        for keys in (("slash",), ("escape", "D", "s"), ("escape", "colon"), ("escape", "ctrl+p")):
            await pilot.press(*keys)
            await pilot.pause()
            assert isinstance(app.focused, Input)
            assert app.focused.cursor_blink is not reduced
