"""One match over facts: `fold(state, events) -> State`. Pure, total: an unknown, late or repeated fact never raises.

States handed out before stay as they were: a dictionary is copied before its first change in a batch. A batch of n
facts costs O(n); a single fact costs a copy of the dictionaries it touches, which is little for the frequent ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import cast

import msgspec

from core import booking, concluding, conversing, operating, setbacks
from core import events as ev
from core.draft import Draft
from core.ids import BASELINE, ExperimentId
from core.patch import Change, digest
from core.state import CURVE_POINTS, Experiment, Lost, Run, Spread, State, Wave
from core.thinking import Thinking
from core.verdict import DIVERGED, MAX_BPB, pooled

_replace = msgspec.structs.replace
REFUSALS = 20  # of a wave, that are remembered with their reasons
NEWS = (ev.ExperimentJudged, ev.BaselineMoved, ev.NoteAdded, ev.ExperimentVetoed, ev.EngineStarted, ev.WavePlanned)


def fold(state: State, facts: Iterable[ev.Fact]) -> State:
    draft = Draft(state)
    for kind, group in groupby(facts, type):
        if kind is ev.RunProgressed:  # most facts are
            _runs_progressed(draft, cast("Iterable[ev.RunProgressed]", group))
            continue
        for fact in group:
            _apply(draft, fact)
            if draft.waits is not None and isinstance(fact, NEWS):
                draft.waits = None
            draft.seq += 1
            draft.at = max(draft.at, fact.at)  # after: `_engine_started` asks when the one before was last heard of
    return draft.freeze()


def _apply(s: Draft, fact: ev.Fact) -> None:
    match fact:
        case ev.RunRequested():
            _run_requested(s, fact)
        case ev.RunStarted():
            _run_started(s, fact)
        case ev.RunWaiting():
            _run_waiting(s, fact)
        case ev.RunEnded():
            _run_ended(s, fact)
        case ev.RunReported():
            _run_reported(s, fact)
        case ev.RunStopped():
            if fact.run in s.active:
                s.own("runs")[fact.run] = _replace(s.runs[fact.run], stopped=fact.reason)
        case ev.ExperimentProposed():
            _proposed(s, fact)
        case ev.ExperimentJudged(verdict=verdict):
            concluding.conclude(s, fact.experiment, verdict, fact.reason, fact.evidence)
        case ev.ExperimentRetested():
            concluding.retested(s, fact)
        case ev.ExperimentScreened():
            concluding.screened(s, fact)
        case ev.DuplicateFound():
            concluding.duplicate(s, fact)
        case ev.ExperimentRebased():
            concluding.rebased(s, fact)
        case ev.BaselineMoved():
            concluding.baseline_moved(s, fact)
        case ev.WaveAsked():
            booking.accrue(s, fact.at)
            s.asked = fact
            operating.asked(s)
        case ev.WavePlanned():
            _wave_planned(s, fact)
        case ev.ProposalRejected():
            wave = s.waves.get(fact.wave)
            if wave is not None:
                refusals = (*wave.refusals, fact)[-REFUSALS:]
                s.own("waves")[fact.wave] = _replace(wave, rejected=wave.rejected + 1, refusals=refusals)
        case ev.ResearchFailed():
            booking.accrue(s, fact.at)
            s.asked, s.failure, s.failures = None, fact.reason, s.failures + 1
            s.gave_up = fact.reason if fact.fatal else s.gave_up
        case ev.ResultImported():
            booking.engine_gone(s, s.at)  # rows are taken in while no engine lives
            s.own("imported")[len(s.imported)] = fact
        case ev.LimitsSet():
            s.limits = fact
        case ev.FleetSeen():
            booking.fleet_seen(s, fact)
            s.lost = None
        case ev.ExecutorLost():
            s.lost = Lost(fact.at, fact.reason)
        case ev.ExecutorFound():
            s.lost = None
        case ev.PricesSet():
            s.prices = fact.gpu_usd_hour
        case ev.TiersSet():
            s.tiers = fact
        case ev.ReadySet():
            s.ready = fact
        case ev.EngineStarted():
            booking.engine_started(s, fact)
            s.stop, s.asked, s.gave_up, s.failures, s.lost, s.setbacks = None, None, "", 0, None, {}
            s.owned.add("setbacks")
            if fact.budget_s:
                s.budget_s, s.own_budget = fact.budget_s, fact.own_budget
        case ev.EngineStopped():
            booking.engine_gone(s, fact.at)
            s.last_stop, s.stop, s.asked = fact, None, None
        case ev.SessionStarted():
            _session_started(s, fact)
        case ev.Unknown() | ev.RunProgressed():
            pass  # progress is folded many at a time
        case Thinking():
            conversing.thought(s, fact)
        case _:
            operating.operated(s, fact)


# --- the session ------------------------------------------------------------------------------------------------------


def _session_started(s: Draft, fact: ev.SessionStarted) -> None:
    s.session, s.branch, s.commit, s.started_at = fact.session, fact.branch, fact.commit, fact.at
    s.prepare_digest, s.seed = fact.prepare_digest, fact.seed
    s.simulated, s.surface = fact.simulated, fact.surface
    s.baseline, s.lineage = BASELINE, (BASELINE,)
    s.own("sources")[BASELINE] = fact.source
    s.own("digests")[digest(fact.source)] = BASELINE
    s.own("experiments")[BASELINE] = Experiment(
        id=BASELINE,
        wave=None,
        parent=None,
        change=Change(),
        digest=digest(fact.source),
        title="train.py as found",
        hypothesis="",
        cell={},
        proposed_at=fact.at,
        status="kept",
        commit=fact.commit,
    )


# --- the researcher ---------------------------------------------------------------------------------------------------


def _wave_planned(s: Draft, fact: ev.WavePlanned) -> None:
    booking.accrue(s, fact.at)
    if s.asked is not None:
        s.think_s = max(0.0, fact.at - s.asked.at)
    if s.offered and s.offered[0].by == fact.researcher:
        s.offered = s.offered[1:]
    s.asked = None
    s.own("waves")[fact.wave] = Wave(
        id=fact.wave,
        parent=fact.parent,
        reason=fact.reason,
        design=fact.design,
        researcher=fact.researcher,
        planned_at=fact.at,
        held=s.gate,
        phase=fact.phase,
    )


def _proposed(s: Draft, fact: ev.ExperimentProposed) -> None:
    if fact.experiment in s.experiments:
        return
    s.failures = 0
    s.own("experiments")[fact.experiment] = Experiment(
        id=fact.experiment,
        wave=fact.wave,
        parent=fact.parent,
        change=fact.change,
        digest=fact.digest,
        title=fact.title,
        hypothesis=fact.hypothesis,
        cell=fact.cell,
        lines=fact.lines,
        of=fact.of,
        screening=concluding.merged(s, fact.of) if fact.of else None,
        proposed_at=fact.at,
    )
    s.own("open")[fact.experiment] = None
    s.own("digests").setdefault(fact.digest, fact.experiment)
    wave = s.waves.get(fact.wave)
    if wave is not None:
        s.own("waves")[fact.wave] = _replace(wave, experiments=(*wave.experiments, fact.experiment))


# --- runs -------------------------------------------------------------------------------------------------------------


def _run_requested(s: Draft, fact: ev.RunRequested) -> None:
    if fact.run in s.runs:
        return
    s.own("runs")[fact.run] = Run(
        id=fact.run,
        experiment=fact.experiment,
        gpu_type=fact.gpu_type,
        seed=fact.seed,
        tier=fact.tier,
        purpose=fact.purpose,
        requested_at=fact.at,
    )
    s.own("active")[fact.run] = None
    booking.requested(s, fact)
    operating.launched(s, fact.experiment)
    experiment = s.experiments.get(fact.experiment)
    if experiment is not None:
        status = "running" if experiment.status == "proposed" else experiment.status
        s.own("experiments")[fact.experiment] = _replace(experiment, status=status, runs=(*experiment.runs, fact.run))


def _run_waiting(s: Draft, fact: ev.RunWaiting) -> None:
    run = s.runs.get(fact.run)
    if run is not None and run.started_at is None and run.ended_at is None:
        s.own("runs")[fact.run] = _replace(run, waiting=fact)


def _run_started(s: Draft, fact: ev.RunStarted) -> None:
    run = s.runs.get(fact.run)
    if run is not None and run.started_at is None and run.ended_at is None:
        held_from = booking.started(s, run, fact.at)
        s.own("runs")[fact.run] = _replace(run, started_at=fact.at, gpu=fact.gpu, held_from=held_from, waiting=None)


def _runs_progressed(s: Draft, facts: Iterable[ev.RunProgressed]) -> None:
    """Many at a time, as a long session is nearly all of them."""
    progress, curves, is_mine, active, latest, seq = s.own("progress"), s.curves, False, s.active, s.at, s.seq
    for fact in facts:
        run, at, fraction, loss = fact.run, fact.at, fact.fraction, fact.loss
        seq += 1
        if at > latest:
            latest = at
        if run not in progress:
            if run not in active:
                continue
            s.own("runs")[run] = _replace(s.runs[run], training_at=at)
        progress[run] = fact
        if fraction is None or loss is None or not 0 <= fraction <= 1:
            continue
        point, curve = int(fraction * CURVE_POINTS), curves.get(run, ())
        if point >= len(curve):
            if not is_mine:
                curves, is_mine = s.own("curves"), True
            curves[run] = (*curve, *[None] * (point - len(curve)), loss)
    s.seq, s.at = seq, latest


def _run_reported(s: Draft, fact: ev.RunReported) -> None:
    run = s.runs.get(fact.run)
    if run is None or not fact.fingerprint:
        return
    first = (fact.step, fact.loss) if fact.step is not None and fact.loss is not None else None
    s.own("runs")[fact.run] = _replace(
        run, fingerprint=fact.fingerprint, exact=fact.exact, params_m=fact.params_m, first=first
    )
    known = s.own("fingerprints").get(fact.fingerprint, ())  # another object: something was reported
    if run.experiment not in known:
        s.fingerprints[fact.fingerprint] = (*known, run.experiment)


def _run_ended(s: Draft, fact: ev.RunEnded) -> None:
    run = s.runs.get(fact.run)
    if run is None or run.ended_at is not None:
        return
    s.own("active").pop(fact.run, None)
    s.own("progress").pop(fact.run, None)
    curve = s.curves.get(fact.run, ())
    if curve:
        s.own("curves").pop(fact.run)
    spent_s = booking.ended(s, run, fact)
    setbacks.ended(s, run, fact)
    parent_bpb = _parent_bpb(s, run) if fact.outcome == "finished" else None
    s.own("runs")[fact.run] = _replace(
        run, ended_at=fact.at, result=fact, curve=curve, spent_s=spent_s, parent_bpb=parent_bpb
    )
    s.ended += 1
    concluding.count(s, run.experiment)
    if fact.outcome == "finished" and fact.val_bpb is not None and 0 < fact.val_bpb < MAX_BPB:
        _score(s, run, fact.val_bpb, fact.at)
        s.corpus = s.corpus or fact.corpus
    elif fact.outcome in ("cancelled", "lost"):
        _requeue(s, run.experiment)


def _parent_bpb(s: Draft, run: Run) -> float | None:
    """Mean of what its experiment was made from, on its GPU type, by now: later it is another."""
    experiment = s.experiments.get(run.experiment)
    parent = experiment.parent if experiment is not None else None
    scores = s.scores.get((parent, run.gpu_type), ()) if parent is not None else ()
    return sum(scores) / len(scores) if scores else None


def _requeue(s: Draft, name: ExperimentId) -> None:
    """A run that says nothing about its experiment leaves it where it was: waiting for a first run."""
    experiment = s.experiments.get(name)
    if experiment is None or experiment.status != "running":
        return
    if not any(run in s.active or concluding.is_told(s.runs[run]) for run in experiment.runs):
        s.own("experiments")[name] = _replace(experiment, status="proposed")


def _score(s: Draft, run: Run, val_bpb: float, at: float) -> None:
    """One seed that diverges says nothing of the noise of those that do not; a baseline's runs always count."""
    experiment = s.experiments.get(run.experiment)
    key = ((experiment and experiment.twin) or run.experiment, run.gpu_type)
    before = s.scores.get(key, ())
    s.own("scores")[key] = (*before, val_bpb)
    spread, mean = s.spread.get(run.gpu_type, Spread()), sum(before) / (len(before) or 1)
    apart = abs(val_bpb - mean)
    if before and (run.experiment in s.lineage or apart <= DIVERGED * pooled(spread, run.gpu_type).sd):
        gain = apart**2 * len(before) / (len(before) + 1)  # Welford's update of the pooled sum of squares
        s.own("spread")[run.gpu_type] = Spread(spread.squares + gain, spread.df + 1)
    if run.started_at is not None:
        took = max(0.0, at - run.started_at)
        s.duration_s = took if not s.duration_s else 0.8 * s.duration_s + 0.2 * took
