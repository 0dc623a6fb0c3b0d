"""What `core.verdict` says of the open experiments, kept from plan to plan.

A plan asks about every open experiment, and most facts between two plans change nothing of the answers. They follow
from results, noise, tiers and baselines, which all share, and from the runs of the experiment and of its parent.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.events import Evidence
from core.ids import ExperimentId
from core.known import Grounded, Parts
from core.state import Experiment, State
from core.tiers import tiers
from core.verdict import Judgement, Rules
from core.verdict import judge as judge_now
from core.verdict import standing as standing_now

MOST_KNOWN = 20_000  # answers kept at a time


def judge(state: State, experiment: Experiment, rules: Rules) -> Judgement:
    """As `core.verdict.judge`."""
    parts = _parts(state, experiment)
    return _judged(_grounds(state, rules), experiment.id, parts, lambda: judge_now(state, experiment, rules))


def standing(state: State, experiment: Experiment, rules: Rules) -> Evidence | None:
    """As `core.verdict.standing`."""
    parts = _parts(state, experiment)
    return _standing(_grounds(state, rules), experiment.id, parts, lambda: standing_now(state, experiment, rules))


_judged = Grounded[Judgement](MOST_KNOWN)
_standing = Grounded[Evidence | None](MOST_KNOWN)
_latest: tuple[State | None, Rules | None, Parts] = (None, None, ())


def _grounds(state: State, rules: Rules) -> Parts:
    """What all answers about a state follow from; made once per state."""
    global _latest
    if _latest[0] is not state or _latest[1] is not rules:
        levels, engine = tiers(state), state.engine
        shared = (rules, state.scores, state.spread, engine, state.baseline, levels.screen, levels.validate)
        _latest = (state, rules, (*shared, *_runs(state, state.baseline)))
    return _latest[2]


def _parts(state: State, experiment: Experiment) -> Parts:
    """What an answer about this experiment follows from besides."""
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    parent = () if experiment.parent in (None, state.baseline) else tuple(_runs(state, experiment.parent))
    return (experiment, wave, *_runs(state, experiment.id), *parent)


def _runs(state: State, name: ExperimentId | None) -> Iterator[object]:
    """The experiment and what its runs came to; None for one that is going on."""
    experiment = state.experiments.get(name) if name else None
    if experiment is None:
        return
    yield experiment
    for run in (state.runs[each] for each in experiment.runs):
        yield run.result
        yield run.stopped
