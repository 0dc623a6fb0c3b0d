"""Everything that a session has measured, as coordinates and numbers, for fitting a surface.

Pure: the same state gives the same arrays. A configuration with free edits has no coordinates, unless the edits are
part of a baseline that others start from; then it is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from core import knobs
from core.axes import Axis, axes_of
from core.errors import PatchError
from core.ids import BASELINE, ExperimentId
from core.knobs import Knob, Value
from core.known import Known
from core.state import Experiment, State
from core.tiers import tiers
from core.verdict import noise

Array = NDArray[np.float64]
Config = frozenset[tuple[str, str]]

NOT_TUNABLE = re.compile(r"SEED|VOCAB|SEQ_LEN|EVAL|DEVICE(?!_BATCH)|DTYPE|EVERY|WORKERS|VERSION|DIR|PATH|NAME|STEPS$")
MEMORY = re.compile(r"memory", re.IGNORECASE)
REACH = 4.0  # units from the start that are looked at, at most
MOST_KNOWN = 20_000  # experiments whose coordinates are kept


class Place(msgspec.Struct, frozen=True):
    """What can be varied from the present baseline, and where that lies."""

    knobs: Mapping[str, Knob]
    axes: tuple[Axis, ...]
    at: Array  # coordinates of the baseline


class Measured(msgspec.Struct, frozen=True):
    """`at` (n × k), mean val_bpb, its standard error, GPU type (0: the one with most results) per configuration and
    type. `failed` are the places that crashed (m × k each), by cause: out of memory, and the rest."""

    names: tuple[ExperimentId, ...]
    at: Array
    value: Array
    error: Array
    kind: Array
    failed: tuple[Array, ...]
    sd: float  # run to run on the main type


def place_of(state: State, only: frozenset[str], without: frozenset[str]) -> Place:
    """An empty `only` allows every constant that looks tunable."""
    found = {knob.name: knob for knob in knobs.find(state.sources[state.baseline])}
    allowed = {name: knob for name, knob in found.items() if _allowed(name, only, without)}
    start = values_of(state.sources.get(BASELINE, ""))
    base = {name: start.get(name, knob.value) for name, knob in allowed.items()}
    powers = [name for name, knob in allowed.items() if "**" in knob.text or "<<" in knob.text]
    axes = tuple(axis for axis in axes_of(base, powers))
    values = {name: knob.value for name, knob in found.items()}
    return Place(allowed, axes, coordinates(axes, values))


def _allowed(name: str, only: frozenset[str], without: frozenset[str]) -> bool:
    return name not in without and (name in only or (not only and not NOT_TUNABLE.search(name)))


def coordinates(axes: tuple[Axis, ...], values: Mapping[str, Value]) -> Array:
    return np.array([axis.coordinate(values) if axis.name in values else 0.0 for axis in axes])


@lru_cache(maxsize=1024)
def values_of(source: str) -> dict[str, Value]:
    """The constants of a train.py, by name."""
    return {knob.name: knob.value for knob in knobs.find(source)}


@lru_cache(maxsize=65536)
def _value_of(text: str) -> Value:
    try:
        return knobs.value_of(text)
    except PatchError:
        return None


def settled(values: Mapping[str, Value], settings: Mapping[str, str]) -> dict[str, Value]:
    """The constants with these settings made."""
    return {**values, **{name: _value_of(text) for name, text in settings.items()}}


def config_of(values: Mapping[str, Value]) -> Config:
    """Equal ones are the same experiment."""
    return frozenset((name, repr(value)) for name, value in values.items())


def _values(state: State, experiment: Experiment) -> dict[str, Value] | None:
    """Its constants; None if it also changes code."""
    if experiment.id in state.sources:
        return values_of(state.sources[experiment.id])
    parent = state.sources.get(experiment.parent or BASELINE)
    if parent is None or experiment.change.edits:
        return None
    return settled(values_of(parent), experiment.change.settings)


def tried(state: State) -> set[Config]:
    """Every configuration that has been proposed, whatever became of it."""
    known = (_config(state, experiment) for experiment in state.experiments.values())
    return {config for config in known if config is not None}


def _config(state: State, experiment: Experiment) -> Config | None:
    def ask() -> Config | None:
        values = _values(state, experiment)
        return None if values is None else config_of(values)

    return _configs(experiment.id, _origin(state, experiment), ask)


def _origin(state: State, experiment: Experiment) -> tuple[object, ...]:
    """What the constants of an experiment follow from."""
    own, parent = state.sources.get(experiment.id), state.sources.get(experiment.parent or BASELINE)
    return experiment.change, own, parent


def _place(state: State, experiment: Experiment, axes: tuple[Axis, ...]) -> Array | None:
    def ask() -> Array | None:
        values = _values(state, experiment)
        return None if values is None else coordinates(axes, values)

    return _places(experiment.id, (*_origin(state, experiment), axes), ask)


_configs = Known[Config | None](MOST_KNOWN)
_places = Known[Array | None](MOST_KNOWN)


def measured(state: State, axes: tuple[Axis, ...]) -> Measured:
    """All results of the session. Standard errors are the run-to-run noise over the root of the number of runs."""
    kinds = _types(state)
    noises = {kind: noise(state, kind).sd for kind in kinds}
    found = ((experiment.id, _place(state, experiment, axes)) for experiment in state.experiments.values())
    places = {name: at for name, at in found if at is not None}
    rows = [(name, kind, scores) for (name, kind), scores in state.scores.items() if name in places and kind in noises]
    crashed = [(e.reason, places[e.id]) for e in state.experiments.values() if e.status == "crashed" and e.id in places]
    causes = [[at for reason, at in crashed if bool(MEMORY.search(reason)) is memory] for memory in (True, False)]
    return Measured(
        names=tuple(name for name, _, _ in rows),
        at=np.array([places[name] for name, _, _ in rows]).reshape(len(rows), len(axes)),
        value=np.array([float(np.mean(scores)) for _, _, scores in rows]),
        error=np.array([noises[kind] / np.sqrt(len(scores)) for _, kind, scores in rows]),
        kind=np.array([kinds.index(kind) for _, kind, _ in rows], dtype=float),
        failed=tuple(np.array(cause).reshape(len(cause), len(axes)) for cause in causes),
        sd=noises[kinds[0]] if kinds else 0.0,
    )


def _types(state: State) -> list[str]:
    """GPU types with results, that of the screening tier first."""
    count: dict[str, int] = {}
    for (_, kind), scores in state.scores.items():
        count[kind] = count.get(kind, 0) + len(scores)
    screening = set(tiers(state).screen)
    return sorted(count, key=lambda kind: (kind not in screening, -count[kind], kind))
