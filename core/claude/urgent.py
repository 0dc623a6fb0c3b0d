"""What is new since the question before: results, people, crashes; and how busy the fleet is. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from core.claude import tables
from core.claude.fences import clean, fenced, plain
from core.claude.planning import unrepairable
from core.claude.remembering import RESEARCHERS
from core.ids import ExperimentId
from core.ledger import COLUMNS, capacity, ledger, vacancy
from core.state import Deed, Experiment, State
from core.views import elapsed, held, queued, remaining, spent_usd

MOST = 48  # results that are listed; the best come first
REPAIRS = 3  # crashes that are shown with their traceback
TRACEBACK = 1800  # characters


def now_is(state: State, slots: int, now: float, budget: str) -> str:
    """The fleet, its work, time and money."""
    room = vacancy(state.holders.values())
    each = f"a run takes {state.duration_s:.0f} s" if state.duration_s else "no run has finished yet"
    lines = [
        f"Baseline {state.baseline}; {each}.",
        f"{room.usable} GPUs, {room.free} free; {len(state.active)} runs, {len(queued(state))} experiments queued.",
        f"Your next wave: {slots} experiments fill what is or becomes free while you think.",
        f"Elapsed {elapsed(state, now) / 3600:.2f} h. {_occupancy(state, now)}",
    ]
    if (left := remaining(state)) is not None:
        lines.append(f"The session's limit allows {left} more experiments.")
    if (usd := spent_usd(state, now)) is not None:
        lines.append(f"Spent ${usd:.2f}, of it ${state.model_usd:.2f} on you.")
    if state.gate and (waiting := held(state)):
        lines.append(f"The operator approves waves first; {', '.join(waiting)} wait for that.")
    if state.pause is not None:
        lines.append(f"The research is paused by {clean(state.pause.by, 40)}: {clean(state.pause.reason, 200)}")
    if state.stand_in:
        lines.append(f"While you were away the {clean(state.stand_in, 40)} researcher planned.")
    return "\n".join(("# Now", *lines, *([budget] if budget else [])))


def _occupancy(state: State, now: float) -> str:
    """Shares of the GPU time so far."""
    total, columns = capacity(state, now), ledger(state, now)
    if total <= 0:
        return ""
    largest = sorted(((columns[name] / total, name) for name in COLUMNS), reverse=True)[:5]
    shares = ", ".join(f"{share:.0%} {name}" for share, name in largest if share >= 0.005)
    return f"GPU time: {shares}."


def asked_before(state: State) -> float:
    """When the researcher was asked for its latest wave; what came later may be news to it."""
    wave = next(reversed(state.waves.values()), None)
    return wave.planned_at - state.think_s if wave is not None else state.started_at


def news(state: State, now: float) -> list[str]:
    """Sections, those of the operator first; none if nothing happened."""
    since = asked_before(state)
    return list(filter(None, (_operator(state, since), _results(state, since), _refusals(state), _crashes(state))))


def _operator(state: State, since: float) -> str:
    notes = [f"{clean(note.by, 40)}: {plain(note.text).strip()}" for note in state.notes if note.at >= since]
    deeds = done(state, [deed for deed in state.deeds if deed.at >= since])
    if not notes and not deeds:
        return ""
    return "\n".join(("# From the operator, since you were asked last", *notes, *deeds))


def done(state: State, deeds: Iterable[Deed]) -> list[str]:
    """Those of operators that a researcher has to know of, as lines."""
    return [
        f"{clean(deed.by, 40)} {_DEEDS[deed.kind]} {deed.subject}{_why(state, deed)}"
        for deed in deeds
        if deed.kind in _DEEDS and deed.by not in RESEARCHERS
    ]


_DEEDS = {"veto": "vetoed", "promote": "promoted", "rerun": "asked for another run of", "approve": "approved"}


def _why(state: State, deed: Deed) -> str:
    """What it was about: the change, not its title, which is not the operator's; and a veto's reason."""
    experiment = state.experiments.get(ExperimentId(deed.subject))
    if experiment is None:
        return ""
    reason = f": {clean(experiment.reason, 400)}" if deed.kind == "veto" and experiment.reason else ""
    return f" ({tables.touched(experiment.change)}){reason}"


def _results(state: State, since: float) -> str:
    fresh = [each for each in state.experiments.values() if _ended_since(state, each, since)]
    if not fresh:
        return ""
    ranked = sorted(fresh, key=lambda each: tables.measured(state, each).delta or 0.0)
    lines = [tables.line(state, each) for each in ranked[:MOST]]
    left = [f"{len(ranked) - MOST} more, none better; ask with results."] if len(ranked) > MOST else []
    return f"# Results since then, the best first\n{fenced(chr(10).join((*lines, *left)), state, 'results', 10**9)}"


def _ended_since(state: State, experiment: Experiment, since: float) -> bool:
    ends = (state.runs[run].ended_at for run in experiment.runs)
    return any(end is not None and end >= since for end in ends)


def _refusals(state: State) -> str:
    """Of the latest wave: what was not taken, and why."""
    wave = next(reversed(state.waves.values()), None)
    if wave is None or not wave.refusals:
        return ""
    lines = [f"{clean(fact.title, 100)}: {clean(fact.reason, 240)}" for fact in wave.refusals]
    more = [f"{wave.rejected - len(lines)} more"] if wave.rejected > len(lines) else []
    return f"# Refused of {wave.id}\n{fenced(chr(10).join((*lines, *more)), state, 'refusals', 8000)}"


def _crashes(state: State) -> str:
    """Those that may still be repaired, the latest first, each with the end of its log."""
    crashed = [e for e in reversed(state.experiments.values()) if e.status == "crashed" and not unrepairable(state, e)]
    shown = []
    for experiment in crashed[:REPAIRS]:
        run = tables.last_run(state, experiment)
        tail = run.result.tail if run is not None and run.result is not None else ""
        what = f"{clean(experiment.title, 80)}: {clean(experiment.reason, 200)}\n{tail}"  # its reason is the log's, too
        shown.append(f"{experiment.id}:\n{fenced(what, state, f'log of {experiment.id}', TRACEBACK)}")
    if not shown:
        return ""
    title = "# Crashed; each may be repaired once, if the fault is silly and the idea is not"
    return "\n".join((title, *shown))
