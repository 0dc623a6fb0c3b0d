"""A wave as a table: one line per experiment, with its state, what it changes, how far it is or what came out.

Pure; knows no cursor but the experiment under it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from core.state import Experiment, State
from tui import numbers, signs
from tui.bars import bar
from tui.glyphs import Glyphs
from tui.paint import Line, line
from tui.remembered import Remembered
from tui.safe import fit
from tui.widgets.grid_cells import mark, role_of, sign_of
from tui.widgets.pieces import cut
from tui.widgets.wave_items import Item

NARROW = 28  # cells below which only state and difference are said
ROOMY = 46  # cells from which the state has its word
WIDE = 70  # cells from which val_bpb stands beside the difference
WORD = 9

Common = Mapping[tuple[str, str], int]
_latest: Remembered[Counter[tuple[str, str]]] = Remembered()


def row(state: State, item: Item, cells: int, glyphs: Glyphs, common: Common, ground: str = "") -> Line:
    """Exactly `cells` cells; `common`: how many of the wave have each setting; `ground`: the cursor's."""
    sign = sign_of(state, item, glyphs)
    word = fit(f" {sign.word}", WORD + 1) if cells >= ROOMY else ""
    left = line((fit(str(item.id or ""), 5), "bold" if item.is_best else ""), (f" {sign.glyph}{word} ", sign.role))
    right = _result(state, item, cells, glyphs)
    if cells < NARROW:
        right = right[:-1]  # without the runs
    room = cells - sum(len(text) for text, _ in (*left, *right))
    change = fit(changes(item.experiment, common) if item.experiment else "", max(0, room - 1)) + " "
    spans = cut(
        (*left, (change[: max(0, room)], "" if item.experiment and item.experiment.is_open else "muted"), *right), cells
    )
    return tuple((text, f"{role.split(' on ')[0]} on {ground}".strip()) for text, role in spans) if ground else spans


def common(items: tuple[Item, ...]) -> Common:
    """How many of a wave's experiments have each setting."""
    return _latest.get((items,), lambda: Counter(pair for item in items for pair in _settings(item)))


def _settings(item: Item) -> Iterable[tuple[str, str]]:
    return item.experiment.change.settings.items() if item.experiment else ()


def changes(experiment: Experiment, shared: Common) -> str:
    """What it changes, in little room: "DEPTH 12, MATRIX_LR 0.03", first what fewest others do; or its title."""
    settings = experiment.change.settings
    if not settings or experiment.change.edits:
        return experiment.title
    return ", ".join(f"{name} {text}" for name, text in sorted(settings.items(), key=lambda pair: shared[pair]))


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
