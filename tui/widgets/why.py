"""Why an experiment stands where it stands, in plain words: idea, change, verdict with its evidence, runs, history.

Pure: lines of a moment. Numbers are as the verdict saw them; nothing is judged again here.
"""

from __future__ import annotations

from collections.abc import Iterator

from core import events as ev
from core.duplicates import handed_over
from core.events import Evidence
from core.ids import ExperimentId
from core.ledger import held_s
from core.money import experiment_usd
from core.sentences import at_budget
from core.state import Experiment, Run, State
from core.verdict import sigmas
from tui.glyphs import UNICODE, Glyphs
from tui.moment import Moment
from tui.numbers import bpb, count, delta, duration, usd
from tui.paint import EMPTY, Line, line
from tui.safe import fit, wrap
from tui.safe import line as safe
from tui.signs import sign
from tui.widgets.pieces import cut

PURPOSES = {"first": "first", "retest": "again", "replicate": "noise"}
REPEATS = "repeat"  # a run of a duplicate, which counts for its twin


def why_lines(moment: Moment, experiment: Experiment, width: int, glyphs: Glyphs = UNICODE) -> list[Line]:
    """All there is to say; each line at most `width` cells."""
    state = moment.state
    parts = [
        _head(state, experiment, glyphs),
        *_said(experiment, width),
        EMPTY,
        *_section("Verdict", _verdict(state, experiment), width),
        *_change(experiment, width),
        *_runs(state, experiment, glyphs),
        *_cost(moment, experiment, width),
        *_history(moment, experiment, width),
    ]
    return [cut(part, width) for part in parts]


def _head(state: State, experiment: Experiment, glyphs: Glyphs) -> Line:
    found = sign(state, experiment, glyphs)
    said = (f"{found.glyph} {found.word}", f"{found.role} bold")
    wave = f", wave {experiment.wave}" if experiment.wave else ""
    origin = f"  from {experiment.parent}{wave}" if experiment.parent else "  train.py as it was found"
    merged = f"  puts together {', '.join(experiment.of)}" if experiment.of else ""
    return line((f"{experiment.id} ", "bold"), said, (origin + merged, "muted"))


def _said(experiment: Experiment, width: int) -> list[Line]:
    lines: list[Line] = [((text, ""),) for text in wrap(experiment.title, width)]
    return lines + [((text, "muted"),) for text in wrap(experiment.hypothesis, width)]


def _change(experiment: Experiment, width: int) -> list[Line]:
    """What it sets, where its title does not say so already."""
    change = experiment.change
    said = [f"{name} = {value}" for name, value in change.settings.items()]
    said = [] if all(name in experiment.title for name in change.settings) else said
    said += [f"{count(len(change.edits), 'edit')} of the text"] if change.edits else []
    return [EMPTY, *_section("Sets", [", ".join(said)], width)] if said else []


def _section(title: str, sentences: list[str], width: int) -> list[Line]:
    """Its title in a column of its own."""
    room = width - 10
    if room < 20:
        return [((text, ""),) for sentence in sentences for text in wrap(sentence, width)]
    texts = [text for sentence in sentences for text in wrap(sentence, room)]
    return [line((f"{title if i == 0 else '':<10}", "accent"), text) for i, text in enumerate(texts)]


# --- the verdict ------------------------------------------------------------------------------------------------------


def _verdict(state: State, experiment: Experiment) -> list[str]:
    said = [_standing(state, experiment)]
    if experiment.screening is not None:
        said.append(f"Screening: {_weighed(state, experiment.screening)}")
    if experiment.evidence is not None and experiment.evidence != experiment.screening:
        said.append(_weighed(state, experiment.evidence))
    if experiment.status == "vetoed" and experiment.reason:
        said.append(f"Reason given: {experiment.reason}")
    elif experiment.reason and experiment.evidence is None:
        said.append(experiment.reason)
    elif experiment.reason:
        said.append(experiment.reason.rpartition("): ")[2] if "): " in experiment.reason else experiment.reason)
    said += [_repeated(state, name) for name in experiment.repeated_by]
    return [sentence[:1].upper() + sentence[1:] for sentence in said if sentence]


def _repeated(state: State, name: ExperimentId) -> str:
    """What a duplicate of it means for it."""
    done = [run.id for run in handed_over(state, (name,))]
    if done:
        counts = "its run counts" if len(done) == 1 else "its runs count"
        return f"Repeated by {name}: {counts} here too ({', '.join(done)})."
    if any(run in state.active for run in state.experiments[name].runs):
        return f"Repeated by {name}: if its run finishes, it counts here too."
    return f"Repeated by {name}, which has no result to add."


