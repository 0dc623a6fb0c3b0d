"""Two plain researchers to compare with: random search around the start, and one change at a time to the best.

Both vary the same constants as the designed researcher, in the same coordinates. `walked` and `anywhere` are the
methods themselves, on coordinates; the classes put them behind the researcher's protocol. They fit no surface.
"""

from __future__ import annotations

import asyncio
from ast import literal_eval
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from core.axes import Axis
from core.errors import ResearcherFailed
from core.patch import Change
from core.researcher import Idea, Plan
from core.researchers.measured import Config, Place, config_of, coordinates, place_of, settled, tried, values_of
from core.researchers.screening import settings_of
from core.state import State

Array = NDArray[np.float64]
Spot = tuple[float, ...]

WITHIN = 2.0  # units from the start: a factor of 4 either way, 0.4 for a share
SIZES = (1.0, 0.5, 0.25, 2.0)  # units of one change, the usual one first
DRAWS = 200  # before random search says that nothing is left


def anywhere(axes: Sequence[Axis], dice: np.random.Generator, within: float = WITHIN) -> Array:
    """A point drawn evenly in coordinates, so logarithmically in what is counted in octaves."""
    wanted = dice.uniform(-within, within, len(axes))
    return np.array([_switched(axis, c) for axis, c in zip(axes, wanted, strict=True)])


def _switched(axis: Axis, coordinate: float) -> float:
    return float(coordinate > 0) if axis.kind == "switch" else axis.nearest(float(coordinate))


def walked(
    axes: Sequence[Axis], at: Array, known: Collection[Spot], last: Array | None, dice: np.random.Generator
) -> Array | None:
    """The next single change to the best point: once more what has just helped, else one that is new.

    Larger changes come when all the usual ones were tried. None if nothing new is left.
    """
    if last is not None and (further := _changed(axes, at, at + last)) is not None and spot(further) not in known:
        return further
    for size in SIZES:
        for pick in dice.permutation(2 * len(axes)):
            i, sign = divmod(int(pick), 2)
            wanted = at.copy()
            wanted[i] += size if sign else -size
            changed = _changed(axes, at, wanted)
            if changed is not None and spot(changed) not in known:
                return changed
    return None


def spot(at: Array) -> Spot:
    return tuple(round(float(c), 4) for c in at)


def _changed(axes: Sequence[Axis], at: Array, wanted: Array) -> Array | None:
    there = np.array(
        [
            (1.0 - here if axis.kind == "switch" else axis.nearest(float(c))) if abs(c - here) > 1e-9 else here
            for axis, here, c in zip(axes, at, wanted, strict=True)
        ]
    )
    return None if np.allclose(there, at, atol=1e-4) else there


class RandomResearcher:
    """Random search: every idea is drawn anew around the start, whatever came of the others."""

    name = "random"

    def __init__(self, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
        self._only, self._without = frozenset(only), frozenset(without)

    async def propose(self, state: State, slots: int) -> Plan:
        return await asyncio.to_thread(self.plan, state, slots)

    def plan(self, state: State, slots: int) -> Plan:
        place = _place(state, self._only, self._without)
        dice = np.random.default_rng([state.seed, len(state.waves)])
        known, ideas = tried(state), list[Idea]()
        for _ in range(DRAWS + slots):
            idea = _idea(state, place, anywhere(place.axes, dice), known)
            if idea is not None:
                ideas.append(idea)
            if len(ideas) >= slots:
                break
        if not ideas:
            raise ResearcherFailed(f"{DRAWS} random settings in a row had been tried before.")
        return Plan(reason=f"random settings within {WITHIN:g} units of the start", ideas=tuple(ideas))


class GreedyResearcher:
    """One change at a time to the best so far, one idea per answer."""

    name = "greedy"

    def __init__(self, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
        self._only, self._without = frozenset(only), frozenset(without)

    async def propose(self, state: State, slots: int) -> Plan:
        return await asyncio.to_thread(self.plan, state, slots)

    def plan(self, state: State, slots: int) -> Plan:
        place = _place(state, self._only, self._without)
        dice, known = np.random.default_rng([state.seed, len(state.lineage)]), tried(state)
        spots = {spot(_coordinates(place, config)) for config in known}
        while (at := walked(place.axes, place.at, spots, _last(state, place), dice)) is not None:
            if idea := _idea(state, place, at, known):
                return Plan(reason=f"one change to {state.baseline}: {idea.title}", ideas=(idea,))
            spots.add(spot(at))  # rounded, it is one that was tried
        raise ResearcherFailed("every single change to the best train.py has been tried.")


def _place(state: State, only: frozenset[str], without: frozenset[str]) -> Place:
    place = place_of(state, only, without)
    if not place.axes:
        raise ResearcherFailed("train.py has no constants that may be varied; see `factors` in autoresearch.toml.")
    return place


def _last(state: State, place: Place) -> Array | None:
    """The move that led to the present baseline."""
    if len(state.lineage) < 2:
        return None
    return place.at - coordinates(place.axes, values_of(state.sources[state.lineage[-2]]))


def _coordinates(place: Place, config: Config) -> Array:
    return coordinates(place.axes, {name: literal_eval(text) for name, text in config})


def _idea(state: State, place: Place, at: Array, known: set[Config]) -> Idea | None:
    """None for what was tried before; a new one is added to `known`."""
    settings = settings_of(place, at)
    config = config_of(settled(values_of(state.sources[state.baseline]), settings))
    if not settings or config in known:
        return None
    known.add(config)
    title = ", ".join(f"{name} {place.knobs[name].text} → {text}" for name, text in settings.items())
    return Idea(title=title, change=Change(settings=settings))
