"""Free ideas that proved better than the baseline they were made for, put together on top of the present one.

Every free idea is compared with its own parent, so that its test stays valid when the baseline moves meanwhile. What
has passed and cannot simply become the baseline is merged: one new experiment carries all such changes and has to hold
against the present baseline. If a merge of several does not, each of them gets a try alone. Cells of a design are left
alone: their researcher knows the design. Knows states; proposes nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.ids import ExperimentId
from core.state import Experiment, State
from core.tiers import is_stuck, tiers


def is_free(state: State, experiment: Experiment) -> bool:
    """An idea that stands for itself: no cell of a design and not the train.py as found."""
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    return wave is not None and wave.design is None


def rival(state: State, experiment: Experiment) -> ExperimentId:
    """What it is compared with: the baseline; for a free idea the one that it was made for, while that still runs."""
    parent = experiment.parent
    if parent is None or parent == state.baseline or not is_free(state, experiment):
        return state.baseline
    types = {state.runs[run].gpu_type for run in experiment.runs}
    return state.baseline if any(is_stuck(state, parent, kind) for kind in types) else parent


def rebasable(state: State) -> Iterator[ExperimentId]:
    """Free ideas that have not run, made for a baseline that is none any more."""
    for experiment in (state.experiments[name] for name in state.open):
        stale = state.baseline not in (experiment.parent, experiment.rebased)
        if stale and not experiment.runs and is_free(state, experiment):
            yield experiment.id


def mergeable(state: State) -> tuple[ExperimentId, ...]:
    """What is to be put on top of the baseline now, the best first; none while another merge or validation is open."""
    chosen = _next(state)
    return () if _stands_alone(state, chosen) else tuple(experiment.id for experiment in chosen)


def may_validate(state: State, experiment: Experiment) -> bool:
    """Whether it is its turn on the validation tier: free ideas go there one by one, or merged."""
    if not is_free(state, experiment) or experiment.of:
        return True
    chosen = _next(state)
    return _stands_alone(state, chosen) and chosen[0].id == experiment.id


def _stands_alone(state: State, chosen: Sequence[Experiment]) -> bool:
    return len(chosen) == 1 and chosen[0].parent == state.baseline


def _next(state: State) -> Sequence[Experiment]:
    ready: list[Experiment] = []
    for experiment in (state.experiments[name] for name in state.open):
        if not is_free(state, experiment) or not (experiment.screened or experiment.of):
            continue
        if _is_under_way(state, experiment):
            return []
        ready.append(experiment)
    alone = [experiment for experiment in ready if experiment.alone]
    return alone[:1] or _compatible(sorted(ready, key=_delta))


def _is_under_way(state: State, experiment: Experiment) -> bool:
    """Whether its own test against the present baseline has begun, or it is waiting for a run that counts."""
    if any(run in state.active for run in experiment.runs):
        return True
    if experiment.parent != state.baseline:
        return False
    levels = tiers(state)
    there = levels.validate if levels.are_two else levels.screen
    return bool(experiment.of) or any((experiment.id, kind) in state.scores for kind in there)


def _compatible(candidates: Sequence[Experiment]) -> list[Experiment]:
    """Without those that set a constant that a better one sets too."""
    chosen: list[Experiment] = []
    taken: set[str] = set()
    for experiment in candidates:
        if not taken & experiment.change.settings.keys():
            taken |= experiment.change.settings.keys()
            chosen.append(experiment)
    return chosen


def _delta(experiment: Experiment) -> float:
    return experiment.screening.delta if experiment.screening is not None else 0.0
