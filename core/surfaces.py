"""Hidden response surfaces: what a training run would reach, as a function of the constants of train.py.

Five shapes with a known optimum, for the simulator and for comparisons of researchers. A surface knows the true mean of
val_bpb, the memory and where training breaks; it knows no noise, no GPU types and no clock. It models no real network:
which constants matter, how much and where their best values lie is drawn from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.axes import Axis, axes_of, narrowed, nonsense, widened
from core.knobs import Value

SURFACES: tuple[str, ...] = ("bowl", "ridge", "sparse", "cliff", "basins")
START = 1.003  # val_bpb of the unchanged train.py: the published run of 16 GPUs started there
GAINS = (0.027, 0.031)  # start minus optimum; that run gained 0.029
WORST = 1.5  # val_bpb above the optimum that nothing exceeds: a model that learned little
MEMORY_MB = 45_000.0  # of the unchanged train.py
GPU_MEMORY_MB = 80_000.0  # what a run can have of the reference GPU type
FIXED_MEMORY = 0.15  # share of it that does not grow with the batch or the model
DIVERGES = 4.5  # octaves above its start at which any learning rate breaks
SETTLED = 0.35  # share of the inactive constants that are right as they are: any change of them harms
FAINT = 0.15  # share that matters a little

Point = NDArray[np.float64]
Cost = Callable[[Point], float]  # 1 at the start, 0 at the optimum


class Truth(msgspec.Struct, frozen=True):
    """On the reference GPU type (H100); `val_bpb` is the mean over seeds. With a `crash` there is no result."""

    val_bpb: float
    memory_mb: float
    crash: str = ""
    breaks: str = ""  # why it has none where there is memory enough

    def crash_on(self, room_mb: float) -> str:
        """As `crash`, on a GPU of which a run can have `room_mb` of memory."""
        if self.memory_mb > room_mb:
            return _too_large(self.memory_mb, room_mb)
        return self.crash if self.memory_mb <= GPU_MEMORY_MB else self.breaks


def _too_large(memory_mb: float, room_mb: float) -> str:
    return f"CUDA out of memory: {memory_mb / 1000:.0f} GB of {room_mb / 1000:.0f} GB needed"


class Surface(Protocol):
    """`start` and `optimum` are true values of val_bpb; the optimum is taken at the reachable setting `best`."""

    name: str
    start: float
    optimum: float
    best: Mapping[str, Value]

    def truth(self, config: Mapping[str, Value]) -> Truth: ...


class Hidden:
    """A surface over the `axes` of `base`, as `made` by one of the makers below."""

    def __init__(self, name: str, base: Mapping[str, Value], axes: Sequence[Axis], made: Made, gain: float) -> None:
        self.name = name
        self.start = START
        self.optimum = START - gain
        self.best: Mapping[str, Value] = _config(base, axes, made.best)
        self._base, self._axes, self._made = base, axes, made
        self._named = axes_of(base)
        self._gain = -WORST * math.log(1 - gain / WORST)

    def truth(self, config: Mapping[str, Value]) -> Truth:
        known = {**self._base, **config}
        broken = next((why for axis in self._named if (why := nonsense(axis, known))), "")
        if broken:
            return Truth(math.nan, 0.0, broken)
        real = widened(known)
        point = np.array([axis.coordinate(real) for axis in self._axes])
        memory, breaks = self._memory(point), self._breaks(point)
        crash = _too_large(memory, GPU_MEMORY_MB) if memory > GPU_MEMORY_MB else breaks
        return Truth(self._val_bpb(point), memory, crash, breaks)

    def _val_bpb(self, point: Point) -> float:
        excess = self._gain * self._made.cost(point)
        return self.optimum + WORST * (1 - math.exp(-excess / WORST))

    def _memory(self, point: Point) -> float:
        growth = 2.0 ** min(20.0, float(self._made.memory @ point))
        return float(self._made.memory_mb * (FIXED_MEMORY + (1 - FIXED_MEMORY) * growth))

    def _breaks(self, point: Point) -> str:
        for axis, coordinate in zip(self._axes, point, strict=True):
            if "LR" in axis.name and coordinate > DIVERGES:
                return f"the loss diverged ({axis.name} is too high)"
        return "the loss diverged" if float(self._made.edge @ point) > self._made.most else ""


class Made(msgspec.Struct, frozen=True):
    """What a seed drew: coordinates throughout. Beyond `edge` @ point == `most` the loss diverges."""

    cost: Cost
    best: Point
    memory: Point  # octaves of memory per unit of each coordinate
    memory_mb: float
    edge: Point
    most: float = math.inf


def surface(name: str, base: Mapping[str, Value], seed: int) -> Surface:
    """The surface of this name over the numeric constants in `base`, the train.py at the start.

    Raises KeyError for a name that is not in SURFACES. Constants that are no numbers have no effect.
    """
    draw = np.random.default_rng([crc32(name.encode()), seed])
    axes = axes_of(widened(base))
    made = _MAKERS[name](axes, draw)
    return Hidden(name, base, axes, made, float(draw.uniform(*GAINS)))


# --- shapes -----------------------------------------------------------------------------------------------------------


def _bent(distance: Point, steep: Point) -> Point:
    """Squares that flatten far out on one side and grow faster than squares on the other, `steep` = ±1."""
    far = np.abs(distance)
    flat, sharp = 1 / (1 + 0.35 * far), 1 + 0.25 * distance**2
    return distance**2 * np.where(distance * steep > 0, sharp, flat)


class _Drawn(msgspec.Struct, frozen=True):
    """A separable bowl: `weight` per axis, zero for the dead ones."""

    best: Point
    weight: Point
    steep: Point

    def cost(self, point: Point) -> float:
        return float(self.weight @ _bent(point - self.best, self.steep))


def _bowl_over(axes: Sequence[Axis], active: Sequence[int], wanted: Point, draw: np.random.Generator) -> _Drawn:
    """A bowl whose active axes share the gain unevenly; 1 at the start."""
    best, weight = np.zeros(len(axes)), np.zeros(len(axes))
    steep = draw.choice([-1.0, 1.0], len(axes))
    for index, coordinate in zip(active, wanted, strict=True):
        best[index] = axes[index].reachable(float(coordinate))
    share = draw.uniform(0.4, 1.6, len(active))
    at_start = _bent(-best, steep)
    for index, part in zip(active, share / share.sum(), strict=True):
        weight[index] = part / at_start[index]
    return _Drawn(best, weight, steep)


def _inactive(axes: Sequence[Axis], active: Sequence[int], draw: np.random.Generator) -> tuple[_Drawn, float]:
    """What the other constants add: harm, a trace, or nothing. The second value is its share at the start."""
    best, weight = np.zeros(len(axes)), np.zeros(len(axes))
    steep = draw.choice([-1.0, 1.0], len(axes))
    for index, axis in enumerate(axes):
        kind = draw.uniform()
        if index in active or not axis.matters:
            continue
        if kind < SETTLED:
            weight[index] = draw.uniform(0.05, 0.35)
        elif kind < SETTLED + FAINT:
            best[index] = axis.reachable(axis.open_side(draw) * draw.uniform(0.5, 1.5))
            weight[index] = draw.uniform(0.005, 0.02)
    drawn = _Drawn(best, weight, steep)
    return drawn, drawn.cost(np.zeros(len(axes)))


def _with_inactive(axes: Sequence[Axis], active: Sequence[int], cost: Cost, draw: np.random.Generator) -> _Mixed:
    rest, at_start = _inactive(axes, active, draw)
    return _Mixed(lambda point: (cost(point) + rest.cost(point)) / (1 + at_start), rest.best)


class _Mixed(msgspec.Struct, frozen=True):
    cost: Cost
    best: Point  # of the inactive axes; zero elsewhere


def _active(axes: Sequence[Axis], count: int, draw: np.random.Generator) -> list[int]:
    able = [index for index, axis in enumerate(axes) if axis.matters]
    return sorted(int(i) for i in draw.permutation(able)[: max(1, min(count, len(able)))])


def _places(axes: Sequence[Axis], active: Sequence[int], low: float, high: float, draw: np.random.Generator) -> Point:
    """Wanted optima, `low` to `high` units from the start, on a side with room."""
    return np.array([axes[index].open_side(draw) * draw.uniform(low, high) for index in active])


def _made(axes: Sequence[Axis], mixed: _Mixed, best: Point) -> Made:
    memory = np.array([axis.memory for axis in axes])
    whole = mixed.best + best
    at_best = FIXED_MEMORY + (1 - FIXED_MEMORY) * 2.0 ** float(memory @ whole)
    fits = min(MEMORY_MB, 0.97 * GPU_MEMORY_MB / at_best)  # the optimum never is out of memory
    return Made(mixed.cost, whole, memory, fits, np.zeros(len(axes)))


def _bowl(axes: Sequence[Axis], draw: np.random.Generator, count: tuple[int, int] = (4, 6)) -> Made:
    """Separable: each active constant has its own best value."""
    active = _active(axes, int(draw.integers(count[0], count[1] + 1)), draw)
    drawn = _bowl_over(axes, active, _places(axes, active, 0.6, 1.6, draw), draw)
    return _made(axes, _with_inactive(axes, active, drawn.cost, draw), drawn.best)


def _sparse(axes: Sequence[Axis], draw: np.random.Generator) -> Made:
    """Three constants matter, all others are dead or harmful."""
    return _bowl(axes, draw, (3, 3))


def _ridge(axes: Sequence[Axis], draw: np.random.Generator) -> Made:
    """A narrow valley across four constants: strong interactions, no single one of them leads to the optimum."""
    roomy = [index for index, axis in enumerate(axes) if axis.matters and axis.has_room]
    active = sorted(int(i) for i in draw.permutation(roomy or [0])[:4])
    size = len(active)
    rotation = np.linalg.qr(draw.normal(size=(size, size)))[0]
    narrow = np.array([1.0, 0.3, 0.12, 0.06])[:size]
    away = np.array([0.6, 0.9, 1.3, 1.6])[:size] * draw.uniform(0.8, 1.2, size) * draw.choice([-1, 1], size)
    best = np.zeros(len(axes))
    best[active] = [axes[i].reachable(float(x)) for i, x in zip(active, -rotation.T @ away, strict=True)]
    steep = draw.choice([-1.0, 1.0], size)

    def raw(point: Point) -> float:
        return float(narrow @ _bent(rotation @ (point - best)[active], steep))

    at_start = raw(np.zeros(len(axes)))
    return _made(axes, _with_inactive(axes, active, lambda point: raw(point) / at_start, draw), best)


def _cliff(axes: Sequence[Axis], draw: np.random.Generator) -> Made:
    """A bowl with its optimum close to two edges: memory, and a divergence that comes from several constants."""
    heavy = [index for index, axis in enumerate(axes) if axis.memory and axis.matters]
    others = [index for index in _active(axes, len(axes), draw) if index not in heavy and axes[index].has_room]
    hot = [int(index) for index in draw.permutation(others)[:3]]
    large = [int(draw.choice(heavy))] if heavy else []
    active = hot + large
    wanted = np.array([*draw.uniform(0.6, 1.4, len(hot)), *draw.uniform(0.3, 0.7, len(large))])
    drawn = _bowl_over(axes, active, wanted, draw)
    made = _made(axes, _with_inactive(axes, [*active, *heavy], drawn.cost, draw), drawn.best)
    at_best = FIXED_MEMORY + (1 - FIXED_MEMORY) * 2.0 ** float(made.memory @ made.best)
    edge = np.zeros(len(axes))
    edge[hot] = 1 / math.sqrt(max(1, len(hot)))
    return Made(
        made.cost,
        made.best,
        made.memory,
        0.95 * GPU_MEMORY_MB / at_best,
        edge,
        float(edge @ made.best) + float(draw.uniform(0.2, 0.5)),
    )


def _basins(axes: Sequence[Axis], draw: np.random.Generator) -> Made:
    """A basin near the start, and a better one that needs two wide steps together; either alone brings little."""
    active = _active(axes, 5, draw)
    far = [index for index in draw.permutation(active).tolist() if axes[index].has_room][:2]
    near = [index for index in active if index not in far]
    first = _bowl_over(axes, near, _places(axes, near, 0.6, 1.4, draw), draw)
    second = _bowl_over(axes, far, _places(axes, far, 1.8, 2.4, draw), draw)
    floor, wall = float(draw.uniform(0.35, 0.45)), float(draw.uniform(1.6, 2.1))

    def cost(point: Point) -> float:
        return min(
            floor + (1 - floor) * first.cost(point),
            0.3 * first.cost(point) + wall * second.cost(point),
        )

    return _made(axes, _with_inactive(axes, active, cost, draw), first.best + second.best)


_MAKERS: dict[str, Callable[[Sequence[Axis], np.random.Generator], Made]] = {
    "bowl": _bowl,
    "ridge": _ridge,
    "sparse": _sparse,
    "cliff": _cliff,
    "basins": _basins,
}


def _config(base: Mapping[str, Value], axes: Sequence[Axis], point: Point) -> dict[str, Value]:
    config = widened(base)
    for axis, coordinate in zip(axes, point, strict=True):
        if coordinate:
            config[axis.name] = axis.put(config[axis.name], float(coordinate))
    return narrowed(config, base)
