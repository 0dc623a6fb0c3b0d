"""What the keys of playback do to a player, and where "50%", "1h30m", "e42" or "w3" lie on its tape.

Knows no widget; the transport bar (`tui.widgets.transport`) shows what comes of it.
"""

from __future__ import annotations

import re

from core import settings
from core.errors import SettingsError
from core.ids import ExperimentId, WaveId
from core.player import Player
from core.recording import Header
from core.state import State
from core.tape import Step
from tui.safe import line

STEPS: dict[str, tuple[Step, bool]] = {  # action: what to step by, and whether back
    "next_event": ("event", False),
    "previous_event": ("event", True),
    "next_experiment": ("experiment", False),
    "previous_experiment": ("experiment", True),
    "next_wave": ("wave", False),
    "previous_wave": ("wave", True),
    "next_kept": ("kept", False),
}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%|(100|\d?\d(?:\.\d+)?)")  # a bare number from 0 to 100 is one too


def press(player: Player, action: str) -> bool:
    """Carries out an action of playback; False where it is none, or needs a text first ("seek")."""
    match action:
        case "play":
            player.toggle()
        case "faster":
            player.faster()
        case "slower":
            player.slower()
        case _ if action in STEPS:
            step, back = STEPS[action]
            player.step(step, back=back)
        case _:
            return False
    return True


def seek(player: Player, text: str) -> str:
    """To a share, a time since the beginning, an experiment or a wave, played already or not. "", or why not."""
    text = text.strip().lower()
    if not player.is_loaded:
        return "The recording is still being read."
    if found := _SHARE.fullmatch(text):
        player.seek_share(min(100.0, float(found[1] or found[2])) / 100)
        return ""
    if re.fullmatch(r"[ew]\d+", text):
        at = _proposed_at(player.end, text)
        if at is None:
            return f"There is no {line(text, 40)} in this recording."
        player.seek_time(at)
        return ""
    try:
        player.seek_time(player.begins + settings.duration(text))
    except SettingsError:
        return f'{line(text, 40)} is no place: write "50%", "1h30m", "e42" or "w3".'
    return ""


def origin(header: Header) -> str:
    """ "recorded by autoresearch-tui 0.1.0: autoresearch-tui demo"; "" for what does not say."""
    by = f"recorded by autoresearch-tui {header.version}" if header.version else ""
    return line(": ".join(part for part in (by, header.command) if part), 400)


def _proposed_at(state: State, name: str) -> float | None:
    if name.startswith("w"):
        wave = state.waves.get(WaveId(name))
        return wave.planned_at if wave else None
    experiment = state.experiments.get(ExperimentId(name))
    return experiment.proposed_at if experiment else None
