"""What a fact says, as one sentence for people, and what runs now, in one line: for `--no-ui` and for the ticker.

Pure: a function of a fact and the state after it. All text from runs or researchers is cleaned of control characters.
A sentence is the same whenever it is made: it takes from the state what stays as it was. It knows no colours and no
screen size. Facts of operators have their sentences in `core.sentences`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

from core import events as ev
from core.aloud import spoken
from core.ids import ExperimentId, RunId
from core.sentences import sentence
from core.setbacks import untrusted
from core.state import State
from core.thinking import Thinking
from core.transcript import clean
from core.views import ALL_DONE, best, is_without_gpus, proposed

QUIET = (ev.RunProgressed, ev.RunStarted, ev.RunReported, ev.RunRequested, ev.TiersSet, ev.WaveAsked, ev.Unknown)
TAIL_LINES = 6
NO_GPU = "there is no GPU now: nothing is launched until one comes"


def line(fact: ev.Fact, state: State) -> str:
    """What happened, in one sentence; "" for facts that the progress line covers. `state` is the state after it."""
    if isinstance(fact, QUIET):
        return ""
    return clean(_text(fact, state), limit=2000).replace("\n", " ")


def _text(fact: ev.Fact, state: State) -> str:  # one branch per kind of fact is the point
    match fact:
        case ev.SessionStarted(session=name, branch=branch, commit=commit):
            return f"{marked(state)}session {name} from {commit}; what is kept goes to branch {branch}"
        case ev.EngineStarted(executor=executor, researcher=researcher, pid=pid):
            per_run = f", {fact.budget_s:g} s per run" if fact.budget_s else ""
            return f"{marked(state)}engine started (pid {pid}): {researcher} researcher, {executor} executor{per_run}"
        case ev.EngineStopped(reason=reason):
            more = "; a larger --max-experiments, or none, goes on" if reason.endswith(ALL_DONE) else ""
            return f"{marked(state)}engine stopped: {reason}{more}"
        case ev.LimitsSet():
            return f"limits of the session: {_limits(fact)}"
        case ev.FleetSeen():
            return _fleet(fact, state)
        case ev.WavePlanned(wave=wave, reason=reason):
            return f"{wave} planned: {reason}"
        case ev.ExperimentProposed(experiment=name, title=title):
            return f"{name} proposed: {title}"
        case ev.ProposalRejected(title=title, reason=reason):
            return f"rejected: {title}: {reason}"
        case ev.ResearchFailed(reason=reason, fatal=fatal):
            return f"the researcher {'gave up' if fatal else 'failed, and is asked again'}: {reason}"
        case ev.RunEnded():
            return _ended(fact, state)
        case ev.RunWaiting(run=name, reason=reason):
            return sentence(fact) if _is_first(state, name, reason) else ""
        case ev.ExperimentRetested(experiment=name, reason=reason):
            return f"{name} {RETEST} run again: {reason}"
        case ev.ExperimentScreened(experiment=name, reason=reason):
            return f"{name} ↑ to the validation tier: {reason}"
        case ev.ExperimentRebased(experiment=name, on=on, digest=digest, reason=reason):
            return f"{name} {'is' if digest else 'cannot be'} on top of {on}: {reason}"
        case ev.DuplicateFound(experiment=name, twin=twin, reason=reason):
            return f"{name} {DUPLICATE} duplicate of {twin}: {reason}"
        case ev.RunStopped(run=name, reason=reason):
            return f"{name} is stopped early: {reason}"
        case ev.ExperimentJudged(experiment=name, verdict=verdict, reason=reason):
            return f"{name} {GLYPHS[verdict]} {verdict}: {reason}"
        case ev.BaselineMoved(experiment=name, commit=commit):
            return f"{name} is the baseline now, commit {commit} on {state.branch}{_score(state, name)}"
        case ev.ExperimentVetoed(experiment=name, by=by, reason=reason):
            return f"{name} {GLYPHS['vetoed']} vetoed by {by}{f': {reason}' if reason else ''}"
        case ev.ExperimentPromoted(experiment=name, by=by):
            return f"{name} promoted by {by}"
        case ev.ResearchPaused(by=by, reason=reason):
            return f"paused by {by}{f': {reason}' if reason else ''}; running jobs finish"
        case ev.ResearchResumed(by=by):
            return f"resumed by {by}"
        case ev.StopRequested(by=by, now=now):
            return f"stopping for {by}: running jobs {'are stopped' if now else 'finish first'}"
        case ev.NoteAdded(by=by, text=text):
            return f"note by {by}: {text}"
        case ev.CommandRefused(command=command, reason=reason):
            return f"{command} refused: {reason}"
        case ev.ResultImported(commit=commit, status=status, description=description):
            return f"imported {commit} ({status}): {description}"
    return spoken(fact) if isinstance(fact, Thinking) else sentence(fact)


def marked(state: State) -> str:
    """What a line begins with that could be taken for something real."""
    return "SIMULATED " if state.simulated else ""


# as `tui.glyphs` has them
GLYPHS = {"kept": "✓", "discarded": "✗", "crashed": "‼", "vetoed": "⊘"}
RETEST, DUPLICATE = "↻", "="


def _limits(fact: ev.LimitsSet) -> str:
    parts = [
        f"{fact.max_hours:g} h" if fact.max_hours is not None else "",
        _count(fact.max_experiments, "experiment") if fact.max_experiments is not None else "",
        f"val_bpb {fact.target_bpb:g}" if fact.target_bpb is not None else "",
        f"${fact.max_usd:,.2f}" if fact.max_usd is not None else "",
    ]
    return ", ".join(filter(None, parts)) or "none"


def _fleet(fact: ev.FleetSeen, state: State) -> str:
    types = dict.fromkeys(gpu.type for gpu in fact.gpus)
    if not types:
        return NO_GPU
    seen = ", ".join(f"{sum(gpu.type == kind for gpu in fact.gpus)} × {kind}" for kind in types)
    missing = [kind for kind in (*state.tiers.screen, *state.tiers.validate) if kind not in types]
    none = f"of {', '.join(missing)}, named as a tier, there is none" if missing else ""
    return "; ".join(filter(None, (f"runs go to {seen}", none, fact.unseen)))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _ended(fact: ev.RunEnded, state: State) -> str:
    run = state.runs.get(fact.run)
    seconds = fact.at - run.started_at if run and run.started_at is not None else None
    took = f" in {seconds:.1f} s" if seconds is not None else ""
    if fact.outcome == "finished" and fact.val_bpb is not None:
        parent = run.parent_bpb if run is not None else None
        delta = f" ({fact.val_bpb - parent:+.4f})".replace("-", "−") if parent is not None else ""
        but = f" ({fact.reason})" if fact.reason else ""
        return f"{fact.run} finished: val_bpb {fact.val_bpb:.4f}{delta}{took}{but}"
    tail = fact.tail.strip().splitlines()[-TAIL_LINES:] if fact.outcome == "crashed" else []
    after = f" after {seconds:.1f} s" if seconds is not None else ""
    why = f": {fact.reason}" if fact.reason else ""
    return f"{fact.run} {fact.outcome}{after}{why}" + (f" | {' | '.join(tail)}" if tail else "")


def _score(state: State, name: ExperimentId) -> str:
    """On the runs that it was kept for."""
    experiment = state.experiments.get(name)
    evidence = experiment.evidence if experiment is not None else None
    scores = state.scores.get((name, evidence.gpu_type), ())[: evidence.runs] if evidence is not None else ()
    if evidence is None or not scores:
        return ""
    error = evidence.noise_sd / math.sqrt(len(scores))
    return f": val_bpb {fmean(scores):.4f} ± {error:.4f} ({_count(len(scores), 'run')})"


def _is_first(state: State, name: RunId, reason: str) -> bool:
    """Whether no other run waits for the same: one line is enough."""
    waiting = ((run, state.runs[run].waiting) for run in state.active)
    return not any(run != name and found is not None and found.reason == reason for run, found in waiting)


def hindrances(state: State) -> Iterator[str]:
    """Why less is launched than could be, where that is nobody's wish."""
    if is_without_gpus(state):
        yield NO_GPU
    for kind in untrusted(state):
        why = state.setbacks[kind].reason or "nobody says why"
        yield clean(f"runs on {kind} are lost as soon as they are launched ({why}): one at a time is tried", 300)


def progress(state: State) -> str:
    """What runs now and how far it is, in one line; "" if nothing runs."""
    if not state.active:
        return ""
    waiting = [told for run in state.active if (told := state.runs[run].waiting) is not None]
    going = [run for run in state.active if state.runs[run].waiting is None]
    running = " · ".join(_running(state, run) for run in going[:8]) or "nothing"
    more = f" +{len(going) - 8} more" if len(going) > 8 else ""
    if waiting:
        worst = max(waiting, key=lambda told: told.needs_a_person)
        more += f" | {_count(len(waiting), 'run')} waiting: {clean(worst.reason, 200)}"
    champion = best(state)
    score = f" · best {champion.mean:.4f} ({champion.experiment})" if champion else ""
    limit = state.limits.max_experiments
    count = f"{proposed(state) - len(state.open)}{f'/{limit}' if limit else ''} experiments done"
    return f"{marked(state)}running {running}{more} | {count}{score}"


def _running(state: State, run: RunId) -> str:
    now = state.progress.get(run)
    if now is None:
        return f"{run} starting"
    percent = f" {now.fraction:.0%}" if now.fraction is not None else f" step {now.step}"
    return f"{run}{percent}"
