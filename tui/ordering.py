"""Which experiments a list shows and in which order, kept up to date at the cost of what has changed.

Experiments are immutable: one that is the same object passes the filter and sorts as it did. Knows no widget.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from core.ids import ExperimentId, number
from core.state import Experiment, State
from tui import standing
from tui.filtering import Filter, parse
from tui.signs import word

Key = float | str | None
_EVERYTHING = parse("")
_SCORED = ("bpb",)
_OPEN = ("running", "queued", "retest", "measured", "proposed", "held")
_ORDER = (*_OPEN, "kept", "merged", "discarded", "duplicate", "crashed", "vetoed")
_RANKS = {status: rank for rank, status in enumerate(_ORDER)}


def _delta(_: State, experiment: Experiment) -> Key:
    return experiment.evidence.delta if experiment.evidence else None


def _strength(_: State, experiment: Experiment) -> Key:
    """Best first: how many standard errors below its baseline."""
    evidence = experiment.evidence
    return evidence.delta / evidence.standard_error if evidence and evidence.standard_error > 0 else None


def _gpu(state: State, experiment: Experiment) -> Key:
    return next(iter(standing.gpu_types(state, experiment)), None)


KEYS: dict[str, Callable[[State, Experiment], Key]] = {
    "id": lambda _, experiment: number(experiment.id),
    "state": lambda state, experiment: _RANKS.get(word(state, experiment), 99),
    "bpb": standing.mean_bpb,
    "delta": _delta,
    "sigma": _strength,
    "runs": lambda _, experiment: -len(experiment.runs),
    "gpu": _gpu,
    "wave": lambda _, experiment: (
        int(experiment.wave[1:]) if experiment.wave and experiment.wave[1:].isdecimal() else None
    ),
    "title": lambda _, experiment: experiment.title.casefold(),
}


Seen = tuple[Experiment, bool, Key]  # whether it passes, and what it is sorted by

_first = operator.itemgetter(0)


def _waiting(state: State) -> tuple[object, ...]:
    """What decides for an open experiment whether it waits or runs."""
    return state.runs, state.active, state.waves


class Ordering:
    """Asked again and again with newer states."""

    def __init__(self) -> None:
        self.ids: tuple[ExperimentId, ...] = ()
        self._state = State()
        self._how: tuple[Filter, str, bool] = (_EVERYTHING, "id", False)
        self._seen: dict[ExperimentId, Seen] = {}

    def update(
        self, state: State, found: Filter, column: str = "id", *, downward: bool = False
    ) -> tuple[ExperimentId, ...]:
        """The ids in order; the same object as before when nothing has changed. What has no value is last."""
        how, before = (found, column, downward), self._state
        scored = found.scored or column in _SCORED
        changed = state.experiments is not before.experiments or (scored and state.scores is not before.scores)
        moved = found.live and any(a is not b for a, b in zip(_waiting(state), _waiting(before), strict=True))
        changed = changed or moved
        if how == self._how and not changed:
            return self.ids
        if how[:2] != self._how[:2] or state.seq < before.seq:  # a recording was wound back
            self._seen = {}
        else:
            if scored:
                self._forget_rescored(before, state)
            if moved:
                for name in state.open:
                    self._seen.pop(name, None)
        self._how, self._state = how, state
        ids = self._sorted(state, found, column, downward=downward)
        if ids != self.ids:
            self.ids = ids
        return self.ids

    def _forget_rescored(self, before: State, state: State) -> None:
        if state.scores is not before.scores:
            old = before.scores
            for key, scores in state.scores.items():
                if old.get(key) is not scores:
                    self._seen.pop(key[0], None)

    def _sorted(self, state: State, found: Filter, column: str, *, downward: bool) -> tuple[ExperimentId, ...]:
        seen, key_of, test = self._seen, KEYS[column], found.test
        passing: list[ExperimentId] = []
        keep = passing.append
        for name, experiment in state.experiments.items():
            known = seen.get(name)
            if known is None or known[0] is not experiment:
                passes = test(state, experiment)
                known = seen[name] = (experiment, passes, key_of(state, experiment) if passes else None)
            if known[1]:
                keep(name)
        if column == "id":
            return tuple(reversed(passing)) if downward else tuple(passing)
        keyed = [(key, name) for name in passing if (key := seen[name][2]) is not None]
        keyed.sort(key=_first, reverse=downward)
        rest = [name for name in passing if seen[name][2] is None] if len(keyed) < len(passing) else ()
        return (*[name for _, name in keyed], *rest)
