"""The researcher that the settings name, ready to be asked. The modules of each are imported only for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core import simulated
from core.clock import Clock
from core.commands import OUTSIDE
from core.researcher import Researcher
from core.settings import Settings
from core.workspace import Workspace

NAMES = ("designed", "random", "greedy", "claude", OUTSIDE)


def researcher(workspace: Workspace, settings: Settings, clock: Clock, keys: Mapping[str, str]) -> Researcher:
    """`keys` of services, by the names of their variables. Raises SettingsError."""
    if settings.researcher == "claude":
        return _claude(workspace, settings, clock, keys)
    if settings.researcher == OUTSIDE:
        return _outside(settings, clock)
    return simulated.thinking(_statistics(settings.researcher, settings), settings, clock)


def _statistics(name: str, settings: Settings) -> Researcher:
    from core.researchers import designed, peers

    kinds: dict[str, Callable[..., Researcher]] = {
        "designed": designed.DesignedResearcher,
        "random": peers.RandomResearcher,
        "greedy": peers.GreedyResearcher,
    }
    return kinds[name](only=settings.factors, without=settings.ignore_factors)


def _claude(workspace: Workspace, settings: Settings, clock: Clock, keys: Mapping[str, str]) -> Researcher:
    """With its stand-in, unless the settings want none."""
    from core.claude.settings import checked
    from core.researchers.claude import ClaudeResearcher
    from core.researchers.standing_in import StandingIn

    chosen = checked(settings.claude)
    latency_s = settings.answer_s if simulated.is_simulated(settings) else 0.0
    claude = ClaudeResearcher(workspace.root, workspace.state / "runs", chosen, clock, keys, latency_s=latency_s)
    if chosen.stand_in == "none":
        return claude
    return StandingIn(claude, _statistics(chosen.stand_in, settings), clock, chosen.stand_in_after_s)


def _outside(settings: Settings, clock: Clock) -> Researcher:
    """Its stand-in is that of the `[claude]` table, too."""
    from core.claude.settings import checked
    from core.researchers.outside import OutsideResearcher
    from core.researchers.standing_in import StandingIn

    chosen = checked(settings.claude)
    outside = OutsideResearcher(clock, chosen.allowed_modules)
    if chosen.stand_in == "none":
        return outside
    return StandingIn(outside, _statistics(chosen.stand_in, settings), clock, chosen.stand_in_after_s)
