"""What a researcher asks about: files, results, effects, logs. Answers are text of limited length.

Whatever a person, a model or a run wrote goes through a fence. Pure: files and logs come in with the view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from core.analysis import Analysis, Cell, latest, wave_analysis
from core.claude import tables
from core.claude.fences import clean, fenced
from core.claude.planning import known, source_named
from core.claude.schemas import Column, EffectsInput, LogExcerpt, ReadFile, Results
from core.claude.tables import Measured, change_of, measured
from core.claude.view import Unusable, Used, View
from core.ids import BASELINE, RunId, WaveId
from core.state import Experiment, Run, Wave
from core.verdict import noise

USUAL: tuple[Column, ...] = ("val_bpb", "delta", "standard_error", "runs", "status", "title")
MOST_ROWS = 100
FILE_CHARACTERS = 24_000
LOG_CHARACTERS, LOG_LINES, LOG_LINE = 8_000, 200, 400
_EXPERIMENT = re.compile(r"e\d+")


# --- files ------------------------------------------------------------------------------------------------------------


def read_file(given: ReadFile, view: View) -> Used:
    """Lines with numbers. train.py is the baseline's, not the one in the folder, which may be behind."""
    path = given.path.strip()
    if _EXPERIMENT.fullmatch(path):
        text = source_named(path, view)
    elif path.removeprefix("./") == "train.py":
        text = view.source
    else:
        text = view.files(path)
    lines = text.splitlines()
    first = max(1, given.first_line)
    last = min(len(lines), given.last_line) if given.last_line > 0 else len(lines)
    if first > max(1, len(lines)) or (given.last_line > 0 and last < first):
        raise Unusable(f"{clean(path, 60)} has {len(lines)} lines; ask for lines between 1 and {len(lines)}.")
    shown = "\n".join(f"{number:4d}  {line}" for number, line in enumerate(lines[first - 1 : last], first))
    what = f"{clean(path, 60)}, lines {first} to {last} of {len(lines)}"
    return Used(answer=fenced(shown, view.state, what, FILE_CHARACTERS), told=f"read {what}")


# --- results ----------------------------------------------------------------------------------------------------------


def results(given: Results, view: View) -> Used:
    rows = [measured(view.state, each, given.gpu_type) for each in _chosen(given, view)]
    top = min(MOST_ROWS, max(1, given.top))
    columns = dict.fromkeys(given.columns or USUAL)
    shown = sorted(rows, key=_order(given, view))[:top]
    told = f"looked at {len(shown)} of {len(rows)} experiments{f' of {given.wave}' if given.wave else ''}"
    if not rows:
        return Used(answer="No experiment is like that.", told=told)
    cells = [[row.experiment.id, *(_cell(column, row, view) for column in columns)] for row in shown]
    table = tables.grid(cells, ["experiment", *columns])
    types = dict.fromkeys(row.gpu_type for row in shown if row.gpu_type)
    sds = ", ".join(f"{kind} {noise(view.state, kind).sd:.5f}" for kind in types)
    head = f"{len(shown)} of {len(rows)} experiments. Run-to-run sd: {sds or 'not measured'}."
    return Used(answer=f"{head}\n{fenced(table, view.state, 'results', 16_000)}", told=clean(told, 120))


def _chosen(given: Results, view: View) -> Iterable[Experiment]:
    needle = given.containing.lower()
    for each in view.state.experiments.values():
        if given.status != "any" and not (each.is_open if given.status == "open" else each.status == given.status):
            continue
        if given.wave and each.wave != given.wave.strip():
            continue
        if given.parent and each.parent != given.parent.strip():
            continue
        if needle and needle not in f"{each.title}\n{each.hypothesis}\n{tables.changed(each.change)}".lower():
            continue
        yield each


def _order(given: Results, view: View) -> Callable[[Measured], tuple[bool, float]]:
    places = {name: place for place, name in enumerate(view.state.experiments)}

    def key(row: Measured) -> tuple[bool, float]:
        match given.sort:
            case "newest":
                return False, -places[row.experiment.id]
            case "oldest":
                return False, places[row.experiment.id]
            case "val_bpb" | "delta":
                value = row.val_bpb if given.sort == "val_bpb" else row.delta
            case "steps" | "memory_mb":
                value = _of_run(given.sort, row, view)
        return value is None, value or 0.0

    return key


def _of_run(column: str, row: Measured, view: View) -> float | None:
    run = tables.last_run(view.state, row.experiment)
    value = getattr(run.result, column, None) if run is not None and run.result is not None else None
    return float(value) if isinstance(value, int | float) else None


