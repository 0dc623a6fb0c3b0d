"""The table of actions: one row each. Bindings, footer, command palette, help screen and the README's table are made
from it. `why_not` says why an action is impossible now; it is the only place that dims a key.

Ids are stable: settings remap keys by them. Knows no widget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from core.commands import refusal
from core.player import SPEEDS
from tui.here import why_not_here
from tui.moment import Moment, Tape
from tui.wishes import wish

Group = Literal["research", "look", "go", "move", "playback", "program"]
GROUPS: dict[Group, str] = {
    "research": "Research",
    "look": "Look",
    "go": "Go to",
    "move": "Move",
    "playback": "Playback",
    "program": "Program",
}


class Action(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    keys: tuple[str, ...]  # as Textual names them; the first is shown
    label: str  # in the footer: one or two words
    help: str  # a sentence
    group: Group
    commands: bool = False  # sends a command: gone in read-only windows, dimmed in playback
    dangerous: bool = False  # asks first where something would be lost
    only: Literal["", "live", "playback"] = ""
    footer: int = 0  # 1 is shown first; 0: not in the footer

    @property
    def shown_key(self) -> str:
        return shown(self.keys[0])


def _research(id_: str, keys: str, label: str, text: str, *, dangerous: bool = False, footer: int = 0) -> Action:
    return Action(
        id=id_, keys=tuple(keys.split()), label=label, help=text, group="research", commands=True, only="live",
        dangerous=dangerous, footer=footer,
    )  # fmt: skip


def _row(group: Group, id_: str, keys: str, label: str, text: str, footer: int = 0) -> Action:
    only: Literal["", "playback"] = "playback" if group == "playback" else ""
    return Action(id=id_, keys=tuple(keys.split()), label=label, help=text, group=group, only=only, footer=footer)


ACTIONS: tuple[Action, ...] = (
    _research("veto", "v", "veto", "Veto the selected experiment; if it runs, asks first.", dangerous=True, footer=2),
    _research("veto_because", "W", "veto, why", "Veto it with a reason, which the researcher reads.", dangerous=True),
    _research("promote", "p", "promote", "The selected experiment first; or look again at a discarded one.", footer=3),
    _research("undo", "u", "undo", "Take back your last command while that is possible.", footer=8),
    _research("rerun", "r", "rerun", "Run the selected experiment once more, with another seed.", footer=9),
    _research("stop_run", "k ctrl+k", "stop run", "Stop the experiment's run; asks first.", dangerous=True, footer=10),
    _research("pause", "space", "pause", "Pause research, or go on; nothing is launched while it is paused.", footer=4),
    _research("steer", "s", "steer", "Write a note to the researcher; it reaches the next plan.", footer=5),
    _research("gate", "a", "gate", "Approval gate on or off: while on, waves wait for y.", footer=11),
    _research("approve", "y", "approve", "Let the waiting wave run.", footer=1),
    _research("more_gpus", "plus", "more", "On a row of the fleet: one GPU of its type more may be used."),
    _research("fewer_gpus", "minus", "fewer", "One GPU fewer; what runs beyond the limit finishes."),
    _research("start_engine", "S", "start engine", "Start the engine of this workspace again.", footer=1),
    _research("stop_engine", "Q", "stop engine", "Stop the engine; asks first. It can go on later.", dangerous=True),
    _row("look", "open", "enter", "open", "Open what is under the cursor.", 6),
    _row("look", "diff", "d", "diff", "The change of train.py, full screen.", 7),
    _row("look", "log", "l", "log", "The log of the selected experiment's run."),
    _row("look", "effects", "e", "effects", "What the wave in view says: effects, the predicted best.", 12),
    _row("look", "axis", "x", "axis", "The chart over experiments or over time."),
    _row("look", "wave_back", "left_square_bracket", "wave", "The wave before."),
    _row("look", "wave_on", "right_square_bracket", "wave", "The wave after; the latest follows what is new."),
    _row("look", "filter", "slash", "filter", "Filter experiments: text, verdict:kept, bpb<0.98, DEPTH=8.", 13),
    _row("look", "copy", "c", "copy", "Copy what is shown to your clipboard; works over SSH.", 16),
    _row("look", "zoom", "z", "zoom", "Give the focused pane the whole screen, and back."),
    _row("go", "experiments", "t", "table", "All experiments: sort, filter, select several.", 14),
    _row("go", "lineage", "L", "lineage", "The tree of kept changes, with the gain of each step."),
    _row("go", "researcher", "R", "researcher", "What the researcher said and planned, and what it cost."),
    _row("go", "fleet", "F", "fleet", "Nodes, GPUs, who holds them, and what happened to them."),
    _row("go", "dashboard", "D", "dashboard", "Back to the dashboard."),
    _row("go", "command", "colon", "command", 'Type a command: ":veto e42", ":e42", ":fleet", ":quit".', 15),
    _row("go", "jump", "ctrl+o", "jump", "Jump: every pane shows a letter; press it."),
    _row("move", "top", "g", "first", "The first row."),
    _row("move", "bottom", "G", "last", "The last row."),
    _row("move", "next_pane", "tab", "next pane", "The next pane; shift+tab: the one before."),
    _row("move", "pane_1", "1", "fleet", "The fleet."),
    _row("move", "pane_2", "2", "wave", "The wave."),
    _row("move", "pane_3", "3", "chart", "The chart."),
    _row("move", "pane_4", "4", "detail", "The detail of the selection; again: its next tab."),
    _row("move", "pane_5", "5", "ticker", "What happened."),
    _row("move", "pane_6", "6", "table", "All experiments."),
    _row("playback", "play", "space", "play", "Play or pause.", 1),
    _row("playback", "faster", "right_parenthesis", "faster", "Faster, up to 1000 times.", 2),
    _row("playback", "slower", "left_parenthesis", "slower", "Slower, down to real time.", 3),
    _row("playback", "next_event", "full_stop", "event", "One fact on."),
    _row("playback", "previous_event", "comma", "event", "One fact back."),
    _row("playback", "next_experiment", "greater_than_sign", "experiment", "To the next verdict.", 4),
    _row("playback", "previous_experiment", "less_than_sign", "experiment", "To the verdict before."),
    _row("playback", "next_wave", "right_curly_bracket", "wave", "To the next wave.", 5),
    _row("playback", "previous_wave", "left_curly_bracket", "wave", "To the wave before."),
    _row("playback", "next_kept", "asterisk", "kept", "To the next kept change.", 6),
    _row("playback", "seek", "percent_sign", "seek", 'Go to a share or time: "50%", "1h30m", "e42".', 7),
    _row("program", "help", "question_mark", "help", "All keys.", 17),
    _row("program", "palette", "ctrl+p", "palette", "Every action, experiment and theme, by name."),
    _row("program", "back", "escape", "back", "Back: closes what is on top, clears the filter or the marks."),
    _row("program", "suspend", "ctrl+z", "suspend", "Give the terminal back to the shell for a while; `fg` returns."),
    _row("program", "leave", "q", "leave", "Leave; the research goes on.", 18),
)  # fmt: skip
BY_ID = {action.id: action for action in ACTIONS}

_SHOWN = {
    "left_square_bracket": "[", "right_square_bracket": "]", "slash": "/", "colon": ":", "question_mark": "?",
    "right_parenthesis": ")", "left_parenthesis": "(", "full_stop": ".", "comma": ",", "greater_than_sign": ">",
    "less_than_sign": "<", "right_curly_bracket": "}", "left_curly_bracket": "{", "asterisk": "*",
    "percent_sign": "%", "escape": "esc", "plus": "+", "minus": "-",
}  # fmt: skip


def shown(key: str) -> str:
    """A key as people write it: "[", "ctrl+p", "esc"."""
    return _SHOWN.get(key, key)


def is_there(action: Action, moment: Moment) -> bool:
    """Whether the action exists in this window at all; one that does not is neither bound nor shown."""
    if moment.mode == "playback":
        return action.only != "live" or action.id not in ("pause", "start_engine")  # its key plays
    return action.only != "playback" and not (action.commands and moment.read_only)


def is_left_out(action: Action, moment: Moment) -> bool:
    """Whether its key says that the window is read-only, instead of nothing."""
    return action.commands and moment.read_only and moment.mode != "playback"


def why_not(action: Action, moment: Moment) -> str:
    """ "" if it is possible now; else a sentence that says why it is dimmed."""
    if action.commands and moment.mode == "playback":
        return "This is a recording: it can be watched, not changed."
    if action.commands and moment.read_only:
        return "This window is read-only."
    if action.only == "playback" and moment.mode != "playback":
        return "This is a live session: there is nothing to play."
    if action.commands:
        return _refused(action, moment)
    return why_not_here(action.id, moment.screen) or _LOOKS.get(action.id, _never)(moment)


def _refused(action: Action, moment: Moment) -> str:
    if moment.is_gone:
        return "The session's file is gone; put it back, or leave and begin anew."
    if action.id == "start_engine":
        return "" if moment.mode in ("down", "finished") else "The engine is running."
    if action.id == "stop_engine" and moment.mode in ("down", "finished"):
        return "No engine is running, so there is nothing to stop."
    made = wish(action.id, moment)
    if isinstance(made, str):
        return made
    if action.id == "steer":  # its text is asked for afterwards
        return ""
    reasons = (refusal(moment.state, command) for command in made)  # of several, those that can be done are
    first = next(reasons, "")
    return first if first and all(reasons) else ""


def _never(_: Moment) -> str:
    return ""


def _needs_experiment(moment: Moment) -> str:
    return "" if moment.experiment else "No experiment is selected."


def _needs_run(moment: Moment) -> str:
    return _needs_experiment(moment) or ("" if moment.run else f"{moment.selected} has not run yet.")


def _needs_wave(moment: Moment) -> str:
    return "" if moment.wave_shown else "There is no wave yet."


def _needs_earlier_wave(moment: Moment) -> str:
    if moment.screen == "diff":  # there the key goes to another experiment
        return ""
    is_first = moment.wave == next(iter(moment.state.waves), None)
    return _needs_wave(moment) or (f"{moment.wave} is the first wave." if is_first else "")


def _needs_later_wave(moment: Moment) -> str:
    if moment.screen == "diff":
        return ""
    is_latest = moment.wave == next(reversed(moment.state.waves), None)
    return _needs_wave(moment) or (f"{moment.wave} is the latest wave." if is_latest else "")


def _of_tape(is_there: Callable[[Tape], bool], sentence: str) -> Callable[[Moment], str]:
    """Why a key of playback has nothing left to do."""
    return lambda moment: sentence if moment.tape is not None and is_there(moment.tape) else ""


_at_end = _of_tape(lambda tape: 0 < tape.length <= tape.position, "This is the end of the tape.")
_at_beginning = _of_tape(lambda tape: tape.position == 0, "This is the beginning of the tape.")


_LOOKS = {
    "open": _needs_experiment,
    "diff": _needs_experiment,
    "log": _needs_run,
    "effects": _needs_wave,
    "wave_back": _needs_earlier_wave,
    "wave_on": _needs_later_wave,
    **dict.fromkeys(("next_event", "next_experiment", "next_wave", "next_kept"), _at_end),
    **dict.fromkeys(("previous_event", "previous_experiment", "previous_wave"), _at_beginning),
    "faster": _of_tape(lambda tape: tape.speed >= SPEEDS[-1], "It plays as fast as it can."),
    "slower": _of_tape(lambda tape: tape.speed <= SPEEDS[0], "It plays in real time already."),
}
