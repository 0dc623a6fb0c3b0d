"""The fleet in words: a row per GPU with who holds it, a line per type, what is queued, and what happened.

Pure functions of a moment and a width; the cells of the dashboard's fleet pane are elsewhere (`tui.widgets.fleet`).
"""

from __future__ import annotations

from core.events import Gpu
from core.ids import GpuId, RunId
from core.ledger import vacancy
from core.money import spent_usd, usd_hour
from core.state import Run, State
from core.telling import NO_GPU, hindrances
from core.tiers import tiers
from core.views import is_without_gpus
from tui import gpu_told, numbers
from tui.glyphs import Glyphs
from tui.memory import Happening, Memory
from tui.moment import Moment
from tui.paint import Line, Span, line, width
from tui.remembered import Remembered
from tui.safe import end, fit, wrap
from tui.safe import line as safe
from tui.telling_apart import longest, told_apart
from tui.widgets.fleet_busy import LAST, NOW, NOW_AND_LAST, busy, is_old
from tui.widgets.fleet_cells import running
from tui.widgets.grid_list import changes, common
from tui.widgets.pieces import Piece, arranged, cut, piece

BAR = 10  # cells
WIDE = 150  # cells from which a type's line has all there is to say
JOB = 40  # cells of a Job's name
TITLE = 20  # cells that a title keeps before the column of types takes them
LONGEST = 32  # cells of a type's name, at most
HOUR_S = 3600.0
_gpus: Remembered[dict[GpuId, Gpu]] = Remembered()
_queue: Remembered[tuple[RunId, ...]] = Remembered()


def gpus(state: State) -> dict[GpuId, Gpu]:
    """By id, in the order of the fleet."""
    return _gpus.get((state.gpus,), lambda: {gpu.id: gpu for gpu in state.gpus})


def run_on(state: State, gpu: GpuId) -> Run | None:
    name = running(state).get(gpu)
    return state.runs[name] if name is not None else None


def waiting(state: State) -> tuple[RunId, ...]:
    """Runs that were requested and hold no GPU yet, the oldest first."""
    parts = (state.active, state.runs)
    return _queue.get(parts, lambda: tuple(name for name in state.active if state.runs[name].started_at is None))


# --- a GPU ------------------------------------------------------------------------------------------------------------


def kinds(state: State) -> tuple[str, ...]:
    """The types of GPUs that are there."""
    return tuple(kind for kind, holder in state.holders.items() if holder.gpus)


def called(state: State, kind: str, cells: int) -> str:
    """The name of a type in at most `cells`, not the same as that of another."""
    return told_apart(kinds(state), cells).get(kind) or safe(kind, cells)


def columns(state: State, cells: int) -> dict[str, int]:
    """Widths, by name; 0 for one that there is no room for. Long names of types may take of the title's."""
    narrow, wide = cells < 100, cells >= 140
    found = {
        "gpu": 22 if wide else 12,
        "type": 0 if narrow else 6,
        "who": 6,
        "run": 8,
        "job": JOB if cells >= WIDE and state.engine and state.engine.executor == gpu_told.KUBERNETES else 0,
        "purpose": 0 if narrow else 20 if wide else 18,
        "bar": 0 if cells < 70 else BAR + 1,
        "share": 5,
        "since": 7,
    }
    left = max(0, cells - sum(room + 1 for room in found.values() if room))
    more = max(0, min(left - TITLE, min(longest(kinds(state)), LONGEST) - 6)) if found["type"] else 0
    return {**found, "type": found["type"] + more, "title": left - more}


def head(state: State, cells: int) -> Line:
    wide = columns(state, cells)
    names = {"gpu": "GPU", "type": "type", "who": "holder", "run": "run", "job": "Job", "purpose": "for",
             "bar": "progress", "share": "", "since": "since", "title": "experiment"}  # fmt: skip
    right = ("share", "since")
    spans = tuple(
        (fit(names[name], room, align="right" if name in right else "left") + " ", "muted")
        for name, room in wide.items()
        if room
    )
    return cut((*spans[:-1], (spans[-1][0].rstrip(), "muted")), cells)


def row(moment: Moment, gpu: Gpu, cells: int, glyphs: Glyphs) -> Line:
    wide, run = columns(moment.state, cells), run_on(moment.state, gpu.id)
    start: list[Span] = [*gpu_told.called(moment.state, gpu.id, wide["gpu"]), (" ", "")]
    if wide["type"]:
        start.append((fit(called(moment.state, gpu.type, wide["type"]), wide["type"]) + " ", "muted"))
    if run is None:
        return (*start, *_not_ours(gpu, cells - width(start), glyphs))
    mark, role = (glyphs.crashed, "error") if gpu.broken else (glyphs.gpu_ours, "gpu-ours")
    ours = (fit(f"{mark} ours", wide["who"]) + " ", role)
    trouble = safe(gpu.held_by, 60) if gpu.broken else ""
    return cut((*start, ours, *_ours(moment, run, wide, glyphs, trouble)), cells)