def _standing(state: State, experiment: Experiment) -> str:
    name = experiment.id
    match experiment.status:
        case "proposed":
            waits = experiment.wave and experiment.wave in state.waves and state.waves[experiment.wave].held
            return f"No verdict yet: {name} waits for {'your approval (y)' if waits else 'a GPU'}."
        case "running" | "retest":
            return f"No verdict yet: {_going_on(state, experiment)}."
        case "kept":
            if state.baseline == name:
                return "It is the baseline now: what new ideas start from."
            return "Kept: it was better than the noise." if experiment.parent else "Where the session started."
        case "discarded":
            return "Discarded: not shown to be better."
        case "crashed":
            return "Crashed: it has no val_bpb."
        case "vetoed":
            return "Vetoed: it does not run."
        case "duplicate":
            return f"It computes the same as {experiment.twin}; results count there."
        case "merged":
            return "It is part of a merge that became the baseline."


def _going_on(state: State, experiment: Experiment) -> str:
    """ "1 run on the way", or why what is to come next waits."""
    active = [state.runs[run] for run in experiment.runs if run in state.active]
    told = next((run.waiting for run in active if run.waiting is not None), None)
    if told is not None and all(run.started_at is None for run in active):
        return f"{told.run} waits: {safe(told.reason, 300)}"
    return f"{count(len(active), 'run')} on the way" if active else "its next run waits for a GPU"


def _weighed(state: State, evidence: Evidence) -> str:
    """The comparison in one or two sentences, with its numbers."""
    word = "better" if evidence.delta < 0 else "worse"
    said = (
        f"{abs(evidence.delta):.4f} {word} than {evidence.against} on {safe(evidence.gpu_type, 16)} "
        f"({delta(evidence.delta)} ± {evidence.standard_error:.4f}; {count(evidence.runs, 'run')}, "
        f"{evidence.baseline_runs} of {evidence.against}). "
    )
    if evidence.price >= 0.00005:
        said += f"Its {evidence.more_gb:.1f} GB more of memory had to earn {evidence.price:.4f} first. "
    if evidence.needed and evidence.standard_error > 0:
        said += f"That is {sigmas(evidence):.2f} standard errors where {evidence.needed:.2f} are needed; "
    at = at_budget(state)
    return (
        said + f"run to run it varies by {evidence.noise_sd:.4f}{at} (sd, {evidence.noise_df:.0f} degrees of freedom)."
    )


# --- runs and history -------------------------------------------------------------------------------------------------


def _runs(state: State, experiment: Experiment, glyphs: Glyphs) -> list[Line]:
    """A table as narrow as its contents, with what duplicates add; the result is last: it may be a sentence."""
    runs = [state.runs[run] for run in experiment.runs if run in state.runs]
    runs += handed_over(state, experiment.repeated_by)
    if not runs:
        return []
    titles = ("Runs", "on", "tier", "for", "took", "seed")
    cells = [_cells(state, run, PURPOSES[run.purpose] if run.experiment == experiment.id else REPEATS) for run in runs]
    wide = [max(len(row[i]) for row in (titles, *cells)) for i in range(len(titles))]

    def row(texts: tuple[str, ...]) -> str:
        sides = ("left", "left", "left", "left", "right", "right")
        return "  ".join(fit(text, cells, align=side) for text, cells, side in zip(texts, wide, sides, strict=True))  # type: ignore[arg-type]

    rows = [line(f"{row(texts)}  ", _result(state, run, glyphs)) for texts, run in zip(cells, runs, strict=True)]
    return [EMPTY, line((row(titles), "muted"), ("  val_bpb", "muted")), *rows]


def _cost(moment: Moment, experiment: Experiment, cells: int) -> list[Line]:
    """Of all its runs, where GPUs have prices."""
    state, now = moment.state, moment.now
    cost = experiment_usd(state, experiment, now)
    if cost is None:
        return []
    held = [seconds for run in experiment.runs if (seconds := held_s(state, state.runs[run], now))]
    said = f"{usd(cost)}: {count(len(held), 'run')} held a GPU for {duration(sum(held))} in all"
    each = f", {usd(cost / len(held))} per run" if len(held) > 1 else ""
    return [EMPTY, *_section("Cost", [said + each], cells)]


