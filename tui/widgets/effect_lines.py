"""What a wave says, as lines: its effects with errors and intervals, the two-factor grid, the predicted best.

Pure; the words are those of `tui.effects`. Where there is room, intervals are drawn around zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.coding import place
from core.design import Design, coded
from core.ids import WaveId
from core.sentences import at_budget
from core.state import State, Wave
from tui import effects as words
from tui.glyphs import UNICODE, Glyphs
from tui.numbers import bpb, count, delta
from tui.paint import EMPTY, Line, Span, fill, line
from tui.safe import fit, wrap
from tui.safe import line as safe
from tui.signs import named
from tui.widgets.pieces import cut

if TYPE_CHECKING:
    from core.analysis import Analysis, Cell
    from core.effects import Effect, Fit

FOREST = 25  # cells of the drawn intervals, at most
LEAST_FOREST = 11
STANDINGS = {"waiting": "Waiting for", "lost": "Lost:", "moved": "From another baseline:"}
NAMED = 8  # cells without a result that are named
LEAST_NAME = 14  # cells of what an effect is called, or the interval's numbers are left out


def parts_of(state: State, wave: Wave) -> tuple[object, ...]:
    """What the analysis of a wave is made from: while these are the same objects, so is the answer."""
    types = list(state.spread) or list(state.holders)
    names = [wave.parent, *wave.experiments]
    members = [state.experiments.get(name) for name in names]
    twins = [member.twin for member in members if member is not None and member.twin]
    scores = [state.scores.get((name, kind)) for name in (*names, *twins) for kind in types]
    return (wave, state.sources.get(wave.parent), *members, *scores)


def effect_lines(
    state: State, wave: WaveId | None, analysis: Analysis | None, width: int, glyphs: Glyphs = UNICODE
) -> list[Line]:
    """All there is to say; each line at most `width` cells."""
    if wave is None or wave not in state.waves:
        return [line(("There is no wave yet.", "muted"))]
    shown = state.waves[wave]
    parts = _head(shown, analysis)
    if analysis is None:
        parts += [line(("No result yet: effects come with the first runs.", "muted"))]
    elif analysis.fit and analysis.design:
        parts += [EMPTY, *_fitted(analysis, analysis.design, analysis.fit, width, glyphs)]
    else:
        parts += [EMPTY, *deltas(analysis, width, glyphs)]
    return [cut(part, width) for part in [*parts, EMPTY, *_about(state, shown, analysis, width, glyphs)]]


def _head(wave: Wave, analysis: Analysis | None) -> list[Line]:
    where = f" on {safe(analysis.gpu_type, 20)}" if analysis else ""
    measured = [cell for cell in analysis.cells if cell.standing == "measured"] if analysis else []
    done = sum(cell.experiment != wave.parent for cell in measured)
    said = f"{done} of {count(len(wave.experiments), 'experiment')} measured" if analysis else ""
    return [line((wave.id, "bold"), (f" from {wave.parent}{where}   {said}", "muted"))]


def _fitted(analysis: Analysis, design: Design, found: Fit, width: int, glyphs: Glyphs) -> list[Line]:
    """The answer first: the best, the effects, the cells."""
    parts = [*_best(analysis, width, glyphs), EMPTY] if analysis.predicted else []
    parts += table(design, found, width, glyphs)
    parts += _prose(words.missing_said(design, found), width)
    return [*parts, EMPTY, *grid(analysis, design, width, glyphs)] if len(design.factors) == 2 else parts


def _about(state: State, wave: Wave, analysis: Analysis | None, width: int, glyphs: Glyphs) -> list[Line]:
    """How it was planned and what it rests on."""
    lines: list[Line] = []
    if analysis is not None:
        lines += _prose([analysis.problem] if analysis.problem else [], width, "warning")
        lines += _prose(words.described(analysis), width) if analysis.design else []
        lines += _prose([_waiting(analysis, glyphs), words.noise_said(analysis, at_budget(state))], width)
    return lines + [((text, ""),) for text in wrap(wave.reason, width)]


def _waiting(analysis: Analysis, glyphs: Glyphs) -> str:
    """Which cells have no result, and why; "" where all have."""
    parts = []
    for standing, word in STANDINGS.items():
        cells = [cell for cell in analysis.cells if cell.standing == standing and cell.experiment]
        names = [f"{cell.experiment} {named(cell.status, glyphs).glyph}" for cell in cells[:NAMED]]
        names += [f"{len(cells) - NAMED} more"] if len(cells) > NAMED else []
        parts += [f"{word} {', '.join(names)}"] if names else []
    absent = sum(cell.standing == "not run" for cell in analysis.cells)
    return "; ".join([*parts, *([f"{count(absent, 'cell')} of the design not tried"] if absent else [])])


def _prose(sentences: Iterable[str], width: int, role: str = "muted") -> list[Line]:
    """Sentences that were filled to another width, filled to this one; what they are indented by stays."""
    found: list[Line] = []
    for sentence in sentences:
        indent = len(sentence) - len(sentence.lstrip())
        text = " ".join(sentence.split())
        found += [line((" " * indent + part, role)) for part in wrap(text, max(1, width - indent))]
    return found


# --- effects ----------------------------------------------------------------------------------------------------------


def table(design: Design, fit_: Fit, width: int, glyphs: Glyphs = UNICODE) -> list[Line]:
    """A line per effect, the clearest first: size, standard error, 95 % interval."""
    if not fit_.effects:
        return [line(("No effect can be told yet.", "muted"))]
    digits = words.digits_of(effect.standard_error for effect in fit_.effects)
    numbers = [value for effect in fit_.effects for value in (effect.size, effect.low, effect.high)]
    size = max(len(words.signed_to(value, digits)) for value in numbers)
    wide = max(6, *(len(words.called(design, effect)) for effect in fit_.effects))
    full = 3 * size + digits + 19  # cells of the numbers, with the interval
    bounds = width >= full + LEAST_NAME
    taken = full if bounds else size + digits + 10
    named = max(6, min(wide, width - taken))
    forest = min(FOREST, width - taken - named - 1)
    head = f"{fit('effect', named)}  {'size':>{size}}   {'error':<{digits + 2}}" + "  95 % interval" * bounds
    rows: list[Line] = [line((head, "muted"))]
    reach = max(max(abs(effect.low), abs(effect.high)) for effect in fit_.effects)
    for effect in fit_.effects:
        spans = tuple(_row(design, effect, named, size, digits, bounds=bounds))
        drawn = _interval(effect, reach, forest, glyphs) if forest >= LEAST_FOREST else ()
        rows.append(fill(spans, named + taken + 1, ()) + drawn if drawn else spans)
    return [*rows, *_prose(words.legend_said(design, fit_), width)]


def _row(design: Design, effect: Effect, named: int, size: int, digits: int, *, bounds: bool) -> Iterable[Span]:
    def number(value: float) -> str:
        return f"{words.signed_to(value, digits):>{size}}"

    yield fit(words.called(design, effect), named), "bold" if effect.is_clear else ""
    yield f"  {number(effect.size)}", _tone(effect)
    yield f" ± {effect.standard_error:.{digits}f}", ""
    if bounds:
        yield f"  {number(effect.low)} to {number(effect.high)}", "muted"
    yield f" {'*' * (effect.is_clear + effect.is_sure):<2}", _tone(effect)


def _tone(effect: Effect) -> str:
    return ("better" if effect.size < 0 else "worse") if effect.is_clear else "muted"


def _interval(effect: Effect, reach: float, cells: int, glyphs: Glyphs) -> Line:
    """The interval around zero, which is in the middle."""
    middle = cells // 2

    def column(value: float) -> int:
        return middle + round(value / reach * middle) if reach else middle

    low, high, at = column(effect.low), column(effect.high), column(effect.size)
    spans: list[Span] = []
    for x in range(cells):
        if x == at:
            spans.append((glyphs.alive, _tone(effect)))
        elif x == middle:
            spans.append((glyphs.vertical, "border"))
        else:
            spans.append((glyphs.horizontal, _tone(effect)) if low <= x <= high else (" ", ""))
    return tuple(spans)


# --- cells ------------------------------------------------------------------------------------------------------------


def grid(analysis: Analysis, design: Design, width: int, glyphs: Glyphs = UNICODE) -> list[Line]:
    """Two factors crossed: what became of each cell, and its delta against the parent."""
    first, second = design.factors
    rows, columns = ([level.text for level in coded(factor)] for factor in design.factors)
    label = min(14, max(len(safe(each, 14)) for each in (first.name, *rows)))
    cell = min(14, (width - label - 1) // max(1, len(columns)))
    if cell < 10:
        return deltas(analysis, width, glyphs)
    at = {place(design, found.cell): found for found in reversed(analysis.cells)}
    best, expected = lowest(analysis), analysis.predicted
    lines = [
        line((" " * (label + 1), ""), (safe(f"{first.name} down, {second.name} across", width - label - 1), "muted")),
        line((" " * (label + 1), ""), *((fit(level, cell - 1, align="right") + " ", "bold") for level in columns)),
    ]
    for row in rows:
        spans: list[Span] = [(fit(row, label, align="right") + " ", "bold")]
        for column in columns:
            where = place(design, {first.name: row, second.name: column})
            found = at.get(where)
            mark = glyphs.best if found is not None and found is best else ""
            mark += glyphs.predicted if expected and place(design, expected.cell) == where else ""
            spans += _cell(analysis, found, mark, cell, glyphs)
        lines.append(tuple(spans))
    legend = f"Against {analysis.parent}; {glyphs.best} lowest measured, {glyphs.predicted} lowest predicted."
    return [*lines, *_prose([legend], width)]


def lowest(analysis: Analysis) -> Cell | None:
    measured = [cell for cell in analysis.cells if cell.level is not None]
    return min(measured, key=lambda cell: cell.level if cell.level is not None else math.inf, default=None)


def _cell(analysis: Analysis, cell: Cell | None, mark: str, cells: int, glyphs: Glyphs) -> list[Span]:
    if cell is None or not cell.experiment:
        return [(fit(f"{mark}{glyphs.dash} ", cells, align="right"), "muted")]
    if cell.experiment == analysis.parent:
        return [(fit(f"{mark}{cell.experiment} ", cells, align="right"), "baseline")]
    sign = glyphs.duplicate if cell.twin else named(cell.status, glyphs).glyph
    if cell.mean is None:
        word = cell.status if cells >= 13 else ""
        return [(fit(f"{mark}{sign} {word} ", cells, align="right"), named(cell.status, glyphs).role)]
    value = delta(cell.delta) if cell.delta is not None else bpb(cell.mean)
    room = cells - len(value) - 1
    return [(fit(f"{mark}{sign} ", room, align="right"), named(cell.status, glyphs).role), (f"{value} ", _size(cell))]


def _size(cell: Cell) -> str:
    """Bold where it is clearly more than the noise."""
    if cell.delta is None or not cell.standard_error:
        return ""
    tone = "better" if cell.delta < 0 else "worse"
    return f"{tone} bold" if abs(cell.delta) > 2 * cell.standard_error else tone


def deltas(analysis: Analysis, width: int, glyphs: Glyphs = UNICODE) -> list[Line]:
    """Every experiment of the wave against its parent, the best first."""
    told = [cell for cell in analysis.cells if cell.experiment and cell.experiment != analysis.parent]
    told.sort(key=lambda cell: math.inf if cell.level is None else cell.level)
    parent = analysis.parent_cell
    lines = []
    if parent is not None and parent.mean is not None:
        lines.append(line((f"{analysis.parent} has {bpb(parent.mean)} from {count(parent.runs, 'run')}", "muted")))
    return lines + [_delta(cell, width, glyphs) for cell in told]


def _delta(cell: Cell, width: int, glyphs: Glyphs) -> Line:
    sign = named(cell.status, glyphs)
    spans: list[Span] = [(f"{cell.experiment or '':<6}", "bold"), (f"{sign.glyph} {sign.word:<10}", sign.role)]
    error = f" ± {cell.standard_error:.4f}" if cell.standard_error else ""
    value = delta(cell.delta) if cell.delta is not None else bpb(cell.mean)
    spans += [(f"{value:>8}", _size(cell)), (f"{error:<10}", "muted"), (f"{cell.runs or '':>3} ", "muted")]
    title = cell.title or ", ".join(f"{key} {value}" for key, value in cell.cell.items())
    room = width - sum(len(text) for text, _ in spans)
    return (*spans, (fit(title, room), "")) if room > 0 else tuple(spans)


def _best(analysis: Analysis, width: int, glyphs: Glyphs) -> list[Line]:
    sentences = [text for text in words.predicted_said(analysis) if text]
    lines = _prose([text.strip() for text in sentences], width - 2, "")
    signs = [(f"{glyphs.predicted} ", "predicted"), *[("  ", "")] * len(lines)]
    return [line(sign, *each) for sign, each in zip(signs, lines, strict=False)]
