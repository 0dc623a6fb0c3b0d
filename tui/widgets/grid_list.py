"""A wave as a table: one line per experiment, with its state, what it changes, how far it is or what came out.

Pure; knows no cursor but the experiment under it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean, pstdev
from typing import NamedTuple

from core.design import number
from core.ids import ExperimentId, WaveId
from core.state import Experiment, State
from tui import numbers, signs
from tui.bars import bar
from tui.glyphs import Glyphs
from tui.paint import Line, line
from tui.safe import fit
from tui.widgets.grid_cells import mark, marked, role_of, sign_of
from tui.widgets.pieces import cut
from tui.widgets.wave_items import Item

NARROW = 28  # cells below which only state and difference are said
ROOMY = 46  # cells from which the state has its word
WIDE = 70  # cells from which val_bpb stands beside the difference
WORD = 9


class Common(NamedTuple):
    """Of the settings of a wave: how many experiments have each, and the mean and spread of each constant's values."""

    counts: Mapping[tuple[str, str], int]
    spread: Mapping[str, tuple[float, float]]


DIGITS = re.compile(r"\d+\.\d{4,}")  # more than tells settings apart
_waves: dict[WaveId, tuple[tuple[ExperimentId, ...], Common]] = {}
WAVES = 50  # that are remembered


def row(
    state: State, item: Item, cells: int, glyphs: Glyphs, common: Common, ground: str = "", *, is_marked: bool = False
) -> Line:
    """Exactly `cells` cells; `common`: what the wave has in common; `ground`: the cursor's."""
    sign = sign_of(state, item, glyphs)
    word = fit(f" {sign.word}", WORD + 1) if cells >= ROOMY else ""
    name = fit(str(item.id or ""), 5)
    left = line(
        (name, "bold" if item.is_best else ""), marked(glyphs, is_marked=is_marked), (f"{sign.glyph}{word} ", sign.role)
    )
    right = _result(state, item, cells, glyphs)
    if cells < NARROW:
        right = right[:-1]  # without the runs
    room = cells - sum(len(text) for text, _ in (*left, *right))
    change = fit(changes(item.experiment, common) if item.experiment else "", max(0, room - 1)) + " "
    spans = cut(
        (*left, (change[: max(0, room)], "" if item.experiment and item.experiment.is_open else "muted"), *right), cells
    )
    return tuple((text, f"{role.split(' on ')[0]} on {ground}".strip()) for text, role in spans) if ground else spans


def common(state: State, wave: WaveId | None) -> Common:
    """What the experiments of a wave have in common; nothing for those that nobody planned together."""
    planned = state.waves.get(wave) if wave is not None else None
    if planned is None:
        return Common(Counter(), {})
    found = _waves.get(planned.id)
    if found is None or found[0] is not planned.experiments:
        members = (state.experiments[name] for name in planned.experiments if name in state.experiments)
        found = _waves[planned.id] = (planned.experiments, _shared(member.change.settings for member in members))
        while len(_waves) > WAVES:
            del _waves[next(iter(_waves))]
    return found[1]


def _shared(settings: Iterable[Mapping[str, str]]) -> Common:
    counts = Counter(pair for each in settings for pair in each.items())
    values: dict[str, list[float]] = {}
    for (name, text), many in counts.items():
        if (value := number(text)) is not None:
            values.setdefault(name, []).extend([value] * many)
    return Common(counts, {name: (fmean(each), pstdev(each)) for name, each in values.items()})


def changes(experiment: Experiment, shared: Common) -> str:
    """What it changes, in little room: "DEPTH 12, MATRIX_LR 0.03", first what sets it apart; or its title.

    That is what fewest others do, and of those the value that is furthest from the others'.
    """
    settings = experiment.change.settings
    if not settings or experiment.change.edits:
        return experiment.title
    order = sorted(settings.items(), key=lambda pair: (shared.counts[pair], -_apart(shared, *pair)))
    return ", ".join(f"{name} {DIGITS.sub(_rounded, text)}" for name, text in order)


def _apart(shared: Common, name: str, text: str) -> float:
    """Standard deviations between the value and the mean of those that the wave has; 0 for what is no number."""
    value, (mean, sd) = number(text), shared.spread.get(name, (0.0, 0.0))
    return abs(value - mean) / sd if value is not None and sd else 0.0


def _rounded(digits: re.Match[str]) -> str:
    return f"{float(digits[0]):.3g}"


def _result(state: State, item: Item, cells: int, glyphs: Glyphs) -> Line:
    """13 cells, or 20 where there is room: a bar, or the difference with its mark and the runs."""
    wide = cells >= WIDE
    far = signs.fraction(state, item.experiment) if item.experiment else None
    if far is not None and item.experiment and item.experiment.is_open and item.delta is None:
        filled, empty = bar(far, 14 if wide else 7, glyphs)
        return line((filled, "run-running"), (empty, "border"), (f"{100 * far:4.0f} %", ""))
    if item.mean is None:
        return ()
    value = line((f"{numbers.bpb(item.mean) if item.mean is not None else '':>6} ", "muted")) if wide else ()
    star = mark(item, glyphs)
    text = (
        numbers.delta(item.delta)
        if item.delta is not None
        else ""
        if wide
        else numbers.bpb(item.mean)
        if item.mean
        else ""
    )
    runs = f"{glyphs.times}{min(item.runs, 999)}" if item.runs else ""
    return (*value, (f"{text:>7}", role_of(item).split(" on ")[0]), star, (f" {runs:>4}", "muted"))