def _cells(state: State, run: Run, purpose: str) -> tuple[str, ...]:
    ends = run.ended_at if run.ended_at is not None else state.at
    took = duration(ends - run.started_at) if run.started_at is not None else "–"
    return (run.id, safe(run.gpu_type, 10), run.tier, purpose, took, str(run.seed))


def _result(state: State, run: Run, glyphs: Glyphs) -> tuple[str, str]:
    if run.result is None:
        progress = state.progress.get(run.id)
        share = f" {100 * progress.fraction:.0f} %" if progress and progress.fraction is not None else ""
        return _waits(run, glyphs) if run.started_at is None else (f"{glyphs.running} running{share}", "run-running")
    if run.result.outcome == "finished":
        return bpb(run.result.val_bpb), "bold"
    why = run.stopped or run.result.reason
    by = f" by {safe(run.stopped_by, 20)}" if run.stopped_by else ""
    role = "crashed" if run.result.outcome == "crashed" else "muted"
    return f"{run.result.outcome}{by}{f': {safe(why, 200)}' if why else ''}", role


def _waits(run: Run, glyphs: Glyphs) -> tuple[str, str]:
    told = run.waiting
    why = f": {safe(told.reason, 300)}" if told else ""
    return f"{glyphs.queued} queued{why}", "warning" if told and told.needs_a_person else "run-queued"


def _history(moment: Moment, experiment: Experiment, width: int) -> list[Line]:
    state = moment.state
    told = sorted({*_known(state, experiment), *_reported(moment, experiment)}, key=lambda item: item[0])
    rows = [
        line((f"{duration(max(0.0, at - state.started_at)):>9} ", "muted"), part)
        for at, text in told
        for part in wrap(text, max(1, width - 10))[:3]
    ]
    return [EMPTY, line(("History", "accent")), *rows] if rows else []


def _known(state: State, experiment: Experiment) -> Iterator[tuple[float, str]]:
    """What the state remembers of it."""
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    who = f" by {safe(wave.researcher, 40)}" if wave and wave.researcher else ""
    yield experiment.proposed_at, f"proposed{who}" if experiment.parent else "the session began with it"
    for run in (state.runs[each] for each in experiment.runs if each in state.runs):
        if run.purpose == "replicate" or run.ended_at is None or run.result is None:
            continue  # the table of runs has them
        value = f" with {bpb(run.result.val_bpb)}" if run.result.val_bpb is not None else ""
        yield run.ended_at, f"{run.id} {run.result.outcome} on {safe(run.gpu_type, 16)}{value}"
    for run in handed_over(state, experiment.repeated_by):
        value = bpb(run.result.val_bpb if run.result else None)
        yield run.ended_at or 0.0, f"{run.id} finished on {safe(run.gpu_type, 16)} with {value}: it counts here too"
    yield from (
        (deed.at, f"{deed.kind} by {safe(deed.by, 40)}") for deed in state.deeds if deed.subject == experiment.id
    )


def _reported(moment: Moment, experiment: Experiment) -> Iterator[tuple[float, str]]:
    """What was in the news lately: decisions, with who took them."""
    for fact in moment.news:
        if isinstance(fact, ev.DuplicateFound) and fact.twin == experiment.id:
            yield fact.at, f"{fact.experiment} turned out to repeat it"
        if getattr(fact, "experiment", None) != experiment.id:
            continue
        by = f" by {safe(fact.by, 40)}" if isinstance(fact, ev.ExperimentVetoed | ev.VetoWithdrawn) else ""
        match fact:
            case ev.ExperimentVetoed():
                yield fact.at, f"vetoed{by}{f': {fact.reason}' if fact.reason else ''}"
            case ev.VetoWithdrawn():
                yield fact.at, f"veto withdrawn{by}"
            case ev.ExperimentRetested():
                yield fact.at, "to be run again"
            case ev.ExperimentScreened():
                yield fact.at, "passed the screening"
            case ev.ExperimentRebased():
                yield fact.at, f"on top of {fact.on}: {safe(fact.reason, 300)}"
            case ev.ExperimentJudged():
                yield fact.at, f"{fact.verdict}"
            case ev.DuplicateFound():
                yield fact.at, f"turned out to repeat {fact.twin}"
            case ev.BaselineMoved():
                yield fact.at, "became the baseline"
            case _:
                pass
