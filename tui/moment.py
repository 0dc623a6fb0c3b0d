"""What all panes show at one moment: the state, the time, and where this window looks.

Frozen: a pane is a function of a moment and its size. Knows neither widgets nor where the state comes from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from core.events import Fact
from core.ids import ExperimentId, RunId, WaveId
from core.presence import Watcher
from core.state import Experiment, State, Wave

Mode = Literal["loading", "starting", "live", "paused", "down", "finished", "playback"]


class Tape(msgspec.Struct, frozen=True, kw_only=True):
    """Where playback is."""

    position: int  # facts shown
    length: int
    at: float
    begins: float
    ends: float
    playing: bool
    speed: float
    idle_s: float
    share: float = 0.0  # of the playing time, which is without long pauses
    played_s: float = math.inf  # of the playing time, as long as it takes at this speed
    damaged: int = 0  # lines that could not be read
    note: str = ""  # what is amiss with the recording
    origin: str = ""  # what recorded it, and the command that made the session


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    state: State = State()
    now: float = 0.0  # of the session: the clock while live, the latest fact otherwise
    mode: Mode = "loading"
    loading: float | None = None  # share of the log that is read
    workspace: str = ""  # its folder, safe to show
    operator: str = "operator"
    read_only: bool = False
    is_gone: bool = False  # the session's file was removed under this window
    wave: WaveId | None = None  # the one in view
    selected: ExperimentId | None = None  # the experiment under the cursor
    gpu_type: str = ""  # of the GPU under the cursor of the fleet screen
    marked: frozenset[ExperimentId] = frozenset()  # several, for veto and promote
    news: Sequence[Fact] = ()  # latest last: facts worth a line; said with the moment's state, states are not kept
    tape: Tape | None = None  # in playback
    screen: str = ""  # the one that shows it, by the id of the action that opens it
    watchers: Sequence[Watcher] = ()  # who looks at the session now, this window among them

    @property
    def experiment(self) -> Experiment | None:
        return self.state.experiments.get(self.selected) if self.selected else None

    @property
    def wave_shown(self) -> Wave | None:
        return self.state.waves.get(self.wave) if self.wave else None

    @property
    def run(self) -> RunId | None:
        """The run of the selected experiment that says most: the one that runs now, else the latest."""
        experiment = self.experiment
        if experiment is None or not experiment.runs:
            return None
        running = [run for run in experiment.runs if run in self.state.active]
        return (running or list(experiment.runs))[-1]
