"""What actions of the table mean on the screen that one is on: which of them nothing there answers, and why. Pure.

Screens have the ids of the actions that open them; "" stands for no screen in particular, where all of them mean
something.
"""

from __future__ import annotations

from typing import NamedTuple

NAMES = {
    "dashboard": "dashboard", "diff": "diff", "log": "log", "effects": "effects", "experiments": "table",
    "lineage": "lineage", "researcher": "researcher", "fleet": "fleet", "help": "help",
}  # fmt: skip
PANES = ("pane_1", "pane_2", "pane_3", "pane_4", "pane_5")  # of the dashboard; from elsewhere they go there


class Only(NamedTuple):
    """The screens on which an action means something, and what is said on others."""

    screens: frozenset[str]
    otherwise: str


def _only(screens: str, otherwise: str) -> Only:
    return Only(frozenset(screens.split()), otherwise)


_WAVES = _only("dashboard effects diff experiments lineage", "Waves are turned on the dashboard and where effects are.")
_ONLY = {
    "open": _only("dashboard diff experiments lineage fleet", "There is nothing to open here."),
    "axis": _only("dashboard", "The chart is on the dashboard."),
    "zoom": _only("dashboard", "This screen is one pane already; those of the dashboard can be zoomed."),
    "next_pane": _only("dashboard experiments", "There is no other pane here."),
    "wave_back": _WAVES,
    "wave_on": _WAVES,
}
FIRST = {"log": ("filter", "copy"), "effects": ("copy",), "researcher": ("copy",)}  # in the footer of that screen
_LABELS = {("diff", "open"): "unfold", ("log", "filter"): "search", ("help", "help"): "close"}


def is_here(action: str, screen: str) -> bool:
    """Whether the action goes to the screen that one is on; the key of the help closes it instead."""
    return ("experiments" if action == "pane_6" else action) == screen != "help"


def why_not_here(action: str, screen: str) -> str:
    """ "" if it means something on that screen; else a sentence."""
    if not screen:
        return ""
    if is_here(action, screen):
        return f"This is the {NAMES.get(screen, screen)} already."
    only = _ONLY.get(action)
    return "" if only is None or screen in only.screens else only.otherwise


def label_here(action: str, label: str, screen: str) -> str:
    """What the footer calls it on that screen."""
    return _LABELS.get((screen, action), label)