def _not_ours(gpu: Gpu, cells: int, glyphs: Glyphs) -> tuple[Span, ...]:
    if gpu.broken:
        return (
            (fit(f"{glyphs.crashed} broken: {safe(gpu.held_by, 60) or 'nothing can start on it'}", cells), "error"),
        )
    if gpu.held_by:
        return ((fit(f"{glyphs.gpu_other} held by {safe(gpu.held_by, 60)}", cells), "gpu-other"),)
    return ((fit(f"{glyphs.gpu_free} free", cells), "gpu-free"),)


def _ours(moment: Moment, run: Run, wide: dict[str, int], glyphs: Glyphs, trouble: str) -> list[Span]:
    """`trouble`: what is wrong with its GPU."""
    state = moment.state
    told, experiment = state.progress.get(run.id), state.experiments.get(run.experiment)
    share = told.fraction if told is not None and told.fraction is not None else None
    spans: list[Span] = [(fit(run.id, wide["run"]) + " ", "run-running")]
    if wide["job"]:
        spans.append((fit(end(gpu_told.job(state, run.id), JOB, ellipsis=glyphs.ellipsis), JOB) + " ", "muted"))
    if wide["purpose"]:
        spans.append((fit(f"{run.tier} {glyphs.dot} {run.purpose}", wide["purpose"]) + " ", "muted"))
    if wide["bar"]:
        spans += [*bar(share, BAR, glyphs), ("  ", "")]
    far = numbers.share(share) if share is not None else "starts"[: wide["share"]]
    since = numbers.duration(moment.now - run.started_at) if run.started_at is not None else ""
    spans += [
        (fit(far, wide["share"], align="right") + " ", ""),
        (fit(since, wide["since"], align="right") + " ", "muted"),
    ]
    stopping = run.stopped_by or run.stopped
    title = (
        f"stopping: {safe(run.stopped or 'asked by ' + run.stopped_by, 200)}"
        if stopping
        else changes(experiment, common(state, experiment.wave))
        if experiment
        else ""
    )
    style = "error" if trouble else "warning" if stopping else ""
    return [*spans, (fit(trouble or title, wide["title"]), style)]


def bar(share: float | None, cells: int, glyphs: Glyphs) -> list[Span]:
    """`share` 0 to 1 of `cells`; None: nothing known yet."""
    full = round(max(0.0, min(1.0, share or 0.0)) * cells)
    return [(glyphs.full * full, "run-running"), (glyphs.shade * (cells - full), "muted")]


# --- types ------------------------------------------------------------------------------------------------------------


def types(moment: Moment, cells: int, glyphs: Glyphs) -> list[Line]:
    """One line per GPU type: tier, who holds how many, how busy, what it costs; then what all cost together."""
    state = moment.state
    if not state.gpus:
        return [line((nothing(moment), "muted"))]
    lines = [_type(moment, kind, cells, glyphs) for kind, holder in state.holders.items() if holder.gpus]
    if strangers := [kind for kind in state.max_gpus if kind not in state.holders]:
        said = f"{glyphs.warning} max_gpus names {safe(', '.join(strangers), 80)}: there is none"
        lines.append(cut(line((said, "warning")), cells))
    told = filter(None, (*hindrances(state), state.unseen))
    lines += [cut(line((f"{glyphs.warning} {safe(each, 300)}", "warning")), cells) for each in told]
    if state.lost is not None:
        since = numbers.duration(moment.now - state.lost.at)
        said = f"{glyphs.warning} cannot be reached for {since}: {safe(state.lost.reason, 200)}. What is shown is old."
        lines.insert(0, cut(line((said, "error bold")), cells))
    if (spent := spent_usd(state, moment.now)) is not None:
        cost = line(
            (f"spent {numbers.usd(spent)}", "bold"), (f", {numbers.usd(usd_hour(state))} per hour now", "muted")
        )
        lines.append(cut(cost, cells))
    return lines


