"""The state of an experiment as people see it: a glyph, a word and a role, the same in every pane.

It tells apart what the core has no need to: queued, running and measured (its verdict is still to come), held and
proposed. Pure; knows no pane.
"""

from __future__ import annotations

from typing import NamedTuple

from core.state import Experiment, State
from core.views import is_measured
from tui.glyphs import Glyphs

ROLES = {
    "proposed": "run-queued",
    "queued": "run-queued",
    "measured": "run-queued",
    "held": "warning",
    "running": "run-running",
    "retest": "retest",
    "kept": "kept",
    "discarded": "discarded",
    "crashed": "crashed",
    "vetoed": "vetoed",
    "duplicate": "duplicate",
    "merged": "merged",
}


class Sign(NamedTuple):
    glyph: str
    word: str
    role: str


def sign(state: State, experiment: Experiment, glyphs: Glyphs) -> Sign:
    return named(word(state, experiment), glyphs)


def named(word: str, glyphs: Glyphs) -> Sign:
    """Of a word of ROLES; a status of a newer build is a question."""
    role = ROLES.get(word)
    glyph = "queued" if word == "measured" else word
    return Sign(getattr(glyphs, glyph), word, role) if role else Sign("?", word, "muted")


def point(status: str, glyphs: Glyphs) -> Sign:
    """As a point of a chart, where the many discarded ones are to be small."""
    found = named(status, glyphs)
    return found._replace(glyph=glyphs.bullet) if status == "discarded" else found


def word(state: State, experiment: Experiment) -> str:
    """A key of ROLES: its status, but for an experiment that has not begun what it waits for."""
    if experiment.status == "proposed":
        wave = state.waves.get(experiment.wave) if experiment.wave else None
        return "held" if wave is not None and wave.held else "proposed"
    if is_measured(state, experiment):
        return "measured"
    if experiment.status == "running" and not is_running(state, experiment):
        return "queued"
    return experiment.status


def is_running(state: State, experiment: Experiment) -> bool:
    """Whether one of its runs is on a GPU now."""
    return any(run in state.active and state.runs[run].started_at is not None for run in experiment.runs)


def fraction(state: State, experiment: Experiment) -> float | None:
    """How far its run is, 0 to 1; 0 for one that has started and told nothing yet. None if nothing runs."""
    for run in reversed(experiment.runs):
        if run in state.active and state.runs[run].started_at is not None:
            told = state.progress.get(run)
            return min(1.0, max(0.0, told.fraction or 0.0)) if told else 0.0
    return None
