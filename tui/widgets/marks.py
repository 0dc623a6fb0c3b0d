"""What the chart draws: a mark per experiment and GPU type, and the baselines in turn, kept up to date as states come.

A state shares what did not change with the one before, so only experiments that differ are looked at again: a hundred
of ten thousand cost a fraction of a millisecond. It knows no pane, no zoom and no colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from statistics import fmean

import msgspec

from core.ids import ExperimentId, RunId, WaveId
from core.state import OPEN, Experiment, Run, State
from core.verdict import noise


class Mark(msgspec.Struct, frozen=True):
    """`val_bpb` None: it crashed. `at`: seconds from the start of the session to its first result."""

    experiment: ExperimentId
    number: int
    at: float
    status: str  # of the experiment
    gpu_type: str  # "": of no matter, it has no result
    val_bpb: float | None
    runs: int
    wave: WaveId | None

    @property
    def drawn(self) -> str:
        """The status it is drawn with: what has results and no verdict is to be run again, or is being so."""
        return "crashed" if self.val_bpb is None else "retest" if self.status in OPEN else self.status


class Step(msgspec.Struct, frozen=True):
    """A baseline: from `number` and `at` on it was the best so far, with this mean and noise on one GPU type."""

    experiment: ExperimentId
    number: int
    at: float
    val_bpb: float
    sd: float  # of one run
    runs: int


class Phase(msgspec.Struct, frozen=True):
    """Of the research, as its researcher calls it. It begins with experiment `number`, `at` seconds of the session."""

    name: str
    number: int
    at: float


class Series(msgspec.Struct, frozen=True):
    """`types`: GPU types with results, the one with the most first. `until`: when the latest mark was made."""

    marks: tuple[Mark, ...] = ()  # in the order of the experiments
    steps: dict[str, tuple[Step, ...]] = {}  # by GPU type
    types: tuple[str, ...] = ()
    until: float = 0.0
    starts: tuple[int, ...] = ()  # the first experiment with a mark of every wave but the first
    phases: tuple[Phase, ...] = ()


class Collector:
    """`of` answers the same series again as long as nothing in it changed."""

    def __init__(self) -> None:
        self._state = State()
        self._found: dict[ExperimentId, tuple[Mark, ...]] = {}
        self._series = Series()

    def knows(self, state: State) -> bool:
        """Whether `of` would answer the same again, without a look at the experiments."""
        known = self._state
        return state is known or (
            state.experiments is known.experiments and state.scores is known.scores and state.lineage is known.lineage
        )

    def of(self, state: State) -> Series:
        known = self._state
        if self.knows(state):
            self._state = state
            return self._series
        stale = self._stale(state)
        for name in stale:
            if made := marks(state, state.experiments[name]):
                self._found[name] = made
            else:
                self._found.pop(name, None)
        self._state = state
        if stale or state.lineage != known.lineage:
            self._series = self._made(state)
        return self._series

    def _stale(self, state: State) -> list[ExperimentId]:
        """Experiments whose struct or scores are others than before; all, where this is no later state of the same."""
        known = self._state
        if state.session != known.session or not _continues(state, known):
            self._found.clear()
            return list(state.experiments)
        pairs = zip(state.experiments.values(), known.experiments.values(), strict=False)
        stale = {fresh.id: None for fresh, old in pairs if fresh is not old}
        stale.update(dict.fromkeys(islice(state.experiments, len(known.experiments), None)))
        if state.scores is not known.scores:
            before = known.scores
            stale.update({key[0]: None for key, value in state.scores.items() if before.get(key) is not value})
        return [name for name in stale if name in state.experiments]

    def _made(self, state: State) -> Series:
        found = sorted((mark for each in self._found.values() for mark in each), key=lambda mark: mark.number)
        counts: dict[str, int] = {}
        for mark in found:
            if mark.gpu_type:
                counts[mark.gpu_type] = counts.get(mark.gpu_type, 0) + 1
        types = sorted(counts, key=lambda kind: (-counts[kind], kind))
        return Series(
            marks=tuple(found),
            steps={kind: steps_of(state, kind) for kind in types},
            types=tuple(types),
            until=max((mark.at for mark in found), default=0.0),
            starts=tuple(mark.number for _, mark in boundaries(found)[1:]),
            phases=tuple(phases_of(state)),
        )


def _continues(state: State, known: State) -> bool:
    """Whether `state` may be a later one: after a jump back there are fewer of one or the other."""
    return len(state.experiments) >= len(known.experiments) and len(state.scores) >= len(known.scores)


def marks(state: State, experiment: Experiment) -> tuple[Mark, ...]:
    """One per GPU type with results; one without a value for a crash; none for what has no result yet."""
    runs = [state.runs[run] for run in experiment.runs if run in state.runs]
    types = [kind for kind in dict.fromkeys(run.gpu_type for run in runs) if (experiment.id, kind) in state.scores]
    found = tuple(_mark(state, experiment, runs, kind) for kind in types)
    if not found and experiment.status == "crashed":
        return (_mark(state, experiment, runs, ""),)
    return found


def _mark(state: State, experiment: Experiment, runs: Sequence[Run], gpu_type: str) -> Mark:
    ended = [run.ended_at for run in runs if run.ended_at is not None and (not gpu_type or run.gpu_type == gpu_type)]
    scores = state.scores.get((experiment.id, gpu_type), ())
    return Mark(
        experiment=experiment.id,
        number=number_of(experiment.id),
        at=max(0.0, (ended[0] if ended else experiment.proposed_at) - state.started_at),
        status=experiment.status,
        gpu_type=gpu_type,
        val_bpb=fmean(scores) if scores else None,
        runs=len(scores),
        wave=experiment.wave,
    )


def phases_of(state: State) -> Iterator[Phase]:
    """Where waves begin to be of another phase than those before; a wave that names none goes on with it."""
    latest = ""
    for wave in state.waves.values():
        if wave.phase and wave.phase != latest and wave.experiments:
            latest = wave.phase
            yield Phase(latest, number_of(wave.experiments[0]), max(0.0, wave.planned_at - state.started_at))


def number_of(name: ExperimentId) -> int:
    return int(name[1:]) if name[1:].isdecimal() else 0


def steps_of(state: State, gpu_type: str) -> tuple[Step, ...]:
    """The baselines with results on this type, in turn; one that was made of older ideas starts where the last did."""
    found: list[Step] = []
    sd = noise(state, gpu_type).sd
    for name in state.lineage:
        scores = state.scores.get((name, gpu_type), ())
        if not scores or name not in state.experiments:
            continue
        first = _first_end(state, state.experiments[name].runs, gpu_type)
        number = max([number_of(name), *(step.number for step in found[-1:])])
        at = max([first, *(step.at for step in found[-1:])])
        found.append(Step(name, number, at, fmean(scores), sd, len(scores)))
    return tuple(found)


def _first_end(state: State, runs: Sequence[RunId], gpu_type: str) -> float:
    """Seconds into the session at which its first run on this type had ended."""
    known = [state.runs[run] for run in runs if run in state.runs]
    ended = [run.ended_at for run in known if run.gpu_type == gpu_type and run.ended_at is not None]
    return max(0.0, min(ended) - state.started_at) if ended else 0.0


def boundaries(series: Sequence[Mark]) -> list[tuple[WaveId, Mark]]:
    """Waves in turn, each with its first mark."""
    found = [(series[0].wave, series[0])] if series else []
    found += [(after.wave, after) for before, after in pairwise(series) if after.wave != before.wave]
    return [(wave, mark) for wave, mark in found if wave is not None]
