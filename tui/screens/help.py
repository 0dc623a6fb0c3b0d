"""The help screen: every key, by group, as it is mapped now."""

from __future__ import annotations

import msgspec
from textual.app import ComposeResult

from tui.actions import ACTIONS, is_there, why_not
from tui.manual import manual
from tui.moment import Moment
from tui.paint import Line
from tui.remembered import Remembered
from tui.screens.room import Room
from tui.widgets.reader import Reader


class Manual(Reader):
    def __init__(self, id: str) -> None:  # noqa: A002
        super().__init__(id=id, classes="pane")
        self._kept: Remembered[list[Line]] = Remembered()

    def text(self, moment: Moment, width: int) -> list[Line]:
        keys: dict[str, str] = self.app.keys  # type: ignore[attr-defined]
        moment = msgspec.structs.replace(moment, screen="")  # it tells of all screens, not of this one
        reasons = "\n".join(f"{is_there(action, moment)}{why_not(action, moment)}" for action in ACTIONS)
        return self._kept.get((reasons, width), lambda: manual(moment, keys, width, self.looks.glyphs))


class HelpScreen(Room):
    def compose_body(self) -> ComposeResult:
        reader = Manual(id="manual")
        reader.border_title = "Help"
        reader.border_subtitle = "esc: back"
        yield reader

    def on_mount(self) -> None:
        self.query_one(Manual).focus()

    def act(self, action: str) -> bool:
        if action == "help":  # the key that opened it closes it
            self.control.pop_screen()
            return True
        return super().act(action)
