"""What a wave says, as text for a terminal of 80 columns.

Pure functions from an analysis to text. Factors are lettered, so that interactions and aliases stay short; names and
levels come from researchers and are cleaned before they are shown.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from core.aliasing import LETTERS
from core.coding import place
from core.design import Design, Term, aliases, coded, is_category, resolution, scale_of, size
from core.telling import DUPLICATE, GLYPHS
from core.transcript import clean

if TYPE_CHECKING:
    from core.analysis import Analysis, Cell
    from core.effects import Effect, Fit

WIDTH = 80
ROWS = 30  # of a table; more are counted
NAMED = 33  # columns for what an effect is called
ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 9: "IX", 10: "X"}
BEST, EXPECTED, WAITING = "▼", "▽", "…"  # the lowest measured and predicted; not done
SLIGHT = 0.005  # share of an untold effect that is worth a word


def text(analysis: Analysis, *, simulated: bool = False, at: str = "") -> str:
    """The whole answer; no line is longer than 80 characters. `at`: the budget of the runs, as noise_said has it."""
    parts = [_head(analysis, simulated), *described(analysis), noise_said(analysis, at), counted(analysis)]
    if analysis.problem:
        parts.append(_filled(analysis.problem))
    if analysis.fit and analysis.design:
        parts += ["", *_table(analysis.design, analysis.fit), *missing_said(analysis.design, analysis.fit)]
        parts += _grid(analysis, analysis.design) if len(analysis.design.factors) == 2 else []
        parts += predicted_said(analysis)
    else:
        parts += _deltas(analysis)
    return "\n".join(parts)


def _filled(line: str, indent: str = "  ") -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _plain(value: str, width: int = 40) -> str:
    """Text from elsewhere on one line."""
    flat = " ".join(clean(value, limit=500).split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


# --- the design -------------------------------------------------------------------------------------------------------


def _head(analysis: Analysis, simulated: bool) -> str:
    runs = sum(cell.runs for cell in analysis.cells)
    mark = "SIMULATED " if simulated else ""
    return _filled(
        f"{mark}{analysis.wave} from {analysis.parent} on {_plain(analysis.gpu_type)}: {_count(runs, 'run')}"
    )


def described(analysis: Analysis) -> list[str]:
    """In words: kind, factors with levels, resolution, aliases."""
    design = analysis.design
    if design is None or (design.kind == "list" and not design.factors):
        return ["a list of free edits"]
    if design.kind == "list":
        many = _count(len(design.factors), "factor")
        return [_filled(f"a list of settings of {many}, chosen point by point: each is compared with its parent only")]
    if analysis.problem:
        return [design.kind]
    level = resolution(design)
    stated = f", resolution {ROMAN.get(level, level)}" if level else ""
    made = f", {', '.join(design.generators)}" if design.generators else ""
    lines = [_filled(f"{design.kind} of {_count(size(design), 'cell')}{stated}{made}")]
    for letter, factor in zip(LETTERS, design.factors, strict=False):
        levels = ", ".join(_plain(level) for level in factor.levels)
        scale = "" if is_category(factor) else f" ({scale_of(factor)})"
        lines.append(_filled(f"  {letter}  {_plain(factor.name)}: {levels}{scale}", " " * 5))
    groups = "; ".join(" = ".join(term_name(design, term) for term in group) for group in aliases(design))
    return [*lines, *([_filled(f"aliased: {groups}")] if groups else [])]


def noise_said(analysis: Analysis, at: str = "") -> str:
    """`at`: " at 8 s per run", or nothing."""
    known = analysis.noise
    line = f"noise{at}: sd {known.sd:.2g} of one run, {_degrees(known.df)} ({known.measured_df} measured here)"
    found = analysis.fit
    if found and found.residual_sd is not None:
        line += f"; cells around the fit: sd {found.residual_sd:.2g}, {_degrees(found.residual_df)}"
        line += ", more than the noise: there is more to it than these effects" if found.is_off else ""
    return _filled(line)


def _degrees(df: float) -> str:
    return f"{df:g} degree{'s' * (df != 1)} of freedom"


def counted(analysis: Analysis) -> str:
    """How many cells have results, and which do not."""
    cells = [cell for cell in analysis.cells if cell.experiment != analysis.parent]
    done = sum(cell.standing == "measured" for cell in cells)
    others = [
        f"{word} {_names(named)}"
        for word, named in (
            ("waiting for", [cell for cell in cells if cell.standing == "waiting"]),
            ("lost", [cell for cell in cells if cell.standing == "lost"]),
            ("from another baseline", [cell for cell in cells if cell.standing == "moved"]),
        )
        if named
    ]
    absent = sum(cell.standing == "not run" for cell in cells)
    others += [f"{absent} not run"] if absent else []
    elsewhere = [cell for cell in cells if cell.standing == "measured" and cell.gpu_type != analysis.gpu_type]
    for kind in dict.fromkeys(cell.gpu_type for cell in elsewhere):
        there = _names([cell for cell in elsewhere if cell.gpu_type == kind])
        others += [f"{there} on {_plain(kind)}, by the difference to {analysis.parent} there"]
    return _filled("; ".join([f"{done} of {_count(len(cells), 'cell')} measured", *others]))


def _names(cells: Sequence[Cell]) -> str:
    shown = [
        f"{cell.experiment or cell.twin}{f' {_glyph(cell)}' if cell.status in GLYPHS else ''}" for cell in cells[:8]
    ]
    return ", ".join(shown) + (f" and {len(cells) - 8} more" if len(cells) > 8 else "")


def term_name(design: Design, term: Term) -> str:
    """ "A", "A×B" or "A²"."""
    names = [factor.name for factor in design.factors]
    letters = [LETTERS[names.index(name)] for name in term]
    return f"{letters[0]}²" if len(letters) == 2 and letters[0] == letters[1] else "×".join(letters)


# --- effects ----------------------------------------------------------------------------------------------------------


def _table(design: Design, fit: Fit) -> list[str]:
    if not fit.effects:
        return ["no effect can be told yet"]
    worth = [effect for effect in fit.effects if effect.is_clear or len(effect.factors) == 1]
    rest = [effect for effect in fit.effects if effect not in worth]
    shown = [effect for effect in fit.effects if effect in [*worth, *rest][:ROWS]]
    digits = digits_of(effect.standard_error for effect in shown)
    numbers = [[signed_to(e.size, digits), f"{e.standard_error:.{digits}f}", *_interval(e, digits)] for e in shown]
    wide = [max(len(row[i]) for row in numbers) for i in range(4)]
    named = min(NAMED, max(len("effect"), *(len(called(design, effect)) for effect in shown)))
    head = f"{'effect':{named}}  {'size':>{wide[0]}}   {'error':<{wide[1]}}  95 % interval"
    lines = [
        f"{called(design, effect):{named}}  {row[0]:>{wide[0]}} ± {row[1]:>{wide[1]}}  "
        f"{row[2]:>{wide[2]}} to {row[3]:>{wide[3]}} {'*' * (effect.is_clear + effect.is_sure)}".rstrip()
        for effect, row in zip(shown, numbers, strict=True)
    ]
    hidden = len(fit.effects) - len(shown)
    more = [f"and {hidden} more that are not clear (--json has all)"] if hidden else []
    return [head, *lines, *more, *legend_said(design, fit)]


def legend_said(design: Design, fit: Fit) -> list[str]:
    marks = "* the interval excludes 0, ** also when corrected for all effects told"
    lines = [_filled(f"{marks}. Size: change of val_bpb from the lowest to the highest level; below 0 is better.")]
    mixed = {term_name(design, effect.factors): effect.mixed for effect in fit.effects if effect.mixed > SLIGHT}
    if mixed:
        share, names = max(mixed.values()), ", ".join(list(mixed)[:8]) + (" …" if len(mixed) > 8 else "")
        lines.append(_filled(f"{names} may hold up to {share:.2f} of an effect that is not told."))
    return lines


def called(design: Design, effect: Effect) -> str:
    """ "A DEPTH", "A×B (= −C×D)", or with the level of a category."""
    name = term_name(design, effect.factors)
    if len(effect.factors) == 1:
        name += f" {_plain(effect.factors[0], 24)}"
    if any(effect.levels):
        name += f" at {', '.join(_plain(level, 12) for level in effect.levels if level)}"
    others = [("−" if alias.sign < 0 else "") + term_name(design, alias.factors) for alias in effect.aliases]
    while others and len(f"{name} (= {', '.join(others)})") > NAMED and len(others) > 1:
        others = [*others[:-2], "…"] if others[-1] == "…" else [*others[:-1], "…"]
    full = f"{name} (= {', '.join(others)})" if others else name
    return full if len(full) <= NAMED else full[: NAMED - 1] + "…"


def missing_said(design: Design, fit: Fit) -> list[str]:
    """Effects that cannot be told, by reason."""
    from core.effects import MIXED  # it loads numpy, which whoever has a fit has loaded already

    reasons: dict[str, list[str]] = {}
    for missing in fit.missing:
        reasons.setdefault(missing.reason, []).append(term_name(design, missing.factors))
    return [
        _filled(f"{', '.join(terms) if len(terms) <= 12 else _count(len(terms), 'effect')}: {reason}")
        for reason, terms in sorted(reasons.items(), key=lambda item: item[0] == MIXED)
    ]


def digits_of(errors: Iterable[float]) -> int:
    """Decimals that show two figures of the smallest error, 6 at most."""
    smallest = min(errors)
    return min(6, max(2, 1 - math.floor(math.log10(smallest)))) if smallest > 0 else 4


def signed_to(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _interval(effect: Effect, digits: int) -> tuple[str, str]:
    return signed_to(effect.low, digits), signed_to(effect.high, digits)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


# --- cells ------------------------------------------------------------------------------------------------------------


def _glyph(cell: Cell) -> str:
    return WAITING if cell.standing == "waiting" else GLYPHS.get(cell.status, " ")


def _grid(analysis: Analysis, design: Design) -> list[str]:
    """Two factors crossed: each cell's delta against the parent, with what became of it."""
    rows, columns = ([level.text for level in coded(factor)] for factor in design.factors)
    at = {place(design, cell.cell): cell for cell in reversed(analysis.cells)}
    marks = marks_of(analysis, design)
    first, second = (factor.name for factor in design.factors)
    places = [[place(design, {first: row, second: column}) for column in columns] for row in rows]
    entries = [[entry_of(analysis, at.get(where), marks.get(where, "")) for where in line] for line in places]
    labels, heads = [_plain(row, 14) for row in rows], [_plain(column, 10) for column in columns]
    label = max(map(len, labels))
    value, mark = (max(len(entry[i]) for line in entries for entry in line) for i in range(2))
    value = max(value, *map(len, heads))
    if label + 2 + len(columns) * (2 + value + mark) > WIDTH:
        return _deltas(analysis)
    lines = [" " * (label + 2) + "".join(f"  {head:>{value}}{'':{mark}}" for head in heads)]
    for name, line in zip(labels, entries, strict=True):
        lines.append(f"  {name:>{label}}" + "".join(f"  {left:>{value}}{right:{mark}}" for left, right in line))
    about = f"val_bpb against {analysis.parent}, A down, B across; {BEST} lowest, {EXPECTED} predicted lowest, "
    verdicts = ", ".join(f"{glyph} {verdict}" for verdict, glyph in GLYPHS.items())
    legend = f"{verdicts}, {WAITING} waiting, {DUPLICATE} result of a twin"
    return ["", *(line.rstrip() for line in lines), _filled(about + legend)]


