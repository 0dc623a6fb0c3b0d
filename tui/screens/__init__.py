"""The screens, by the id of the action that opens them."""

from __future__ import annotations

from tui.screens.dashboard import Dashboard
from tui.screens.diff import DiffScreen
from tui.screens.effects import EffectsScreen
from tui.screens.experiments import ExperimentsScreen
from tui.screens.fleet import FleetScreen
from tui.screens.help import HelpScreen
from tui.screens.lineage import LineageScreen
from tui.screens.log import LogScreen
from tui.screens.researcher import ResearcherScreen
from tui.screens.room import Room

ROOMS: dict[str, type[Room]] = {
    "dashboard": Dashboard,
    "diff": DiffScreen,
    "log": LogScreen,
    "effects": EffectsScreen,
    "experiments": ExperimentsScreen,
    "pane_6": ExperimentsScreen,
    "lineage": LineageScreen,
    "researcher": ResearcherScreen,
    "fleet": FleetScreen,
    "help": HelpScreen,
}
