"""Response-surface research without a network: screen many constants, then follow a fitted surface downhill.

A first wave is a declared design. From then on a quadratic surface is fitted to all results of the session; each wave
goes down its path of steepest descent in several step lengths at once and draws further points from what the results
still allow. Without gain the steps shrink; when stuck, constants that seem dead are moved far, many at a time. It has
no memory of its own: the same state gives the same wave. It knows constants by name and value only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from core import knobs
from core.design import Design, Factor
from core.errors import ResearcherFailed
from core.patch import Change
from core.researcher import Idea, Plan
from core.researchers.measured import (
    REACH,
    Config,
    Measured,
    Place,
    config_of,
    measured,
    place_of,
    settled,
    tried,
    values_of,
)
from core.researchers.quadratic import Points, Surface, fitted
from core.researchers.screening import opening, settings_of
from core.researchers.stepping import edges_of, is_risky, lattice, lowest
from core.state import State
from core.views import remaining

Array = NDArray[np.float64]

SLOPE = 0.005  # expected size of a main effect per unit, as a share of val_bpb
WIDEST, CLOSEST = 1.25, 0.26  # units from the centre that one wave may go
HALVED = 24  # results without gain after which it goes half as far
STUCK = 24  # results without gain after which some waves look elsewhere
LAG = 1 / 16  # of both, more per GPU: what was under way when the last gain was seen could not follow it
PATH = (1.0, 0.6, 1.5, 0.35)  # steps down the path of steepest descent, in units of the radius, the best guess first
GAIN = 2.0  # run-to-run sd: less than this lower is luck
EVERY = 3  # once stuck, every third wave looks elsewhere
STAY = 0.25  # run-to-run sd: a smaller predicted gain is no reason to change a constant
SEEMS_DEAD = 1.5  # run-to-run sd: what a constant does to val_bpb over one unit
ELSEWHERE = (1.7, 2.6)  # units that seemingly dead constants are moved
CLEAR = 2.0  # standard errors: a smaller effect is not worth a word
FEWEST = 2
PATIENT = 3  # times that a wave is drawn again because much of it was tried before
TRIES = 6  # times in all; the last ones take anything that is new
RANDOM = 20  # random points per place in the wave


class Centre(NamedTuple):
    """Where the best result lies, what it is, and how many results there were since the last gain."""

    at: Array
    value: float
    since: int


class DesignedResearcher:
    """`only` and `without` name constants; an empty `only` allows all that look tunable."""

    name = "designed"

    def __init__(self, *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
        self._only = frozenset(only)
        self._without = frozenset(without)

    async def propose(self, state: State, slots: int) -> Plan:
        return await asyncio.to_thread(self.plan, state, slots)  # fitting takes tens of milliseconds

    def plan(self, state: State, slots: int) -> Plan:
        """The next wave; raises ResearcherFailed when nothing is left to try."""
        place = place_of(state, self._only, self._without)
        if not place.axes:
            raise ResearcherFailed(self._nothing_to_vary(state))
        known = tried(state)
        first = opening(place, slots, len(state.waves), remaining(state))
        if first is not None and not _has_results(state):
            ideas = _celled(place, first.design, tuple(_new(state, place, first.at, known)))
            if ideas:
                names = ", ".join(factor.name for factor in first.design.factors)
                reason = f"{first.design.kind} over {names}: nothing is known yet, so it asks {first.asks}"
                return Plan(reason=reason.replace("list over", "single steps of"), ideas=ideas, design=first.design)
        return _downhill(state, place, known, max(FEWEST, slots))

    def _nothing_to_vary(self, state: State) -> str:
        numbers = [k.name for k in knobs.find(state.sources[state.baseline]) if _is_number(k.value)]
        if not numbers:
            return "train.py has no constants to vary: write them at its top level as NAME = number, in capitals."
        wanted = f"`factors` names {', '.join(sorted(self._only))}" if self._only else "none of them may be varied"
        return f"The constants of train.py are {', '.join(numbers)}, and {wanted}; see autoresearch.toml."


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_results(state: State) -> bool:
    """Of anything that was proposed; a later wave then follows from them."""
    return any(name != state.baseline for name, _ in state.scores)


# --- where we are -----------------------------------------------------------------------------------------------------


def _downhill(state: State, place: Place, known: set[Config], slots: int) -> Plan:
    seen = measured(state, place.axes)
    dice = np.random.default_rng([state.seed, len(state.waves)])
    centre = _centre(seen, place)
    surface = _surface(seen, centre)
    if len(seen.value) > 2 and surface is not None:
        centre = _smoothed(seen, centre, surface)
        surface = _surface(seen, centre)
    patience = 1.0 + LAG * len(state.gpus)
    radius = max(CLOSEST, WIDEST * 0.5 ** (centre.since / HALVED / patience))
    aside = centre.since > STUCK * patience and len(state.waves) % EVERY == 0
    points: list[Array] = []
    for again in range(TRIES):
        points += _points(place, seen, centre, surface, slots, radius, again, aside, dice)
        ideas = tuple(islice(_new(state, place, points, known, surface, centre), slots))
        if len(ideas) >= slots or (ideas and again >= PATIENT):
            break
    if not ideas:
        raise ResearcherFailed("every setting of the constants within reach has been tried.")
    design = _listed(place, ideas)
    reason = _reason(seen, place, centre, surface, radius, aside)
    return Plan(reason=reason, ideas=_celled(place, design, ideas), design=design)


def _points(
    place: Place,
    seen: Measured,
    centre: Centre,
    surface: Surface | None,
    slots: int,
    radius: float,
    again: int,
    aside: bool,
    dice: np.random.Generator,
) -> list[Array]:
    """Candidates; with every further attempt for one wave less is asked of them."""
    if again > PATIENT:
        return _anyhow(place, centre, slots, dice)
    if aside:
        return _elsewhere(place, seen, centre, surface, slots, 0.5**again, dice)
    return _near(place, seen, centre, surface, slots, radius * 1.5**again, STAY * 0.5**again, dice)


def _centre(seen: Measured, place: Place) -> Centre:
    main = np.flatnonzero(seen.kind == 0)
    if not len(main):
        return Centre(place.at, 1.0, 0)
    best = main[np.argmin(seen.value[main])]
    return Centre(seen.at[best], float(seen.value[best]), _since(seen))


def _since(seen: Measured) -> int:
    """Results after the last that was better than all before by more than the noise."""
    lowest_yet, since = np.inf, 0
    for value in seen.value[seen.kind == 0]:
        since += 1
        if value < lowest_yet - GAIN * seen.sd:
            lowest_yet, since = value, 0
    return since


def _surface(seen: Measured, centre: Centre) -> Surface | None:
    if not len(seen.value):
        return None
    points = Points(seen.at - centre.at, seen.value, np.maximum(seen.error, 1e-9), seen.kind)
    return fitted(points, slope=SLOPE * abs(centre.value), centre_value=centre.value)


def _smoothed(seen: Measured, centre: Centre, surface: Surface) -> Centre:
    """The best result by what was measured and what the surface says there: the luckiest one is flattered."""
    change, error = surface.predicted(seen.at - centre.at)
    offset = surface.mean[0]
    weight, trust = 1 / seen.error**2, 1 / (error**2 + surface.misfit**2 + seen.sd**2)
    mixed = (weight * seen.value + trust * (centre.value + offset + change)) / (weight + trust)
    main = np.flatnonzero(seen.kind == 0)
    best = main[np.argmin(mixed[main])]
    return Centre(seen.at[best], float(mixed[best]), centre.since)


# --- where to go ------------------------------------------------------------------------------------------------------


def _near(
    place: Place,
    seen: Measured,
    centre: Centre,
    surface: Surface | None,
    slots: int,
    radius: float,
    stay: float,
    dice: np.random.Generator,
) -> list[Array]:
    """Steps along the path of steepest descent, then points drawn from what the results still allow."""
    count = len(place.axes)
    if surface is None:  # not even the baseline is measured
        flat = [(dice.normal(size=count), np.eye(count)) for _ in range(slots)]
        return _lowest(place, seen, centre, flat, np.full(slots, radius), 0.0)
    path = PATH if slots >= 2 * len(PATH) else PATH[:1]
    expected = [surface.expected()] * len(path)
    drawn = surface.draws(3 * slots, dice)
    radii = np.r_[np.array(path) * radius, np.full(len(drawn), radius)]
    return _lowest(place, seen, centre, expected + drawn, radii, stay * seen.sd)


def _elsewhere(
    place: Place,
    seen: Measured,
    centre: Centre,
    surface: Surface | None,
    slots: int,
    share: float,
    dice: np.random.Generator,
) -> list[Array]:
    """What seems dead here is moved far, much of it at once: if it really is dead, that costs nothing."""
    dead = _seemingly_dead(place, seen, surface)
    edges = edges_of(seen.at, seen.failed)
    found: list[Array] = []
    for _ in range(6 * slots):
        at = centre.at.copy()
        for i in dead:
            far = float(dice.choice([-1.0, 1.0])) * float(dice.uniform(*ELSEWHERE))
            if dice.random() < share:
                at[i] = place.axes[i].nearest(float(np.clip(at[i] + far, -REACH, REACH)))
        if not is_risky(edges, at):
            found.append(at)
    return found


def _anyhow(place: Place, centre: Centre, slots: int, dice: np.random.Generator) -> list[Array]:
    """A few constants at random: when everything that looks better was tried."""
    levels = [lattice(axis, REACH, float(c)) for axis, c in zip(place.axes, centre.at, strict=True)]
    found: list[Array] = []
    for _ in range(RANDOM * slots):
        at = centre.at.copy()
        for i in dice.integers(len(levels), size=int(dice.integers(1, 4))):
            at[i] = float(dice.choice(levels[i]))
        found.append(at)
    return found


def _seemingly_dead(place: Place, seen: Measured, surface: Surface | None) -> list[int]:
    numbers = [i for i, axis in enumerate(place.axes) if axis.kind != "switch"]
    if surface is None:
        return numbers
    main, _ = surface.main()
    size = np.abs(main) + np.abs(surface.bends()[0])
    return [i for i in numbers if size[i] < SEEMS_DEAD * seen.sd] or numbers


def _lowest(
    place: Place,
    seen: Measured,
    centre: Centre,
    surfaces: list[tuple[Array, Array]],
    radii: Array,
    stay: float,
) -> list[Array]:
    levels = [lattice(axis, REACH, float(c)) for axis, c in zip(place.axes, centre.at, strict=True)]
    return list(lowest(surfaces, levels, centre.at, radii, stay, edges_of(seen.at, seen.failed)))


# --- the wave ---------------------------------------------------------------------------------------------------------


def _new(
    state: State,
    place: Place,
    points: Iterable[Array],
    known: set[Config],
    surface: Surface | None = None,
    centre: Centre | None = None,
) -> Iterator[Idea]:
    """One idea per point that is new."""
    present = values_of(state.sources[state.baseline])
    fresh = set(known)
    for at in points:
        settings = settings_of(place, at)
        config = config_of(settled(present, settings))
        if settings and config not in fresh:
            fresh.add(config)
            yield _idea(place, settings, _hypothesis(at, surface, centre))


def _idea(place: Place, settings: dict[str, str], hypothesis: str) -> Idea:
    title = ", ".join(f"{name} {place.knobs[name].text} → {text}" for name, text in settings.items())
    return Idea(title=title, change=Change(settings=settings), hypothesis=hypothesis)


def _hypothesis(at: Array, surface: Surface | None, centre: Centre | None) -> str:
    if surface is None or centre is None:
        return ""
    change, error = surface.predicted(at - centre.at)
    low = centre.value + float(change[0])
    return f"predicted val_bpb {low:.4f} ± {float(np.hypot(error[0], surface.misfit)):.4f}"


def _listed(place: Place, ideas: tuple[Idea, ...]) -> Design:
    """The constants that these ideas change, each with the levels that occur."""
    levels: dict[str, dict[str, None]] = {}
    for idea in ideas:
        for name, text in idea.change.settings.items():
            levels.setdefault(name, {place.knobs[name].text: None})[text] = None
    return Design("list", tuple(Factor(name, tuple(texts)) for name, texts in levels.items()))


def _celled(place: Place, design: Design, ideas: tuple[Idea, ...]) -> tuple[Idea, ...]:
    """With the level of every factor of the design, the present one where an idea leaves it."""
    present = {factor.name: place.knobs[factor.name].text for factor in design.factors}
    return tuple(
        msgspec.structs.replace(
            idea, cell={name: idea.change.settings.get(name, text) for name, text in present.items()}
        )
        for idea in ideas
    )


def _reason(
    seen: Measured, place: Place, centre: Centre, surface: Surface | None, radius: float, elsewhere: bool
) -> str:
    if surface is None:
        return "nothing is measured yet: points around the baseline, to have something to fit"
    found = f"{len(seen.value)} results, the best at {centre.value:.4f}"
    strong = _strongest(place, surface)
    if elsewhere:
        return (
            f"{found} and none better in the last {centre.since}: constants that seem dead here are moved far at once"
        )
    asks = f"steps down the fitted surface up to {radius:.2g} units away, and points that the results still allow"
    return f"{found}; {strong}; {asks}" if strong else f"{found}; no effect is clear yet; {asks}"


def _strongest(place: Place, surface: Surface) -> str:
    """ "MATRIX_LR −0.0062 ± 0.0004 per unit, DEPTH bends by +0.0110 ± 0.0021": at most three effects at the centre."""
    effects = [(*found, "") for found in zip(place.axes, *surface.main(), strict=True)]
    effects += [(*found, "bends by ") for found in zip(place.axes, *surface.bends(), strict=True)]
    clear = [effect for effect in effects if abs(effect[1]) > CLEAR * effect[2]]
    clear.sort(key=lambda effect: -abs(effect[1]) / effect[2])
    shown = [f"{axis.name} {bends}{size:+.4f} ± {error:.4f}" for axis, size, error, bends in clear[:3]]
    return f"strongest per unit: {', '.join(shown)}".replace("-", "−") if shown else ""
