"""Two tiers of GPU types: experiments are screened on one, and the best of them validated on the other.

With one GPU type, or without a rule that fits the fleet, both tiers are the same and nothing is validated twice.
Knows states; launches and judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import msgspec

from core.ids import ExperimentId
from core.known import Known
from core.state import State

MIN_RUNS = 2  # nothing is said on one run
MAX_FAILED = 2  # runs of the baseline that are repeated because they failed
MAX_LOST = 10  # the same, where it was not their own fault: a node that fails takes several at once
PAIRS = 5  # experiments measured on both tiers before their order is compared
POOR = 0.5  # rank correlation below which the screening tier says too little


class Tiers(msgspec.Struct, frozen=True):
    screen: tuple[str, ...]
    validate: tuple[str, ...]  # the same types where there is one tier

    @property
    def are_two(self) -> bool:
        return bool(self.screen) and not set(self.screen) & set(self.validate)  # no GPU at all: no tier


class Agreement(msgspec.Struct, frozen=True):
    """Spearman's rank correlation of mean val_bpb between the tiers, over experiments measured on both."""

    rank_correlation: float
    experiments: int

    @property
    def is_poor(self) -> bool:
        return self.experiments >= PAIRS and self.rank_correlation < POOR


_latest: tuple[State | None, Tiers] = (None, Tiers((), ()))


def tiers(state: State) -> Tiers:
    """As set, as far as there are such GPUs; types that are not named are the tier that was not set.

    With neither set, the plentiful type screens and the others validate.
    """
    global _latest  # one plan asks hundreds of times about one state
    known = _latest
    if known[0] is not state:
        known = _latest = (state, _tiers(state))
    return known[1]


def _tiers(state: State) -> Tiers:
    fleet = {kind: holders.gpus for kind, holders in state.holders.items() if holders.gpus}
    present = {kind: count for kind, count in fleet.items() if not is_stuck(state, state.baseline, kind)} or fleet
    screen = tuple(name for name in state.tiers.screen if name in present)
    validate = tuple(name for name in state.tiers.validate if name in present)
    if not state.tiers.screen and not state.tiers.validate and len(present) > 1:
        plentiful = max(present, key=lambda kind: present[kind])
        return Tiers((plentiful,), tuple(name for name in present if name != plentiful))
    everything = tuple(present)
    others = tuple(name for name in present if name not in (*state.tiers.screen, *state.tiers.validate))
    screen = screen if state.tiers.screen else others
    validate = validate if state.tiers.validate else others
    return Tiers(screen or validate or everything, validate or screen or everything)


def is_stuck(state: State, baseline: ExperimentId, gpu_type: str) -> bool:
    """Whether a baseline does not run on this type, so that nothing can be compared with it there."""
    measured = len(state.scores.get((baseline, gpu_type), ())) >= MIN_RUNS
    return not measured and keeps_failing(state, baseline, gpu_type)


def keeps_failing(state: State, name: ExperimentId, gpu_type: str) -> bool:
    """Whether its runs on this type fail too often to be repeated; an engine that is started again tries again."""
    since = state.engine.at if state.engine is not None else 0.0
    runs = [run for run in (state.runs[name] for name in state.experiments[name].runs) if run.gpu_type == gpu_type]
    ends = [run.result.outcome for run in runs if run.result is not None and run.requested_at >= since]
    finished = len(state.scores.get((name, gpu_type), ()))
    return ends.count("crashed") > MAX_FAILED + finished or ends.count("lost") > MAX_LOST + finished


def agreement(state: State) -> Agreement | None:
    """None before two experiments were measured on both tiers."""
    both = tiers(state)
    if not both.are_two:
        return None
    return _agreements("", (state.scores, both.screen, both.validate), lambda: _agreement(state, both))


_agreements = Known[Agreement | None](1)


def disagree(state: State) -> bool:
    """Whether the tiers order experiments so differently that the screening settles little."""
    both = agreement(state)
    return both is not None and both.is_poor


def _agreement(state: State, both: Tiers) -> Agreement | None:
    pairs = [
        (screened, validated)
        for name in dict.fromkeys(name for name, gpu_type in state.scores if gpu_type in both.validate)
        if (screened := _mean(state, name, both.screen)) is not None
        and (validated := _mean(state, name, both.validate)) is not None
    ]
    if len(pairs) < 2:
        return None
    return Agreement(_correlation(_ranks([a for a, _ in pairs]), _ranks([b for _, b in pairs])), len(pairs))


def _mean(state: State, name: ExperimentId, types: tuple[str, ...]) -> float | None:
    """On the first of these types that it ran on."""
    return next((fmean(state.scores[name, kind]) for kind in types if (name, kind) in state.scores), None)


def _ranks(values: Sequence[float]) -> list[float]:
    """Equal values share the mean of their ranks."""
    return [sum(other < value for other in values) + (values.count(value) - 1) / 2 for value in values]


def _correlation(x: Sequence[float], y: Sequence[float]) -> float:
    dx, dy = [a - fmean(x) for a in x], [b - fmean(y) for b in y]
    spread = (sum(a * a for a in dx) * sum(b * b for b in dy)) ** 0.5
    return sum(a * b for a, b in zip(dx, dy, strict=True)) / spread if spread else 0.0
