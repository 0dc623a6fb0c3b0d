"""Methods of search on the simulator's hidden surfaces: how good what each of them holds for best really is.

Every method varies the same constants from the same start under the same noise, GPU accidents and edges. Its history
is a list of steps: after so many runs and hours, the truth of what it held for best. Knows no statistics of many seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from campaign import UPSTREAM, Campaign, config

from core import events as ev
from core.axes import Axis, axes_of
from core.executors.fate import Physics, fate
from core.knobs import Value
from core.researcher import Plan
from core.researchers.designed import DesignedResearcher
from core.researchers.measured import NOT_TUNABLE
from core.researchers.peers import WITHIN, Array, anywhere, spot, walked
from core.state import State
from core.surfaces import Surface, surface

FLEET = {"H100": 13, "H200": 3}
GPUS = 16
RUN_S = 326.0  # of one run
EDIT_S = 60.0  # of an agent that changes one thing, looks at the result and thinks
ANSWER_S = 75.0  # of one answer with a whole wave
ENOUGH = 0.9  # of the optimum's gain
MARKS = (100, 200, 400)  # runs after which the truth is noted
PENALTY = 1.2  # of the start: what TPE is told of a run that crashed


class Step(msgspec.Struct, frozen=True):
    """After `runs` runs and `hours` hours the method held for best what truly has this val_bpb."""

    runs: int
    hours: float
    truth: float
    kept: int = 0  # changes so far, where the method keeps one after the other


class Ground:
    """A surface and the noise on it: `run` measures once more at some coordinates."""

    def __init__(self, name: str, seed: int) -> None:
        self.base = config(UPSTREAM)
        self.surface: Surface = surface(name, self.base, seed)
        tunable = {name: value for name, value in self.base.items() if not NOT_TUNABLE.search(name)}
        self.axes: tuple[Axis, ...] = axes_of(tunable)
        self.seed, self.runs = seed, 0

    @property
    def start(self) -> Array:
        return np.zeros(len(self.axes))

    def config(self, at: Array) -> Mapping[str, Value]:
        values = dict(self.base)
        for axis, coordinate in zip(self.axes, at, strict=True):
            if abs(coordinate) > 1e-9:
                values[axis.name] = axis.put(values[axis.name], float(coordinate))
        return values

    def run(self, at: Array) -> float | None:
        """val_bpb of one run on an H100; None if it crashed."""
        self.runs += 1
        lot = fate(
            self.config(at),
            self.surface,
            gpu_type="H100",
            seed=self.runs,
            physics=Physics(),
            session_seed=self.seed,
            run=f"r{self.runs}",
        )
        return None if lot.crash else lot.val_bpb

    def truth(self, at: Array) -> float:
        return self.surface.truth(self.config(at)).val_bpb


def greedy(ground: Ground, runs: int) -> Iterator[Step]:
    """One change at a time on one GPU, kept if it was lower once."""
    dice = np.random.default_rng([1, ground.seed])
    at, best = ground.start, math.inf
    known, last, kept = {spot(at)}, None, 0
    wanted: Array | None = at
    for run in range(1, runs + 1):
        if wanted is None:
            return
        value = ground.run(wanted)
        if value is not None and value < best:
            last = wanted - at if run > 1 else None
            at, best, kept = wanted, value, kept + (run > 1)
        else:
            last = None
        yield Step(run, run * (RUN_S + EDIT_S) / 3600, ground.truth(at), kept)
        known.add(spot(wanted))
        wanted = walked(ground.axes, at, known, last, dice)


def random(ground: Ground, runs: int) -> Iterator[Step]:
    """Random search on a fleet; the best observed is held for best."""
    dice = np.random.default_rng([2, ground.seed])
    at, best = ground.start, ground.run(ground.start) or math.inf
    for run in range(2, runs + 1):
        wanted = anywhere(ground.axes, dice)
        value = ground.run(wanted)
        if value is not None and value < best:
            at, best = wanted, value
        yield Step(run, _fleet_hours(run), ground.truth(at))


def tpe(ground: Ground, runs: int) -> Iterator[Step]:
    """Optuna's tree-structured Parzen estimator, a batch of 16 at a time, told the start first."""
    study = tpe_study(ground.seed, ground.axes)
    at, best, run = ground.start, math.inf, 0
    while run < runs:
        batch = [study.ask() for _ in range(GPUS)]
        points = [suggested(trial, ground.axes) for trial in batch]
        for trial, wanted in zip(batch, points, strict=True):
            value = ground.run(wanted)
            run += 1
            study.tell(trial, PENALTY * ground.surface.start if value is None else value)
            if value is not None and value < best:
                at, best = wanted, value
            yield Step(run, _fleet_hours(run), ground.truth(at))


def tpe_study(seed: int, axes: Sequence[Axis]) -> Any:
    """A study that asks for the start first."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({f"x{i}": 0.0 for i in range(len(axes))})
    return study


def suggested(trial: Any, axes: Sequence[Axis]) -> Array:
    wanted = [trial.suggest_float(f"x{i}", -WITHIN, WITHIN) for i in range(len(axes))]
    return np.array([axis.nearest(c) for axis, c in zip(axes, wanted, strict=True)])


def _fleet_hours(run: int) -> float:
    return math.ceil(run / GPUS) * RUN_S / 3600


def designed(ground: Ground, runs: int) -> Iterator[Step]:
    """On 13 H100 and 3 H200."""
    return _campaign(ground, runs, FLEET)


def alone(ground: Ground, runs: int) -> Iterator[Step]:
    """The designed researcher on one H100."""
    return _campaign(ground, runs, {"H100": 1})


def _campaign(ground: Ground, runs: int, fleet: Mapping[str, int]) -> Iterator[Step]:
    """Through the real policy and verdicts; the baseline is what it holds for best. Every run counts."""
    researcher, steps = DesignedResearcher(), list[Step]()

    def propose(state: State, slots: int) -> Plan:
        return researcher.plan(state, slots)

    class Told(Campaign):
        def record(self, *facts: ev.Known) -> None:
            super().record(*facts)
            if any(isinstance(fact, ev.BaselineMoved) for fact in facts):
                steps.append(Step(self.state.ended, self.now / 3600, self.truth()))

    campaign = Told(ground.surface, propose, seed=ground.seed, fleet=fleet, answer_s=ANSWER_S)
    campaign.run(runs=runs)
    yield Step(0, 0.0, ground.surface.start)
    yield from steps


METHODS: dict[str, Callable[[Ground, int], Iterator[Step]]] = {
    "designed": designed,
    "designed, 1 GPU": alone,
    "greedy, 1 GPU": greedy,
    "random": random,
    "TPE": tpe,
}


class Outcome(msgspec.Struct, frozen=True):
    """`runs` and `hours` to reach within 10 % of the optimum's gain, None if it never did; `gains` are shares of the
    optimum's gain after so many runs."""

    surface: str
    method: str
    seed: int
    runs: int | None
    hours: float | None
    gains: dict[int, float]


def outcome(name: str, method: str, seed: int, runs: int) -> Outcome:
    ground = Ground(name, seed)
    start, best = ground.surface.start, ground.surface.optimum
    steps = list(METHODS[method](ground, runs))
    hit = next((step for step in steps if start - step.truth >= ENOUGH * (start - best)), None)
    held = {n: next((s.truth for s in reversed(steps) if s.runs <= n), start) for n in MARKS}
    gains = {n: (start - truth) / (start - best) for n, truth in held.items()}
    return Outcome(name, method, seed, hit.runs if hit else None, hit.hours if hit else None, gains)
