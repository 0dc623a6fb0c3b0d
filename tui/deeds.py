"""What one key press on several experiments comes to: which of its commands can be carried out, what is said of the
others, and what `u` takes back with it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.commands import Command, Promote, Rerun, Veto, refusal
from core.events import ExperimentPromoted, ExperimentVetoed, Fact, RerunRequested
from core.fold import fold
from core.state import State
from core.undoing import undoable
from tui import numbers

Group = frozenset[str]  # deeds of one key press, as `undoable` calls them

TOGETHER = "key-"  # how the name of commands begins that one key press has sent
_DONE = {"veto": "Vetoed", "promote": "Promoted", "rerun": "Asked for another run of"}


def sort_out(state: State, commands: Sequence[Command]) -> tuple[list[Command], list[str]]:
    """Those that the core would take now, and the reasons why it refuses the others."""
    found = [(command, refusal(state, command)) for command in commands]
    return [command for command, reason in found if not reason], [reason for _, reason in found if reason]


def told(action: str, done: int, reasons: Sequence[str]) -> str:
    """ "Vetoed 3 experiments; 2 could not be: e1 is already kept." """
    said = f"{_DONE.get(action, action)} {numbers.count(done, 'experiment')}"
    return f"{said}; {len(reasons):,} could not be: {reasons[0]}" if reasons else f"{said}."


def deed(command: Command) -> str:
    """As `undoable` will call it."""
    match command:
        case Veto():
            return f"veto of {command.experiment}"
        case Promote():
            return f"promotion of {command.experiment}"
        case Rerun():
            return f"rerun of {command.experiment}"
    return ""


def deed_of(fact: Fact) -> str:
    """As `deed`, of what came of the command; "" for other facts."""
    match fact:
        case ExperimentVetoed():
            return f"veto of {fact.experiment}"
        case ExperimentPromoted():
            return f"promotion of {fact.experiment}"
        case RerunRequested():
            return f"rerun of {fact.experiment}"
    return ""


def taken_back(state: State, by: str, groups: Sequence[Group]) -> list[str]:
    """What the next undos take back: the last deed of `by`, and with it those of the same key press."""
    phrases: list[str] = []
    group: Group = frozenset()
    while (found := undoable(state, by)) is not None:
        phrase, facts = found
        if not phrases:
            group = next((each for each in reversed(groups) if phrase in each), frozenset())
        elif phrase not in group or phrase in phrases:
            break
        phrases.append(phrase)
        state = fold(state, facts)
        if phrase not in group:
            break
    return phrases