def _type(moment: Moment, kind: str, cells: int, glyphs: Glyphs) -> Line:
    """As wide as those of the other types, so that the columns stand below each other."""
    state = moment.state
    holder = state.holders[kind]
    _, others, broken, queue, free = vacancy([holder])
    ours = min(holder.runs, holder.gpus)
    hours = f"{state.held_s.get(kind, 0.0) / HOUR_S:,.1f} GPU-hours so far"
    name = max(10, min(longest(kinds(state)), LONGEST, cells // 4))
    some_broken = any(each.broken for each in state.holders.values())
    pieces = [
        piece(9, line((fit(called(state, kind, name), name), "bold"))),
        piece(5, line((fit(_tier(state, kind), 8 if tiers(state).are_two else 17), "muted")), ()),
        _counted(9, glyphs.gpu_ours, ours, "ours", "gpu-ours"),
        _counted(8, glyphs.gpu_other, others, "others'", "gpu-other" if others else "muted"),
        _counted(8, glyphs.gpu_free, queue + free, "free", "gpu-free"),
        _counted(8, glyphs.crashed, broken, "broken", "error" if broken else "muted") if some_broken else piece(1, ()),
        _counted(7, glyphs.queued, holder.queued, "queued", "run-queued" if holder.queued else "muted"),
        _limit(state, kind),
        _busy(moment, kind, cells),
        piece(3, line((f"{hours:>24}", "muted")), ()) if cells >= WIDE else piece(1, ()),
        piece(4, line((f"{numbers.usd(state.prices.get(kind, 0.0)):>7}/h", "muted")), ())
        if state.prices
        else piece(1, ()),
    ]
    return cut(arranged(pieces, cells, line("  ")), cells)


def _busy(moment: Moment, kind: str, cells: int) -> Piece:
    """Now, and over the session: which weighs more than the words behind the counts where these need not go."""
    forms = (LAST,) if is_old(moment) else (NOW_AND_LAST, NOW)
    lines = [line((busy(moment, kind, words), "")) for words in forms]
    return piece(10 if cells >= 100 else 6, *(each for each in lines if width(each)), ())


def _tier(state: State, kind: str) -> str:
    roles = tiers(state)
    return " + ".join(name for name, of in (("screen", roles.screen), ("validate", roles.validate)) if kind in of)


def _counted(weight: int, glyph: str, number: int, word: str, role: str) -> Piece:
    return piece(weight, line((f"{glyph} {number:>4,} {word}", role)), line((f"{glyph}{number:>3,}", role)))


def _limit(state: State, kind: str) -> Piece:
    """ "limit 8", and how many runs beyond it are let finish."""
    if not state.max_gpus:
        return piece(1, ())
    most = state.max_gpus.get(kind)
    beyond = state.holders[kind].runs - most if most is not None else 0
    said = "no limit" if most is None else f"limit {most:,}"
    role = "muted" if most is None else "warning" if beyond > 0 else "accent"
    more = f", {beyond:,} over finish" if beyond > 0 else ""
    longest = max(len(str(each)) for each in state.max_gpus.values())
    return piece(6, line((f"{said + more:<{24 + longest}}", role)), line((f"{said:<{max(8, 6 + longest)}}", role)))


def nothing(moment: Moment) -> str:
    match moment.mode:
        case "loading":
            return "Reading the session…"
        case "starting":
            return "The engine starts; its GPUs show here."
        case "down" | "finished":
            return "No engine, so no GPUs to show."
    if is_without_gpus(moment.state):
        return f"{NO_GPU[0].upper()}{NO_GPU[1:]}."
    return "No GPU has been seen yet."


# --- the queue and the happenings -------------------------------------------------------------------------------------


def queue(moment: Moment, cells: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Why each waits stands behind it, or below it while there is room: first of those that need a person."""
    state, names = moment.state, waiting(moment.state)
    if not names:
        return [line(("No run waits for a GPU.", "muted"))]
    runs = [state.runs[name] for name in (names[: height - 1] if len(names) > height else names)]
    below = _below(runs, cells, height - min(height, len(names)))
    lines = []
    for run in runs:
        reason, role = _reason(run) if run.id not in below else ("", "")
        lines.append(_queued(moment, run, (f": {reason}" if reason else "", role), cells, glyphs))
        lines += below.get(run.id, ())
    if left := len(names) - len(runs):
        lines.append(line((f"{glyphs.ellipsis} and {numbers.count(left, 'more run')}", "muted")))
    return lines


def _below(runs: list[Run], cells: int, room: int) -> dict[RunId, list[Line]]:
    """The reasons that fit into `room` lines."""
    found = {}
    for run in sorted(runs, key=lambda run: run.waiting is None or not run.waiting.needs_a_person):
        reason, role = _reason(run)
        lines = [line((f"  {text}", role)) for text in wrap(reason, max(1, cells - 2))] if reason else []
        if lines and len(lines) <= room:
            found[run.id], room = lines, room - len(lines)
    return found


def _queued(moment: Moment, run: Run, why: Span, cells: int, glyphs: Glyphs) -> Line:
    since = numbers.duration(moment.now - run.requested_at)
    kind = called(moment.state, run.gpu_type, 20)
    text = f"{glyphs.queued} {safe(run.id, 20)} for {kind}, {run.purpose}"
    room = max(0, cells - 9)
    start = fit(text, min(room, len(text)))
    behind = fit(why[0], max(0, room - len(start)))
    return line((start, "run-queued"), (behind, why[1]), (fit(since, 9, align="right"), "muted"))


def _reason(run: Run) -> tuple[str, str]:
    told = run.waiting
    return (safe(told.reason, 300), "warning" if told.needs_a_person else "muted") if told is not None else ("", "")


def happened(memory: Memory, cells: int, height: int, glyphs: Glyphs) -> list[Line]:
    """The latest last."""
    if not memory.fleet:
        return [line((text, "muted")) for text in wrap("Nothing has happened to the fleet yet.", cells)]
    return [_happening(each, cells) for each in list(memory.fleet)[-height:]]


def _happening(each: Happening, cells: int) -> Line:
    return line((numbers.clock(each.at) + "  ", "muted"), (fit(each.text, max(0, cells - 10)), each.role))
