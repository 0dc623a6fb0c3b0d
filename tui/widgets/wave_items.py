"""What a wave is made of, for showing: its experiments with val_bpb against their parent, and which of them is best.

`analysis` adds what takes longer to know: the predicted best, and cells that were run in an earlier wave. Pure but for
the latest answers; what runs now is not in here, because it changes all the time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from core import knobs
from core.design import WITHOUT, Design, Factor, number
from core.ids import ExperimentId
from core.state import Experiment, State, Wave
from core.verdict import noise
from tui.remembered import Remembered

if TYPE_CHECKING:
    from core.analysis import Analysis

NOISE = 2.0  # standard errors: less is within the noise
CLEAR = 3.0


class Item(NamedTuple):
    """One experiment of a wave, its unchanged parent, or a cell of the design that was not run.

    `delta` is its mean val_bpb minus its parent's on one GPU type, with its standard error from the noise there.
    """

    experiment: Experiment | None
    cell: dict[str, str]  # texts of the design's factors, the parent's where it changes nothing
    runs: int = 0
    mean: float | None = None
    delta: float | None = None
    error: float | None = None
    is_parent: bool = False
    is_best: bool = False
    is_predicted: bool = False

    @property
    def id(self) -> ExperimentId | None:
        return self.experiment.id if self.experiment else None

    @property
    def sigmas(self) -> float | None:
        """`delta` in standard errors; below 0 is better."""
        return self.delta / self.error if self.delta is not None and self.error else None


_latest: Remembered[tuple[Item, ...]] = Remembered()


def items(state: State, wave: Wave, analysis: Analysis | None = None) -> tuple[Item, ...]:
    """Of a design the unchanged parent comes first; then the experiments in their order."""
    parts = (state.scores, state.experiments, state.spread, wave, analysis)
    return _latest.get(parts, lambda: _items(state, wave, analysis))


def factors(wave: Wave) -> tuple[Factor, ...]:
    return wave.design.factors if wave.design is not None and wave.design.kind != "list" else ()


def is_crossed(wave: Wave) -> bool:
    """Whether it is a matrix: two factors, each with levels."""
    return len(factors(wave)) == 2 and all(factor.levels for factor in factors(wave))


def level_of(factor: Factor, text: str) -> int | None:
    """Which level a text is, also if it is written differently ("4e-2" for "0.04")."""
    if text in factor.levels:
        return factor.levels.index(text)
    value = number(text)
    return next((i for i, level in enumerate(factor.levels) if value is not None and number(level) == value), None)


def _items(state: State, wave: Wave, analysis: Analysis | None) -> tuple[Item, ...]:
    members = [state.experiments[name] for name in wave.experiments if name in state.experiments]
    gpu_type = _gpu_type(state, members)
    base = _base(wave.design, state.sources.get(wave.parent, "")) if factors(wave) else {}
    found = [_item(state, member, {**base, **member.cell}, gpu_type) for member in members]
    parent = state.experiments.get(wave.parent)
    if factors(wave) and parent is not None:
        found.insert(0, _item(state, parent, base, gpu_type)._replace(is_parent=True, delta=None, error=None))
    return tuple(_starred(found + _elsewhere(state, analysis), analysis))


def _gpu_type(state: State, members: list[Experiment]) -> str:
    """Where most of the wave's results are."""
    counts = Counter(state.runs[run].gpu_type for member in members for run in member.runs if run in state.runs)
    return max(sorted(counts), key=lambda kind: counts[kind], default="")


def _item(state: State, member: Experiment, cell: dict[str, str], gpu_type: str) -> Item:
    name, kind = member.twin or member.id, gpu_type
    scores = state.scores.get((name, kind), ())
    if not scores:
        kind = next(
            (state.runs[run].gpu_type for run in member.runs if (name, state.runs[run].gpu_type) in state.scores), ""
        )
        scores = state.scores.get((name, kind), ())
    base = state.scores.get((member.parent or member.id, kind), ())
    if not scores:
        return Item(member, cell)
    if not base:
        return Item(member, cell, len(scores), fmean(scores))
    error = noise(state, kind).sd * math.sqrt(1 / len(scores) + 1 / len(base))
    return Item(member, cell, len(scores), fmean(scores), fmean(scores) - fmean(base), error)


def _base(design: Design | None, source: str) -> dict[str, str]:
    """The parent's texts of the factors; a structural factor is without its edits there."""
    texts = _texts(source)
    return {each.name: WITHOUT if each.edits else texts.get(each.name, "") for each in design.factors} if design else {}


@lru_cache(maxsize=16)
def _texts(source: str) -> dict[str, str]:
    return {knob.name: knob.text for knob in knobs.find(source)}


def _elsewhere(state: State, analysis: Analysis | None) -> list[Item]:
    """Cells of the design that were run before this wave."""
    known = [cell for cell in analysis.cells if cell.experiment is None and cell.twin] if analysis else []
    return [
        Item(state.experiments.get(cell.twin), cell.cell, cell.runs, cell.mean, cell.delta, cell.standard_error)
        for cell in known
        if cell.twin
    ]


def _starred(found: list[Item], analysis: Analysis | None) -> list[Item]:
    """The lowest of those that are better than the parent, and the one that the fit expects to be lowest."""
    better = [item for item in found if item.delta is not None and item.delta < 0]
    levels = {cell.experiment: cell.level for cell in analysis.cells} if analysis else {}
    best = min(better, key=lambda item: _level(item, levels), default=None)
    expected = analysis.predicted.cell if analysis and analysis.predicted else None
    return [
        item._replace(is_best=item is best, is_predicted=expected is not None and _same(item.cell, expected))
        for item in found
    ]


def _level(item: Item, levels: Mapping[ExperimentId | None, float | None]) -> float:
    """Its val_bpb, as the GPU type of most would have it where that is known."""
    return (levels.get(item.experiment.id) if item.experiment else None) or item.mean or 0.0


def _same(cell: dict[str, str], expected: dict[str, str]) -> bool:
    return bool(cell) and all(cell.get(name) == text for name, text in expected.items())
