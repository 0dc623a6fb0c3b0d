"""A wave's results so far: each cell against the parent, what the design's effects are, and which cell looks best.

Each cell is compared with the parent on the GPU type that it ran on. The fit is made on one type, that with most
results; cells that ran elsewhere come in by their difference to the parent there. It can be asked again after every
finished run: cells that crashed, were vetoed, repeat another experiment or still run have their place. Pure; knows no
screen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from statistics import fmean
from typing import Literal

import msgspec

from core import knobs, patch
from core.coding import place
from core.design import WITHOUT, Design, cells, change
from core.effects import Fit, Observation, fit
from core.errors import DesignError, PatchError
from core.ids import ExperimentId, RunId, WaveId
from core.optimum import Prediction, Turning, predicted, turning
from core.patch import Edit
from core.state import Experiment, State, Wave
from core.verdict import Noise, noise

# measured: it has results that compare. waiting: it will have. lost: it never will. moved: it was made to
# start from another baseline, so it says nothing about this wave. not run: it belongs to the design, but was not tried.
Standing = Literal["measured", "waiting", "lost", "moved", "not run"]


class Cell(msgspec.Struct, frozen=True):
    """One experiment of a wave, its unchanged parent, or a cell of the design that has neither.

    `mean` is of `runs` runs on `gpu_type`; of its twin if it repeats another experiment. `delta` is `mean` minus the
    parent's there, with `standard_error` from the run-to-run noise; None until both are measured. `level` is what
    cells are ordered by and fitted to: `mean`, or where it ran on another type than most, the parent's mean plus delta.
    """

    experiment: ExperimentId | None
    standing: Standing
    status: str  # of the experiment; "" without one
    title: str
    cell: dict[str, str]
    twin: ExperimentId | None = None
    runs: int = 0
    mean: float | None = None
    delta: float | None = None
    standard_error: float | None = None
    gpu_type: str = ""
    level: float | None = None


class Analysis(msgspec.Struct, frozen=True):
    """`fit` and what follows from it are None for a list of free edits, and where `problem` says why."""

    wave: WaveId
    parent: ExperimentId
    design: Design | None
    gpu_type: str  # of the fit
    noise: Noise
    cells: tuple[Cell, ...]
    fit: Fit | None = None
    predicted: Prediction | None = None
    turning: Turning | None = None
    problem: str = ""

    @property
    def parent_cell(self) -> Cell | None:
        return next((cell for cell in self.cells if cell.experiment == self.parent), None)


def wave_analysis(state: State, wave: Wave) -> Analysis | None:
    """What the results of a wave say now. None before the first of them."""
    members = _members(state, wave)
    gpu_type = _gpu_type(state, members)
    if not gpu_type:
        return None
    measured = noise(state, gpu_type)
    design = wave.design if wave.design and wave.design.kind != "list" and wave.design.factors else None
    bare = Analysis(wave.id, wave.parent, wave.design, gpu_type, measured, ())
    try:
        found = _cells(state, wave, design, members, gpu_type)
        compared = _replace(bare, cells=_compared(state, wave, found, gpu_type))
        return _fitted(state, compared, design) if design else compared
    except DesignError as error:  # a recording may hold any design
        found = _cells(state, wave, None, members, gpu_type)
        return _replace(bare, cells=_compared(state, wave, found, gpu_type), problem=str(error))


_replace = msgspec.structs.replace


def latest(state: State) -> Wave | None:
    """The latest wave with a design and a result; without one, the latest with a result."""
    told = [wave for wave in reversed(state.waves.values()) if _gpu_type(state, _members(state, wave))]
    return next(
        (wave for wave in told if wave.design is not None and wave.design.kind != "list"), next(iter(told), None)
    )


def _members(state: State, wave: Wave) -> tuple[Experiment, ...]:
    return tuple(state.experiments[name] for name in wave.experiments)


def _gpu_type(state: State, members: tuple[Experiment, ...]) -> str:
    """Where most of the wave's runs have results; "" if there are none."""
    runs: Counter[str] = Counter()
    for name in dict.fromkeys(member.twin or member.id for member in members):
        for gpu_type in sorted({state.runs[run].gpu_type for run in _runs(state, name, members)}):
            runs[gpu_type] += len(state.scores.get((name, gpu_type), ()))
    return max((kind for kind in sorted(runs) if runs[kind]), key=lambda kind: runs[kind], default="")


def _runs(state: State, name: ExperimentId, members: tuple[Experiment, ...]) -> list[RunId]:
    """Of an experiment and of those among the members that repeat it."""
    repeats = [run for member in members if member.twin == name for run in member.runs]
    return [*state.experiments[name].runs, *repeats]


# --- cells ------------------------------------------------------------------------------------------------------------


def _cells(
    state: State, wave: Wave, design: Design | None, members: tuple[Experiment, ...], gpu_type: str
) -> list[Cell]:
    """The parent first, then the experiments in their order, then cells of the design that are not among them."""
    source = state.sources.get(wave.parent, "")
    base = _base(design, source) if design else {}
    found = [_of_experiment(state, wave, member, {**base, **member.cell}, gpu_type) for member in members]
    parent = state.experiments.get(wave.parent)
    is_cell = design is None or place(design, base) is not None
    if parent is not None:
        unchanged = _of_experiment(state, wave, parent, base if is_cell else {}, gpu_type)
        found.insert(0, _replace(unchanged, title="unchanged"))
    if design is None:
        return found
    known = {place(design, cell.cell) for cell in found}
    rest = [cell for cell in cells(design) if place(design, cell) not in known]
    return [*found, *(_of_design(state, wave, design, cell, base, source, gpu_type) for cell in rest)]


