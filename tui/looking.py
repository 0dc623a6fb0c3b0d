"""Where the operator looks: a wave and an experiment, chosen or following what is new.

What follows may not move from under a finger: while the experiment in view is open, or a key was just pressed, it stays
and its wave with it. Knows moments, not screens.
"""

from __future__ import annotations

import time

from core.ids import ExperimentId, WaveId
from core.player import Player
from core.state import State
from tui.messages import WaveChosen
from tui.moment import Moment, Tape
from tui.playing import origin

READS_S = 30.0  # after a key somebody is still reading


class Eye:
    """`wave` and `experiment` are what was chosen; None follows."""

    def __init__(self) -> None:
        self.wave: WaveId | None = None
        self.experiment: ExperimentId | None = None
        self._touched_at = -READS_S

    def touch(self) -> None:
        """A key was pressed that turns to no other wave."""
        self._touched_at = time.monotonic()

    def choose(self, name: ExperimentId, moment: Moment) -> None:
        """The wave in view stays with it, but in playback, whose steps go to waves."""
        self.experiment = name
        if self.wave is None and moment.tape is None:
            self.wave = moment.wave

    def turn(self, wave: WaveId | None, state: State) -> None:
        """To a wave; the latest one follows what is new."""
        self.wave = None if wave == next(reversed(state.waves), None) else wave
        self.experiment = None
        self._touched_at = -READS_S

    def at(self, moment: Moment) -> tuple[WaveId | None, ExperimentId | None]:
        """The wave and the experiment to show; `moment` holds those that are in view now."""
        state = moment.state
        wave = self.wave if self.wave in state.waves else self._followed(moment)
        return wave, self._selection(moment, wave)

    def _followed(self, moment: Moment) -> WaveId | None:
        state = moment.state
        if moment.tape is None and moment.loading is None and moment.wave in state.waves and self._is_read(moment):
            return moment.wave
        return next(reversed(state.waves), None)

    def _is_read(self, moment: Moment) -> bool:
        wave = moment.wave_shown
        is_in_view = wave is not None and moment.selected in wave.experiments
        is_fresh = time.monotonic() - self._touched_at < READS_S
        return is_in_view and (moment.selected in moment.state.open or is_fresh)

    def _selection(self, moment: Moment, wave: WaveId | None) -> ExperimentId | None:
        """What was chosen; else it stays in the wave in view, so that nothing moves under the eye."""
        state, before = moment.state, moment.selected
        if self.experiment in state.experiments:
            return self.experiment
        if before in state.experiments and wave and before in state.waves[wave].experiments:
            return before
        return first(state, wave)


def beside(moment: Moment, by: int) -> WaveChosen | None:
    """The wave `by` further on than the one in view; None where there is none."""
    waves = list(moment.state.waves)
    at = waves.index(moment.wave) + by if moment.wave in waves else 0
    return WaveChosen(waves[at]) if 0 <= at < len(waves) else None


def first(state: State, wave: WaveId | None) -> ExperimentId | None:
    """The one to look at in a wave that nobody has looked at yet: what runs."""
    names = state.waves[wave].experiments if wave else ()
    running = [name for name in names if name in state.open and state.experiments[name].runs]
    return next(iter(running or names), None) or (state.baseline if state.baseline in state.experiments else None)


def tape(player: Player) -> Tape:
    return Tape(
        position=player.position,
        length=player.length,
        at=player.at,
        begins=player.begins,
        ends=player.ends,
        playing=player.playing,
        speed=player.speed,
        idle_s=player.idle_s,
        share=player.share,
        played_s=player.share * player.whole_s / player.speed,
        damaged=player.damaged,
        note=player.note,
        origin=origin(player.recording.header),
    )
