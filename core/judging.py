"""What `core.verdict` says of the open experiments, kept from plan to plan.

A plan asks about every open experiment, and most facts between two plans change nothing of the answers. They follow
from noise, tiers and the baseline, which all share, and from the experiment, its wave and its parent. Each run that is
requested or that ends makes another object of its experiment, so that identity tells what is to be asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from core.events import Evidence
from core.ids import ExperimentId
from core.known import Parts, is_same
from core.state import Experiment, State, Wave
from core.tiers import disagree, tiers
from core.verdict import Judgement, Rules
from core.verdict import judge as judge_now
from core.verdict import standing as standing_now

Answer = TypeVar("Answer")


class Grounds:
    """What all answers about a state follow from; the same object as long as it is the same."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._rules: Rules | None = None
        self._latest: Parts = ()

    def __call__(self, state: State, rules: Rules) -> Parts:
        if self._state is not state or self._rules is not rules:
            self._state, self._rules = state, rules
            levels = tiers(state)
            spread = tuple(state.spread.get(kind) for kind in (*levels.screen, *levels.validate))
            shared = (rules, state.engine, levels.screen, levels.validate, disagree(state), spread)
            found = (*shared, state.baseline, state.experiments.get(state.baseline))
            if not is_same(found, self._latest):
                self._latest = found
        return self._latest


class Judged(Generic[Answer]):
    """One question about experiments, and its latest answers."""

    def __init__(self, ask: Callable[[State, Experiment, Rules], Answer]) -> None:
        self._ask = ask
        self._grounds: Parts = ()
        self._told: dict[ExperimentId, tuple[Experiment, Wave | None, Experiment | None, Answer]] = {}

    def __call__(self, state: State, experiment: Experiment, rules: Rules) -> Answer:
        now = grounds(state, rules)
        if self._grounds is not now:
            self._told.clear()
            self._grounds = now
        wave = state.waves.get(experiment.wave) if experiment.wave else None
        parent = state.experiments.get(experiment.parent) if experiment.parent else None
        found = self._told.get(experiment.id)
        if found is not None and found[0] is experiment and found[1] is wave and found[2] is parent:
            return found[3]
        answer = self._ask(state, experiment, rules)
        self._told[experiment.id] = (experiment, wave, parent, answer)
        return answer


grounds = Grounds()
judge = Judged[Judgement](judge_now)  # as `core.verdict.judge`
standing = Judged[Evidence | None](standing_now)  # as `core.verdict.standing`