def marks_of(analysis: Analysis, design: Design) -> dict[tuple[float, ...] | None, str]:
    best = analysis.predicted
    measured = [cell for cell in analysis.cells if cell.level is not None and place(design, cell.cell) is not None]
    found: dict[tuple[float, ...] | None, str] = {}
    if measured:
        found[place(design, min(measured, key=lambda cell: cell.level or 0.0).cell)] = BEST
    if best and (at := place(design, best.cell)) is not None:
        found[at] = found.get(at, "") + EXPECTED
    return found


def entry_of(analysis: Analysis, cell: Cell | None, mark: str) -> tuple[str, str]:
    """The number, and the marks behind it."""
    if cell is None or cell.mean is None:
        return "", f"{_glyph(cell) if cell else ' '}{mark}"
    if cell.experiment == analysis.parent:
        return analysis.parent, f" {mark}"
    value = signed_to(cell.delta, 4) if cell.delta is not None else f"{cell.mean:.4f}"
    return value, f"{DUPLICATE if cell.twin else _glyph(cell)}{mark}"


def _deltas(analysis: Analysis) -> list[str]:
    """Every experiment against the parent, the best first."""
    told = [cell for cell in analysis.cells if cell.experiment != analysis.parent]
    told.sort(key=lambda cell: math.inf if cell.level is None else cell.level)
    digits = digits_of([cell.standard_error for cell in told if cell.standard_error] or [1e-4])
    lines = [_delta(cell, digits) for cell in told[:ROWS] if cell.experiment or cell.mean is not None]
    parent = analysis.parent_cell
    base = (
        f"{analysis.parent} has val_bpb {parent.mean:.{digits}f}, {_count(parent.runs, 'run')}"
        if parent and parent.mean
        else ""
    )
    more = [f"and {len(told) - ROWS} more (--json has all)"] if len(told) > ROWS else []
    return ["", *([base] if base else []), *lines, *more]


