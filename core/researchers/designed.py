"""Research by designed experiments, without a network: factorial waves over the constants of train.py.

Each wave crosses two or three constants around the baseline. Where a kept change came from, the next wave goes further
in the same direction; where nothing was better, the next look at that constant is closer. It knows constants by name
and value only, never what they do to the model.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Literal

import msgspec

from core import knobs
from core.design import Design, Factor, cells
from core.effects import Effect, effects
from core.errors import ResearcherFailed
from core.ids import ExperimentId
from core.knobs import Knob, Value
from core.patch import Change
from core.researcher import Idea, Plan
from core.state import State, Wave
from core.verdict import noise
from core.views import remaining

MAX_CELLS = 9  # of one wave on a small fleet; a large one gets as many as it has GPUs
MAX_FACTORS = 3
MAX_MISSES = 5  # looks, each closer than the one before; then wide again
CLEAR = 2.0  # standard errors: a smaller effect is not worth a word
STRIDES = (2.0, 3.0, 1.6)  # the widest step, round by round, so that a new round tries new levels
NOT_TUNABLE = re.compile(r"SEED|VOCAB|SEQ_LEN|EVAL|DEVICE(?!_BATCH)|DTYPE|EVERY|WORKERS|VERSION|DIR|PATH|NAME|STEPS$")
ROUNDS = 3 * MAX_MISSES  # designs thought through, per constant, before giving up
FEWEST_CELLS = 3  # a constant at three levels, even if only one more experiment is allowed
POWERS = re.compile(r"BATCH|DIM|WIDTH")  # kept to powers of two: trainers divide one by another
RATIO = re.compile(r"RATIO|FRAC|BETA|DROPOUT|MOMENTUM")
# In a fixed budget, what decides the number and size of steps comes first; everything is tried in the end.
PRIORITY = (
    re.compile(r"^(?!DEVICE_|MICRO_).*BATCH"),
    re.compile(r"DEPTH|LAYER"),
    re.compile(r"MATRIX_LR|^LEARNING_RATE$|^LR$"),
    re.compile(r"EMBED.*LR"),
    re.compile(r"WARMDOWN|COOLDOWN"),
    re.compile(r"ASPECT|DIM|WIDTH|MLP"),
    re.compile(r"LR"),
    re.compile(r"DECAY|BETA|MOMENTUM"),
)

Scale = Literal["power", "log", "unit"]


class Candidate(msgspec.Struct, frozen=True):
    """A constant that can be varied, and what was learned of it so far."""

    knob: Knob
    scale: Scale
    looks: int  # waves it took part in
    misses: int  # of those since it last moved the baseline
    direction: int  # +1 or −1: the way the last kept change took it; 0: none


class DesignedResearcher:
    """`only` and `without` name constants; an empty `only` allows all that look tunable."""

    name = "designed"

    def __init__(self, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
        self._only = frozenset(only)
        self._without = frozenset(without)

    async def propose(self, state: State, slots: int) -> Plan:
        return await asyncio.to_thread(self._plan, state, slots)  # parsing train.py takes tens of milliseconds

    def _plan(self, state: State, slots: int) -> Plan:
        found = self._candidates(state)
        if not found:
            raise ResearcherFailed(self._nothing_to_vary(state))
        left, tried = remaining(state), _tried(state)
        most = max(MAX_CELLS, slots + 1)
        most = most if left is None else min(most, max(left + 1, FEWEST_CELLS))
        baseline = {c.knob.name: c.knob.text for c in found}
        for _ in range(ROUNDS * len(found)):
            design = _design(found, most)
            ideas = tuple(_idea(cell, baseline) for cell in cells(design) if _config(state, cell) not in tried)
            if ideas:
                return Plan(reason=_reason(state, design, found), ideas=ideas, design=design)
            found = _looked_at(found, design)
        raise ResearcherFailed("every setting of the constants within reach has been tried.")

    def _nothing_to_vary(self, state: State) -> str:
        numbers = [k.name for k in knobs.find(state.sources[state.baseline]) if _is_number(k)]
        if not numbers:
            return "train.py has no constants to vary: write them at its top level as NAME = number, in capitals."
        wanted = f"`factors` names {', '.join(sorted(self._only))}" if self._only else "none of them may be varied"
        return f"The constants of train.py are {', '.join(numbers)}, and {wanted}; see autoresearch.toml."

    def _candidates(self, state: State) -> list[Candidate]:
        """Tunable constants of the baseline, the most promising first."""
        source = state.sources[state.baseline]
        found = [_candidate(state, knob) for knob in knobs.find(source) if self._tunable(knob)]
        return sorted(found, key=_urgency)

    def _tunable(self, knob: Knob) -> bool:
        if knob.name in self._without or not _is_number(knob):
            return False
        return knob.name in self._only or (not self._only and not NOT_TUNABLE.search(knob.name))


def _is_number(knob: Knob) -> bool:
    return isinstance(knob.value, int | float) and not isinstance(knob.value, bool)


# --- what was learned -------------------------------------------------------------------------------------------------


def _candidate(state: State, knob: Knob) -> Candidate:
    looks = misses = 0
    for wave in state.waves.values():
        if wave.design is not None and any(factor.name == knob.name for factor in wave.design.factors):
            looks += 1
            misses = 0 if _moved(state, wave, knob.name) else misses + 1
    return Candidate(knob, _scale(knob), looks, misses, _direction(state, knob.name))


def _scale(knob: Knob) -> Scale:
    if isinstance(knob.value, int):
        return "power"
    return "unit" if RATIO.search(knob.name) and 0 <= float(str(knob.value)) <= 1 else "log"


def _moved(state: State, wave: Wave, name: str) -> bool:
    """Whether a kept experiment of the wave changed this constant."""
    kept = (state.experiments[e] for e in wave.experiments if state.experiments[e].status == "kept")
    return any(name in experiment.change.settings for experiment in kept)


def _direction(state: State, name: str) -> int:
    """The sign of the last step of the lineage, if the experiment that made it varied this constant."""
    if len(state.lineage) < 2 or name not in state.experiments[state.baseline].change.settings:
        return 0
    before, after = (_value(state, experiment, name) for experiment in state.lineage[-2:])
    return 0 if before is None or after is None else (after > before) - (after < before)


def _value(state: State, experiment: ExperimentId, name: str) -> float | None:
    value = _values(state.sources[experiment]).get(name)
    return float(value) if isinstance(value, int | float) else None


@lru_cache(maxsize=512)
def _values(source: str) -> dict[str, Value]:
    """The constants of a train.py, by name."""
    return {knob.name: knob.value for knob in knobs.find(source)}


Config = frozenset[tuple[str, str]]


def _config(state: State, settings: dict[str, str], parent: ExperimentId | None = None) -> Config:
    """All constants of a parent (default: the baseline) with these settings: equal ones are the same experiment."""
    values = {**_values(state.sources[parent or state.baseline])}
    values.update((name, knobs.value_of(text)) for name, text in settings.items())
    return frozenset((name, repr(value)) for name, value in values.items())


def _tried(state: State) -> set[Config]:
    known = (experiment for experiment in state.experiments.values() if not experiment.change.edits)
    return {_config(state, experiment.change.settings, experiment.parent or experiment.id) for experiment in known}


def _looked_at(found: list[Candidate], design: Design) -> list[Candidate]:
    """As if a wave over this design had brought nothing: it would only repeat what is known."""
    names = {factor.name for factor in design.factors}
    again = [
        msgspec.structs.replace(c, looks=c.looks + 1, misses=c.misses + 1) if c.knob.name in names else c for c in found
    ]
    return sorted(again, key=_urgency)


def _urgency(candidate: Candidate) -> tuple[int, int, int]:
    """Directions that just paid off first, then the least looked at, then what usually matters."""
    name = candidate.knob.name
    usual = next((i for i, pattern in enumerate(PRIORITY) if pattern.search(name)), len(PRIORITY))
    momentum = candidate.direction != 0 and candidate.misses == 0
    return (0 if momentum else 1, candidate.looks, usual)


# --- the next wave ----------------------------------------------------------------------------------------------------


def _design(found: list[Candidate], most: int) -> Design:
    """A full factorial of at most `most` cells: two levels along a known direction, three where there is none."""
    factors: list[Factor] = []
    size = 1
    for candidate in found:
        for levels in (_levels(candidate), _levels(candidate)[:2]):
            if len(levels) > 1 and size * len(levels) <= most and len(factors) < MAX_FACTORS:
                factors.append(Factor(candidate.knob.name, levels))
                size *= len(levels)
                break
    return Design("full factorial", tuple(factors))


def _levels(candidate: Candidate) -> tuple[str, ...]:
    """Source texts around the present value, which is always one of them, lowest first."""
    knob, direction = candidate.knob, candidate.direction if candidate.misses == 0 else 0
    signs = (direction,) if direction else (-1, 1)
    values = {_step(candidate, sign) for sign in signs} | {knob.value}
    ordered = sorted(value for value in values if isinstance(value, int | float))
    return tuple(knob.text if value == knob.value else knobs.render(value, knob.text) for value in ordered)


def _step(candidate: Candidate, sign: int) -> float | int:
    """The next value up or down: a factor of 2 at first, its square root after each miss; a quarter for ratios."""
    value = candidate.knob.value
    assert isinstance(value, int | float)  # noqa: S101  `_tunable` saw to it
    shrink = 0.5 ** (candidate.misses % MAX_MISSES)
    if candidate.scale == "unit":
        return float(f"{min(1.0, max(0.0, value + sign * 0.25 * shrink)):.3g}")
    ratio = STRIDES[candidate.misses // MAX_MISSES % len(STRIDES)] ** (sign * shrink)
    if candidate.scale == "power":
        return _whole(candidate.knob, ratio, sign)
    return float(f"{value * ratio:.3g}")


def _whole(knob: Knob, ratio: float, sign: int) -> int:
    value = int(str(knob.value))
    if POWERS.search(knob.name) or "**" in knob.text or "<<" in knob.text:
        return value * 2 if sign > 0 else max(1, value // 2)
    moved = round(value * ratio)
    return max(1, value + sign if moved == value else moved)


def _idea(cell: dict[str, str], baseline: dict[str, str]) -> Idea:
    changed = {name: level for name, level in cell.items() if baseline[name] != level}
    title = ", ".join(f"{name} {baseline[name]} → {level}" for name, level in changed.items())
    return Idea(title=title, change=Change(settings=changed), cell=cell)


# --- saying why -------------------------------------------------------------------------------------------------------


def _reason(state: State, design: Design, found: list[Candidate]) -> str:
    known = {candidate.knob.name: candidate for candidate in found}
    parts = [_why(known[factor.name]) for factor in design.factors]
    strongest = _strongest(state)
    learned = f"; strongest in {strongest}" if strongest else ""
    return f"{design.kind} over " + ", ".join(parts) + learned


def _why(candidate: Candidate) -> str:
    name = candidate.knob.name
    if candidate.direction and candidate.misses == 0:
        return f"{name} ({'raised' if candidate.direction > 0 else 'lowered'} by the latest kept change, so further)"
    if candidate.looks == 0:
        return f"{name} (not tried yet)"
    return f"{name} (closer, after {candidate.misses} wave{'s' * (candidate.misses != 1)} without gain)"


def _strongest(state: State) -> str:
    """Of the latest wave with results: "DEPTH −0.1620 ± 0.0060"."""
    for wave in reversed(state.waves.values()):
        found = wave_effects(state, wave)
        if found and abs(found[0].size) > CLEAR * found[0].standard_error:
            first = found[0]
            size = f"{first.size:+.4f} ± {first.standard_error:.4f}".replace("-", "−")
            return f"{wave.id}: {' × '.join(first.factors)}, {size} from lowest to highest"
        if found:
            return ""
    return ""


def wave_effects(state: State, wave: Wave) -> tuple[Effect, ...]:
    """Effects of a designed wave on the GPU type with most results; its parent's runs are the unchanged cell."""
    if wave.design is None:
        return ()
    types = [gpu_type for name, gpu_type in state.scores if name in wave.experiments]
    if not types:
        return ()
    gpu_type = max(set(types), key=types.count)
    texts = {knob.name: knob.text for knob in knobs.find(state.sources[wave.parent])}
    centre = {factor.name: texts.get(factor.name, "") for factor in wave.design.factors}
    members = [(name, state.experiments[name].cell) for name in wave.experiments]
    if all(centre[factor.name] in factor.levels for factor in wave.design.factors):
        members.append((wave.parent, centre))
    runs = [(cell, score) for name, cell in members for score in state.scores.get((name, gpu_type), ())]
    return effects(wave.design, [cell for cell, _ in runs], [score for _, score in runs], noise(state, gpu_type).sd)
