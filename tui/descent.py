"""How the baseline came to be what it is: every kept change with what it gained, and what else was tried against it.

Pure. Gains are of the present means on one GPU type, with the noise measured there: baselines are run again and again,
so these say more than the verdicts did when they were made.
"""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean

import msgspec

from core.ids import BASELINE, ExperimentId
from core.state import Experiment, State
from core.verdict import noise

Scores = dict[ExperimentId, dict[str, tuple[float, ...]]]


class Gain(msgspec.Struct, frozen=True):
    """val_bpb of two experiments on one GPU type: present means of all their runs there."""

    before: float
    after: float
    standard_error: float  # of after − before
    df: float  # of the noise
    runs: int  # of the later one
    gpu_type: str

    @property
    def delta(self) -> float:
        return self.after - self.before

    @property
    def percent(self) -> float:
        """Negative is better."""
        return 100 * self.delta / self.before


class Step(msgspec.Struct, frozen=True):
    """One kept change. `tried`: verdicts of all others that started from it, counted."""

    experiment: Experiment
    against: ExperimentId | None  # the baseline before; None for the first version
    mean: float | None
    gain: Gain | None
    total: Gain | None  # since the first version
    kept_at: float | None
    by: str  # the researcher, "" where nobody proposed it
    tried: tuple[ExperimentId, ...]
    counts: tuple[tuple[str, int], ...]
    is_baseline: bool  # at present
    is_pending: bool  # kept, and not committed yet


def parts(state: State) -> tuple[object, ...]:
    """What a descent is made from: it is the same while these are."""
    return state.experiments, state.scores, state.lineage, state.uncommitted, state.waves


def descent(state: State) -> tuple[Step, ...]:
    """The first version, then every kept change in order; those that wait for their commit last."""
    names = [name for name in (*state.lineage, *state.uncommitted) if name in state.experiments]
    kept = frozenset(names)
    tried, scores = _tried(state, kept), _scores(state, kept)
    return tuple(
        _step(state, scores, name, names[at - 1] if at else None, tuple(tried.get(name, ())))
        for at, name in enumerate(names)
    )


def _scores(state: State, kept: frozenset[ExperimentId]) -> Scores:
    """Of the kept ones, by GPU type: found in one pass over all."""
    found: Scores = {name: {} for name in kept}
    for (name, kind), scores in state.scores.items():
        if name in kept:
            found[name][kind] = scores
    return found


def _tried(state: State, kept: frozenset[ExperimentId]) -> dict[ExperimentId, list[ExperimentId]]:
    """Everything that was not kept, by the version that it started from."""
    found: dict[ExperimentId, list[ExperimentId]] = {}
    for name, experiment in state.experiments.items():
        if name not in kept and experiment.parent is not None:
            found.setdefault(experiment.parent, []).append(name)
    return found


def _step(
    state: State, scores: Scores, name: ExperimentId, previous: ExperimentId | None, tried: tuple[ExperimentId, ...]
) -> Step:
    experiment = state.experiments[name]
    evidence = experiment.evidence
    against = evidence.against if evidence is not None and evidence.against in scores else previous
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    counts = Counter("open" if state.experiments[each].is_open else state.experiments[each].status for each in tried)
    return Step(
        experiment=experiment,
        against=against if name != BASELINE else None,
        mean=_mean(scores[name]),
        gain=_gain(state, scores, against, name) if against and name != BASELINE else None,
        total=_gain(state, scores, BASELINE, name) if name != BASELINE else None,
        kept_at=_kept_at(state, experiment) if name != BASELINE else state.started_at,
        by="" if wave is None or experiment.of else wave.researcher,
        tried=tried,
        counts=tuple(counts.most_common()),
        is_baseline=name == state.baseline,
        is_pending=name in state.uncommitted,
    )


def gain_of(state: State, experiment: Experiment, gpu_type: str) -> Gain | None:
    """Its present mean on one GPU type against that of what it was judged against, or else of what it was made from."""
    own, judged = state.scores.get((experiment.id, gpu_type), ()), experiment.evidence
    for name in (judged.against if judged is not None else None, experiment.parent):
        base = state.scores.get((name, gpu_type), ()) if name is not None else ()
        if own and base:
            return gained(state, base, own, gpu_type)
    return None


def _gain(state: State, scores: Scores, before: ExperimentId, after: ExperimentId) -> Gain | None:
    """On the GPU type on which both ran most. None where there is none."""
    first, second = scores.get(before, {}), scores[after]
    sizes = {kind: min(len(first[kind]), len(second[kind])) for kind in second if kind in first}
    kind = max(sizes, key=lambda kind: sizes[kind], default=None)
    if kind is None:
        return None
    return gained(state, first[kind], second[kind], kind)


def gained(state: State, before: tuple[float, ...], after: tuple[float, ...], gpu_type: str) -> Gain:
    """Of two experiments by their results on one GPU type."""
    measured = noise(state, gpu_type)
    error = measured.sd * math.sqrt(1 / len(before) + 1 / len(after))
    return Gain(fmean(before), fmean(after), error, measured.df, len(after), gpu_type)


def _mean(scores: dict[str, tuple[float, ...]]) -> float | None:
    most: tuple[float, ...] = max(scores.values(), key=lambda found: len(found), default=())
    return fmean(most) if most else None


def _kept_at(state: State, experiment: Experiment) -> float | None:
    """When the last run ended that its verdict rests on."""
    evidence = experiment.evidence
    if evidence is None:
        return None
    runs = [state.runs[run] for run in experiment.runs]
    ends = [run.ended_at for run in runs if run.gpu_type == evidence.gpu_type and run.result and run.result.val_bpb]
    counted = [end for end in ends if end is not None][: evidence.runs]
    return counted[-1] if counted else None