def _delta(cell: Cell, digits: int) -> str:
    name = f"{cell.experiment or f'= {cell.twin}'} {_glyph(cell)}"
    if cell.delta is not None and cell.standard_error is not None:
        size = f"{signed_to(cell.delta, digits)} ± {cell.standard_error:.{digits}f}"
    else:
        size = cell.standing if cell.mean is None else f"val_bpb {cell.mean:.{digits}f}"
    what = cell.title or ", ".join(f"{key} {value}" for key, value in cell.cell.items())
    line = f"{name:<9}{size:<{14 + 2 * digits}} {_count(cell.runs, 'run') if cell.runs else '':<8}"
    return f"{line}{_plain(what, max(8, WIDTH - len(line)))}".rstrip()


# --- the best ---------------------------------------------------------------------------------------------------------


def predicted_said(analysis: Analysis) -> list[str]:
    best, design, fit = analysis.predicted, analysis.design, analysis.fit
    if best is None or design is None or fit is None:
        return []
    at = place(design, best.cell)
    name = next((c.experiment for c in analysis.cells if at is not None and place(design, c.cell) == at), None)
    where = ", ".join(f"{_plain(key)} {_plain(value)}" for key, value in best.cell.items())
    digits = digits_of([best.standard_error])
    parent = analysis.parent_cell
    delta = (
        f", {signed_to(best.val_bpb - parent.mean, digits)} against {analysis.parent}" if parent and parent.mean else ""
    )
    tried = f"{name or 'tried'}" if best.is_tested else "not tried yet"
    lines = [
        _filled(f"predicted best: {where} ({tried})"),
        _filled(
            f"  val_bpb {best.val_bpb:.{digits}f} ± {best.standard_error:.{digits}f}, 95 % interval "
            f"{best.low:.{digits}f} to {best.high:.{digits}f}{delta}"
        ),
    ]
    return ["", *lines, *_turning(analysis)]


def _turning(analysis: Analysis) -> list[str]:
    found, design = analysis.turning, analysis.design
    if found is None or design is None:
        return []
    where = "inside" if found.is_inside else "outside"
    codes = ", ".join(f"{term_name(design, (name,))} {signed_to(code, 2)}" for name, code in found.codes.items())
    told = f"the fitted surface has a {found.shape} {where} the levels tried, at {codes} (−1 lowest, +1 highest level)"
    return [_filled(told if found.is_inside else f"{told}; predictions stay inside")]
