"""How one experiment of a wave is written in little room: a glyph, then progress, a difference, or a word.

Pure; knows no layout.
"""

from __future__ import annotations

from core.duplicates import of_others
from core.state import State
from tui import numbers, signs, standing
from tui.bars import bar
from tui.glyphs import Glyphs
from tui.paint import Line, line, width
from tui.safe import fit
from tui.safe import line as safe
from tui.widgets.wave_items import CLEAR, NOISE, Item

FULL = 10  # cells: "✓ −0.0112★"
TERSE = 7  # "✓−.0112"
PARENT = "unchanged"


def role_of(item: Item) -> str:
    """By size and significance: nothing within the noise has a colour."""
    sigmas = item.sigmas
    if sigmas is None:
        return ""
    if abs(sigmas) < NOISE:
        return "muted"
    name, ground = ("better", "added") if sigmas < 0 else ("worse", "removed")
    return f"{name} bold on {ground}" if abs(sigmas) >= CLEAR else name


def mark(item: Item, glyphs: Glyphs) -> tuple[str, str]:
    """★ the best, ☆ the predicted best, ≈ within the noise."""
    if item.is_best:
        return glyphs.best, "best bold"
    if item.is_predicted:
        return glyphs.predicted, "predicted bold"
    sigmas = item.sigmas
    return (glyphs.noise, "muted") if sigmas is not None and abs(sigmas) < NOISE else (" ", "")


def marked(glyphs: Glyphs, *, is_marked: bool) -> tuple[str, str]:
    """The cell before an experiment: those that are marked are what keys act on."""
    return (glyphs.cursor, "accent bold") if is_marked else (" ", "")


def sign_of(state: State, item: Item, glyphs: Glyphs) -> signs.Sign:
    if item.is_parent:
        return signs.Sign(glyphs.bullet, PARENT, "baseline")
    if item.experiment is None:
        return signs.Sign(" ", "not run", "muted")
    return signs.sign(state, item.experiment, glyphs)


def written(state: State, item: Item, cells: int, glyphs: Glyphs) -> Line:
    """Exactly `cells` cells."""
    sign = sign_of(state, item, glyphs)
    if cells < TERSE:
        return _glyph_only(item, sign, cells, glyphs)
    far = signs.fraction(state, item.experiment) if item.experiment and not item.is_parent else None
    if far is not None and item.experiment and item.experiment.is_open:
        return _progress(sign, far, cells, glyphs)
    if item.delta is not None:
        return _difference(item, sign, cells, glyphs)
    if item.is_parent and item.mean is not None:
        return _filled(line((sign.glyph, sign.role), (f" {numbers.bpb(item.mean)}"[: cells - 1], "baseline")), cells)
    return _filled(
        line((sign.glyph, sign.role), (fit(f" {sign.word}", min(cells - 1, 1 + len(sign.word))), sign.role)), cells
    )


def _glyph_only(item: Item, sign: signs.Sign, cells: int, glyphs: Glyphs) -> Line:
    star = mark(item, glyphs)
    spans = line((sign.glyph, role_of(item) or sign.role), star) if cells > 1 else line((sign.glyph, sign.role))
    return _filled(spans, cells)


def _progress(sign: signs.Sign, far: float, cells: int, glyphs: Glyphs) -> Line:
    share = f"{100 * far:.0f}".rjust(3)
    room = cells - 7
    filled, empty = bar(far, room, glyphs) if room > 1 else ("", "")
    spans = line((sign.glyph, f"{sign.role} bold"), (f"{share} %", ""))
    return _filled((*spans, (" ", ""), (filled, sign.role), (empty, "border")) if room > 1 else spans, cells)


def _difference(item: Item, sign: signs.Sign, cells: int, glyphs: Glyphs) -> Line:
    role, star = role_of(item), mark(item, glyphs)
    ground = f" on {role.split(' on ')[1]}" if " on " in role else ""
    text = numbers.delta(item.delta)
    if cells < FULL:
        text = text.replace("0.", ".", 1)
        return _filled(
            line((sign.glyph, sign.role + ground), (text[: cells - 1], role), star if cells > TERSE else ""), cells
        )
    return _filled(line((sign.glyph, sign.role + ground), (f" {text}", role), (star[0], star[1] + ground)), cells)


def _filled(spans: Line, cells: int) -> Line:
    gap = cells - width(spans)
    return (*spans, (" " * gap, "")) if gap > 0 else spans


def told(state: State, item: Item, glyphs: Glyphs, now: float) -> Line:
    """One item in a line: what the cell has no room for."""
    sign = sign_of(state, item, glyphs)
    name = (f"{item.id} " if item.id else "", "bold")
    if item.delta is None or item.error is None:
        value = line((f"  val_bpb {numbers.bpb(item.mean)}", "")) if item.mean is not None else ()
        why = _going(state, item, now) or _why(item)
        return line(name, (f"{sign.glyph} {sign.word}", sign.role), *value, (f"  {safe(why)}" if why else "", "muted"))
    error = f" {standing.error(item.error, glyphs)}"
    sigmas = abs(item.sigmas or 0.0)
    others = of_others(state, item.experiment) if item.experiment else ""
    size = "within the noise" if sigmas < NOISE else f"{sigmas:.1f} standard errors"
    return line(
        name, (f"{sign.glyph} {sign.word}  ", sign.role), (numbers.delta(item.delta), role_of(item).split(" on ")[0]),
        (f"{error}, {size}, {numbers.count(item.runs, 'run')}{others}", "muted"),
    )  # fmt: skip


def _why(item: Item) -> str:
    """The reason of its verdict, or what it is hoped to do."""
    if item.experiment is None or item.is_parent:
        return ""
    return item.experiment.reason or item.experiment.hypothesis


def _going(state: State, item: Item, now: float) -> str:
    """The run that is on a GPU now: which, where, for how long, and its latest training loss."""
    runs = item.experiment.runs if item.experiment and item.experiment.is_open else ()
    run = next((state.runs[name] for name in reversed(runs) if name in state.active), None)
    if run is None or run.started_at is None:
        return ""
    told = state.progress.get(run.id)
    loss = f", loss {told.loss:.3f}" if told is not None and told.loss is not None else ""
    return f"{run.id} on {run.gpu or run.gpu_type} for {numbers.duration(now - run.started_at)}{loss}"
