"""`effects`: from a session or a recording to the answer about one wave. Prints nothing."""

from __future__ import annotations

import json
from pathlib import Path

from core import recording
from core.analysis import latest, wave_analysis
from core.duplicates import handed_over
from core.errors import UsageError
from core.fold import fold
from core.ids import WaveId
from core.sentences import at_budget
from core.state import State, Wave
from tui import effects as shown
from tui import effects_json


def recorded(path: Path) -> State:
    """Raises RecordingError with a sentence."""
    return fold(State(), recording.read(path))


def effects(state: State, name: str | None, *, as_json: bool) -> str:
    """As text or as one line of JSON. Raises UsageError for a wave that is not there or has no result yet."""
    wave = _wave(state, name)
    analysis = wave_analysis(state, wave)
    if analysis is None:
        planned = f"{len(wave.experiments)} experiment{'s' * (len(wave.experiments) != 1)}"
        raise UsageError(f"{wave.id} has no results yet ({planned}); ask again when a run of it has finished.")
    if as_json:
        members = state.experiments.values()
        repeated = {each.id: {run.experiment for run in handed_over(state, each.repeated_by)} for each in members}
        return json.dumps(effects_json.facts(analysis, simulated=state.simulated, repeated=repeated))
    return shown.text(analysis, simulated=state.simulated, at=at_budget(state))


def _wave(state: State, name: str | None) -> Wave:
    if not state.waves:
        raise UsageError("This session has no waves yet; ask again when the researcher has planned one.")
    if name is None:
        return latest(state) or next(reversed(state.waves.values()))
    found = state.waves.get(WaveId(name if name.startswith("w") else f"w{name}"))
    if found is None:
        first, last = next(iter(state.waves)), next(reversed(state.waves))
        known = first if first == last else f"{first} to {last}"
        raise UsageError(f"There is no wave {name}; this session has {known}.")
    return found
