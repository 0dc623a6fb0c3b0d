"""Carries out what was typed behind ":" in a control room: looks there, then does the action of the table.

What the words mean stands in `tui.spoken`; what an action does, in the control room and its screens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tui.actions import BY_ID, why_not
from tui.here import is_here
from tui.messages import Selected, WaveChosen
from tui.moment import Moment
from tui.preferences import remember_theme
from tui.safe import line
from tui.screens.experiments import ExperimentsScreen
from tui.screens.room import Room
from tui.spoken import Heard, hear

if TYPE_CHECKING:
    from tui.app import ControlRoom


async def obey(room: ControlRoom, said: str) -> None:
    heard = hear(said, room.moment, list(room.all_looks))
    if heard.wrong:
        room.notify(heard.wrong, severity="warning", markup=False)
    elif heard.theme:
        choose_theme(room, heard.theme)
    elif heard.action:
        await _do(room, heard)


def choose_theme(room: ControlRoom, name: str) -> None:
    """Shows it and remembers it for this person; the settings folder of a window over `serve` is another's."""
    room.theme = name
    if room.guest:
        return
    if sentence := remember_theme(name):
        room.complain(sentence)


async def _do(room: ControlRoom, heard: Heard) -> None:
    action = BY_ID[heard.action]
    about = _about(room.moment, heard)
    if reason := why_not(action, about):
        room.notify(line(reason), severity="warning", timeout=4, markup=False)
    elif action.commands:
        room.command(action.id, about, heard.text)
    elif heard.action == "seek":
        room.seek(heard.text)
    else:
        _look(room, heard)
        is_named = heard.experiment or heard.wave or heard.text
        if is_named and is_here(action.id, room.moment.screen) and isinstance(room.screen, Room):
            room.screen.act(action.id)
        else:
            await room.action_do(action.id)
        if heard.text and isinstance(room.screen, ExperimentsScreen):
            room.call_after_refresh(_narrow, room.screen, heard.text)


def _narrow(screen: ExperimentsScreen, text: str) -> None:
    screen.input.value = text


def _about(moment: Moment, heard: Heard) -> Moment:
    """The moment as if the cursor were on what was named: the window itself stays where it looks.

    On no screen: what is typed goes where it means something.
    """
    moment = msgspec.structs.replace(moment, screen="")
    if heard.experiment is None:
        return moment
    return msgspec.structs.replace(moment, selected=heard.experiment, marked=frozenset())


def _look(room: ControlRoom, heard: Heard) -> None:
    if heard.wave is not None:
        room.on_wave_chosen(WaveChosen(heard.wave))
    if heard.experiment is not None:
        wave = room.moment.state.experiments[heard.experiment].wave
        if heard.action == "dashboard" and wave is not None:
            room.on_wave_chosen(WaveChosen(wave))
        room.on_selected(Selected(heard.experiment))
