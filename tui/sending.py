"""From a key to commands of the core: asks what is to be asked, sends what can be done, says what cannot be and why.

One key press on several experiments is one deed: it is told in one sentence, and `u` takes all of it back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec

from core.commands import Command
from core.errors import AutoresearchError
from core.ids import CommandId
from tui.deeds import TOGETHER, deed, sort_out, taken_back, told
from tui.moment import Moment
from tui.safe import line
from tui.screens.ask import Answer, Confirm, Prompt
from tui.wishes import question, why_question, wish

if TYPE_CHECKING:
    from tui.app import ControlRoom

REASONED = ("veto", "stop_run")  # what is asked about and may be given a reason
GROUPS = 50  # key presses on several experiments that are remembered, for undo


def ask(room: ControlRoom, name: str, moment: Moment, text: str = "") -> None:
    """Asks what is to be asked, then sends. What was chosen before asking is what it is done to."""
    if name == "veto_because":
        _ask_why(room, "veto", moment)
    elif asked := question(name, moment):
        verb = name.replace("_", " ")
        may_say_why = name in REASONED and not text

        def answered(answer: Answer | None) -> None:
            if answer == "why":
                _ask_why(room, name, moment)
            elif answer == "yes":
                carry_out(room, name, moment, text)

        room.push_screen(Confirm(line(asked), verb, may_say_why=may_say_why), answered)
    elif name == "steer" and not text:
        room.push_screen(
            Prompt("A note to the researcher"), lambda said: carry_out(room, name, moment, said) if said else None
        )
    else:
        carry_out(room, name, moment, text)


def _ask_why(room: ControlRoom, name: str, moment: Moment) -> None:
    """A line for the reason, which is also the question whether; enter alone gives none."""
    verb = name.replace("_", " ")
    hint = f"the researcher reads it   enter: {verb}, also without a reason   esc: no {verb}"
    room.push_screen(
        Prompt(line(why_question(name, moment)), hint=hint, may_be_empty=True),
        lambda said: carry_out(room, name, moment, said) if said is not None else None,
    )


def carry_out(room: ControlRoom, name: str, moment: Moment, text: str) -> None:
    if name == "start_engine":
        room.start_engine()
        return
    made = wish(name, moment, text)
    if isinstance(made, str):
        room.notify(made, severity="warning")
    elif name == "undo":
        _take_back(room, moment, made[0])
    elif len(made) == 1:
        _send(room, made)
    else:
        _send_many(room, name, made)


def _send_many(room: ControlRoom, name: str, made: Sequence[Command]) -> None:
    """As the state is now: it may have moved on while the question stood."""
    possible, reasons = sort_out(room.moment.state, made)
    sent = _send(room, possible, f"{TOGETHER}{token_hex(6)}")
    if sent:
        room.groups = [*room.groups, frozenset(map(deed, possible))][-GROUPS:]
    if sent or not possible:
        room.notify(told(name, len(possible), reasons), severity="warning" if reasons else "information")


def _take_back(room: ControlRoom, moment: Moment, undo: Command) -> None:
    phrases = taken_back(room.moment.state, moment.operator, [*room.memory.groups.values(), *room.groups])
    if _send(room, [undo] * max(1, len(phrases))) and phrases:
        more = f" and {len(phrases) - 3} more" if len(phrases) > 3 else ""
        room.notify(f"Taking back: {', '.join(phrases[:3])}{more}.", timeout=4)


def _send(room: ControlRoom, commands: Sequence[Command], name: str = "") -> bool:
    """Whether all were sent. Those of one key press have one `name`, which the log keeps: another window knows it."""
    try:
        for command in commands:
            room.feed.dispatch(msgspec.structs.replace(command, at=time.time(), id=CommandId(name)))
    except AutoresearchError as error:
        room.notify(str(error), severity="error")
        return False
    if commands and not room.is_alive:
        room.notify("No engine is running; this takes effect when one starts.")
    return True