def _cell(column: Column, row: Measured, view: View) -> str:
    experiment = row.experiment
    match column:
        case "val_bpb":
            return tables.bpb(row.val_bpb)
        case "delta":
            return f"{change_of(row.delta, None)}{f' vs {row.against}' if row.against else ''}"
        case "standard_error":
            return "-" if row.standard_error is None else f"{row.standard_error:.4f}"
        case "status":
            return tables.status_of(experiment)
        case "title" | "hypothesis" | "reason":
            return clean(getattr(experiment, column), 160) or "-"
        case "change":
            return tables.changed(experiment.change)
        case "wave" | "parent":
            return str(getattr(experiment, column) or "-")
        case "phase":
            wave = view.state.waves.get(experiment.wave or WaveId(""))
            return clean(wave.phase, 40) if wave and wave.phase else "-"
        case "cell":
            return tables.cell_of(experiment)
        case "gpu_type":
            return row.gpu_type or "-"
        case "runs":
            return str(row.runs)
        case "last_loss":
            run = tables.last_run(view.state, experiment)
            return "-" if run is None or not run.curve or run.curve[-1] is None else f"{run.curve[-1]:.3f}"
        case _:
            value = _of_run(column, row, view)
            return "-" if value is None else f"{value:.6g}"


# --- effects ----------------------------------------------------------------------------------------------------------


def effects(given: EffectsInput, view: View) -> Used:
    wave = _wave(given.wave, view)
    found = wave_analysis(view.state, wave)
    if found is None:
        raise Unusable(f"{wave.id} has no result yet; look again when one of its runs has finished.")
    lines = (tables.wave_head(view.state, wave.id), *effect_lines(found))  # its reason is somebody's text, too
    shown = fenced("\n".join(lines), view.state, f"effects of {wave.id}", 10_000)
    return Used(answer=shown, told=f"looked at the effects of {wave.id}")


def _wave(name: str, view: View) -> Wave:
    wave = view.state.waves.get(WaveId(name.strip())) if name.strip() else latest(view.state)
    if wave is None:
        last = next(reversed(view.state.waves), "none")
        raise Unusable(f"There is no wave {clean(name, 20)!r} with results; the latest wave is {last}.")
    return wave


def effect_lines(found: Analysis) -> list[str]:
    """What the finished cells tell: effects with errors, what is not told and why, the predicted best, the cells."""
    lines = [f"On {found.gpu_type}; run-to-run sd {found.noise.sd:.5f} ({found.noise.measured_df} df measured)."]
    if found.problem:
        lines.append(clean(found.problem, 300))
    if found.fit is not None:
        lines += [tables.effect_line(effect) for effect in found.fit.effects[:40]]
        lines += [f"{' × '.join(each.factors)}: {clean(each.reason, 120)}" for each in found.fit.missing[:20]]
        if found.fit.is_off:
            lines.append("The cells are further off this model than noise explains: the surface has more to it.")
    if (best := found.predicted) is not None:
        where = clean(", ".join(f"{name}={level}" for name, level in best.cell.items()), 300)
        seen = "tested" if best.is_tested else "not tested"
        lines.append(f"Predicted best: {where}: {best.val_bpb:.5f} ({best.low:.5f} to {best.high:.5f}), {seen}")
    return [*lines, *map(_cell_line, found.cells[:64])]


def _cell_line(cell: Cell) -> str:
    levels = clean(", ".join(f"{name}={level}" for name, level in cell.cell.items()), 160)
    told = f"{tables.bpb(cell.mean)} {change_of(cell.delta, cell.standard_error)}"
    return f"{cell.experiment or 'not run'} {cell.standing} {told} {levels}"


# --- logs -------------------------------------------------------------------------------------------------------------


def log_excerpt(given: LogExcerpt, view: View) -> Used:
    run = _run(given.run.strip(), view)
    text = view.log_of(run.id) or (run.result.tail if run.result else "")
    lines = text.replace("\r", "\n").split("\n")
    chosen = [line for line in lines if line.strip() and given.containing.lower() in line.lower()]
    count = min(LOG_LINES, max(1, given.lines))
    part = chosen[:count] if given.part == "start" else chosen[-count:]
    what = f"log of {run.id}, {len(part)} of {len(chosen)} lines"
    if not part:
        return Used(answer=f"The log of {run.id} has no such line.", told=f"read the log of {run.id}")
    shown = fenced("\n".join(line[:LOG_LINE] for line in part), view.state, what, LOG_CHARACTERS)
    outcome = f"{run.id} {run.result.outcome}" if run.result else f"{run.id} is going on"
    return Used(answer=f"{outcome}.\n{shown}", told=f"read the {what}")


def _run(name: str, view: View) -> Run:
    run = view.state.runs.get(RunId(name))
    if run is not None:
        return run
    experiment = known(name.split("-")[0] or BASELINE, view)
    found = tables.last_run(view.state, experiment)
    if found is None or "-" in name:
        raise Unusable(
            f"There is no run {clean(name, 20)!r}; {experiment.id} has {', '.join(experiment.runs) or 'none'}."
        )
    return found