def _base(design: Design, source: str) -> dict[str, str]:
    """The parent's texts of the factors; a structural factor is without its edits there."""
    texts = _texts(source)
    return {factor.name: WITHOUT if factor.edits else texts.get(factor.name, "") for factor in design.factors}


@lru_cache(maxsize=64)
def _texts(source: str) -> dict[str, str]:
    return {knob.name: knob.text for knob in knobs.find(source)}


def _of_experiment(state: State, wave: Wave, member: Experiment, cell: dict[str, str], gpu_type: str) -> Cell:
    kind, scores = _measured(state, wave.parent, member.twin or member.id, gpu_type)
    standing: Standing = "measured" if scores else "waiting" if member.is_open else "lost"
    if member.id != wave.parent and member.parent != wave.parent:
        scores, standing = (), "moved"
    mean = fmean(scores) if scores else None
    return Cell(member.id, standing, member.status, member.title, cell, member.twin, len(scores), mean, gpu_type=kind)


def _measured(state: State, parent: ExperimentId, name: ExperimentId, gpu_type: str) -> tuple[str, tuple[float, ...]]:
    """On this type, or else where it has most results, if the parent is known on both."""
    here = state.scores.get((name, gpu_type), ())
    if here or (parent, gpu_type) not in state.scores:
        return gpu_type, here
    others = sorted({state.runs[run].gpu_type for run in state.experiments[name].runs})
    known = {kind: state.scores.get((name, kind), ()) for kind in others if (parent, kind) in state.scores}
    return max(known.items(), key=lambda item: len(item[1]), default=(gpu_type, ()))


def _of_design(
    state: State, wave: Wave, design: Design, cell: dict[str, str], base: dict[str, str], source: str, gpu_type: str
) -> Cell:
    """Not proposed by this wave: perhaps because it was tried before."""
    made = change(design, cell, base)
    digest = _digest(source, tuple(sorted(made.settings.items())), made.edits)
    twin = state.digests.get(digest) if digest else None
    kind, scores = _measured(state, wave.parent, twin, gpu_type) if twin else ("", ())
    if twin is None or not scores:
        return Cell(None, "not run", "", "", cell)
    return Cell(None, "measured", "", "", cell, twin, len(scores), fmean(scores), gpu_type=kind)


@lru_cache(maxsize=4096)
def _digest(source: str, settings: tuple[tuple[str, str], ...], edits: tuple[Edit, ...]) -> str:
    """Of the train.py of a cell; "" if there is none. Parsing takes tens of milliseconds, hence kept."""
    try:
        return patch.digest(patch.apply(source, patch.Change(settings=dict(settings), edits=edits)))
    except PatchError:
        return ""


def _compared(state: State, wave: Wave, found: list[Cell], gpu_type: str) -> tuple[Cell, ...]:
    return tuple(_against(state, wave.parent, cell, gpu_type) for cell in found)


def _against(state: State, parent: ExperimentId, cell: Cell, gpu_type: str) -> Cell:
    base = state.scores.get((parent, cell.gpu_type), ())
    if cell.mean is None or not base or cell.experiment == parent:
        return _replace(cell, level=cell.mean)
    delta = cell.mean - fmean(base)
    error = noise(state, cell.gpu_type).sd * math.sqrt(1 / cell.runs + 1 / len(base))
    level = cell.mean if cell.gpu_type == gpu_type else fmean(state.scores[parent, gpu_type]) + delta
    return _replace(cell, delta=delta, standard_error=error, level=level)


# --- the fit ----------------------------------------------------------------------------------------------------------


def _fitted(state: State, analysis: Analysis, design: Design) -> Analysis:
    here = analysis.gpu_type
    others = sorted({cell.gpu_type for cell in analysis.cells if cell.mean is not None} - {here})
    errors = {kind: _error(state, analysis.parent, kind) for kind in (here, *others)}
    placed = [cell for cell in analysis.cells if place(design, cell.cell) is not None]
    shared = Counter(cell.twin or cell.experiment for cell in placed if cell.mean is not None)
    worth = {kind: (analysis.noise.sd / noise(state, kind).sd) ** 2 for kind in (here, *others)}  # of a run, in ours
    seen = [
        Observation(
            cell.cell,
            cell.level,
            cell.runs * worth[cell.gpu_type] / shared[cell.twin or cell.experiment],
            cell.gpu_type if cell.gpu_type in others else "",
        )
        for cell in placed
        if cell.level is not None
    ]
    found = fit(
        design,
        seen,
        noise_sd=analysis.noise.sd,
        noise_df=analysis.noise.df,
        pending=_named(placed, "waiting"),
        lost={**_named(placed, "lost"), **_named(placed, "moved"), **_named(placed, "not run")},
        shifts={kind: math.hypot(errors[here], errors[kind]) for kind in others},
    )
    if found is None:
        return _replace(analysis, problem="No cell of the design has a result yet.")
    best = predicted(design, found, [run.cell for run in seen])
    return _replace(
        analysis, fit=found, predicted=best, turning=turning(design, found, best) if best is not None else None
    )


def _error(state: State, name: ExperimentId, gpu_type: str) -> float:
    """Standard error of its mean there."""
    return noise(state, gpu_type).sd / math.sqrt(max(1, len(state.scores.get((name, gpu_type), ()))))


def _named(placed: list[Cell], standing: Standing) -> Mapping[str, dict[str, str]]:
    chosen = [cell for cell in placed if cell.standing == standing]
    return {cell.experiment or f"cell {i} (not run)": cell.cell for i, cell in enumerate(chosen, 1)}
