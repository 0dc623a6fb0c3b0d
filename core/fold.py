"""One match over facts: `fold(state, events) -> State`. Pure, total: an unknown, late or repeated fact never raises.

States handed out before stay as they were: a dictionary is copied before its first change in a batch. A batch of n
facts costs O(n); a single fact costs a copy of the dictionaries it touches, which is little for the frequent ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from core import booking
from core import events as ev
from core.draft import Draft
from core.ids import BASELINE, ExperimentId
from core.patch import Change, digest
from core.state import CURVE_POINTS, Experiment, Pause, Run, Spread, State, Wave
from core.tiers import MIN_RUNS
from core.verdict import DIVERGED, MAX_BPB, pooled

_replace = msgspec.structs.replace


def fold(state: State, facts: Iterable[ev.Fact]) -> State:
    draft = Draft(state)
    for fact in facts:
        _apply(draft, fact)
        draft.seq += 1
        draft.at = max(draft.at, fact.at)  # after: `_engine_started` asks when the one before was last heard of
    return draft.freeze()


def _apply(s: Draft, fact: ev.Fact) -> None:
    match fact:
        case ev.RunProgressed():
            _run_progressed(s, fact)
        case ev.RunRequested():
            _run_requested(s, fact)
        case ev.RunStarted():
            _run_started(s, fact)
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
            _conclude(s, fact.experiment, verdict, fact.reason, fact.evidence)
        case ev.ExperimentRetested():
            _set(s, fact.experiment, status="retest", reason=fact.reason, evidence=fact.evidence)
        case ev.ExperimentScreened():
            _screened(s, fact)
        case ev.DuplicateFound():
            _duplicate(s, fact)
        case ev.ExperimentRebased():
            _rebased(s, fact)
        case ev.ExperimentVetoed():
            _conclude(s, fact.experiment, "vetoed", fact.reason, None)
        case ev.ExperimentPromoted():
            _promoted(s, fact)
        case ev.BaselineMoved():
            _baseline_moved(s, fact)
        case ev.WaveAsked():
            booking.accrue(s, fact.at)
            s.asked = fact
        case ev.WavePlanned():
            _wave_planned(s, fact)
        case ev.ProposalRejected():
            wave = s.waves.get(fact.wave)
            if wave is not None:
                s.own("waves")[fact.wave] = _replace(wave, rejected=wave.rejected + 1)
        case ev.ResearchFailed():
            booking.accrue(s, fact.at)
            s.asked, s.failure, s.failures = None, fact.reason, s.failures + 1
            s.gave_up = fact.reason if fact.fatal else s.gave_up
        case ev.ResearchPaused():
            booking.accrue(s, fact.at)
            s.pause = Pause(fact.at, fact.by, fact.reason)
        case ev.ResearchResumed():
            booking.accrue(s, fact.at)
            s.pause = None
        case ev.StopRequested():
            s.stop = fact
        case ev.ResultImported():
            booking.engine_gone(s, s.at)  # rows are taken in while no engine lives
            s.own("imported")[len(s.imported)] = fact
        case ev.NoteAdded():
            s.notes = (*s.notes, fact)
        case ev.LimitsSet():
            s.limits = fact
        case ev.FleetSeen():
            booking.fleet_seen(s, fact)
        case ev.TiersSet():
            s.tiers = fact
        case ev.EngineStarted():
            booking.engine_started(s, fact)
            s.stop, s.asked, s.gave_up, s.failures = None, None, "", 0
        case ev.EngineStopped():
            booking.engine_gone(s, fact.at)
            s.last_stop, s.stop, s.asked = fact, None, None
        case ev.SessionStarted():
            _session_started(s, fact)
        case ev.CommandRefused() | ev.Unknown():
            pass


# --- the session ------------------------------------------------------------------------------------------------------


def _session_started(s: Draft, fact: ev.SessionStarted) -> None:
    s.session, s.branch, s.commit, s.started_at = fact.session, fact.branch, fact.commit, fact.at
    s.prepare_digest, s.seed, s.simulated = fact.prepare_digest, fact.seed, fact.simulated
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
    s.asked = None
    s.own("waves")[fact.wave] = Wave(
        id=fact.wave,
        parent=fact.parent,
        reason=fact.reason,
        design=fact.design,
        researcher=fact.researcher,
        planned_at=fact.at,
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
        screening=_merged(s, fact.of) if fact.of else None,
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
    experiment = s.experiments.get(fact.experiment)
    if experiment is not None:
        status = "running" if experiment.status == "proposed" else experiment.status
        s.own("experiments")[fact.experiment] = _replace(experiment, status=status, runs=(*experiment.runs, fact.run))


def _run_started(s: Draft, fact: ev.RunStarted) -> None:
    run = s.runs.get(fact.run)
    if run is not None and run.started_at is None and run.ended_at is None:
        held_from = booking.started(s, run, fact.at)
        s.own("runs")[fact.run] = _replace(run, started_at=fact.at, gpu=fact.gpu, held_from=held_from)


def _run_progressed(s: Draft, fact: ev.RunProgressed) -> None:
    if fact.run not in s.progress:
        if fact.run not in s.active:
            return
        s.own("runs")[fact.run] = _replace(s.runs[fact.run], training_at=fact.at)
    s.own("progress")[fact.run] = fact
    if fact.fraction is None or fact.loss is None or not 0 <= fact.fraction <= 1:
        return
    point, curve = int(fact.fraction * CURVE_POINTS), s.curves.get(fact.run, ())
    if point >= len(curve):
        s.own("curves")[fact.run] = (*curve, *[None] * (point - len(curve)), fact.loss)


def _run_reported(s: Draft, fact: ev.RunReported) -> None:
    run = s.runs.get(fact.run)
    if run is None or not fact.fingerprint:
        return
    s.own("runs")[fact.run] = _replace(run, fingerprint=fact.fingerprint, exact=fact.exact)
    known = s.fingerprints.get(fact.fingerprint, ())
    if run.experiment not in known:
        s.own("fingerprints")[fact.fingerprint] = (*known, run.experiment)


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
    s.own("runs")[fact.run] = _replace(run, ended_at=fact.at, result=fact, curve=curve, spent_s=spent_s)
    s.ended += 1
    if fact.outcome == "finished" and fact.val_bpb is not None and 0 < fact.val_bpb < MAX_BPB:
        _score(s, run, fact.val_bpb, fact.at)
        s.corpus = s.corpus or fact.corpus
    elif fact.outcome in ("cancelled", "lost"):
        _requeue(s, run.experiment)


def _requeue(s: Draft, name: ExperimentId) -> None:
    """A run that says nothing about its experiment leaves it where it was: waiting for a first run."""
    experiment = s.experiments.get(name)
    if experiment is None or experiment.status != "running":
        return
    if not any(run in s.active or _finished(s.runs[run]) for run in experiment.runs):
        s.own("experiments")[name] = _replace(experiment, status="proposed")


def _finished(run: Run) -> bool:
    return run.result is not None and run.result.outcome in ("finished", "crashed")


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


# --- verdicts ---------------------------------------------------------------------------------------------------------


def _set(s: Draft, name: ExperimentId, **fields: Any) -> None:
    experiment = s.experiments.get(name)
    if experiment is not None and experiment.is_open:
        s.own("experiments")[name] = _replace(experiment, **fields)


def _screened(s: Draft, fact: ev.ExperimentScreened) -> None:
    _set(s, fact.experiment, status="retest", reason=fact.reason, evidence=fact.evidence, screening=fact.evidence)


def _conclude(s: Draft, name: ExperimentId, status: str, reason: str, evidence: ev.Evidence | None) -> None:
    """The first verdict counts: a veto beats a late success, and a repeated fact changes nothing."""
    experiment = s.experiments.get(name)
    if experiment is None or not experiment.is_open:
        return
    s.own("experiments")[name] = _replace(experiment, status=status, reason=reason, evidence=evidence)
    s.own("open").pop(name, None)
    s.own("counts")[status] = s.counts.get(status, 0) + 1
    if status == "kept":
        s.own("uncommitted")[name] = None
    elif len(experiment.of) > 1 and status in ("discarded", "crashed"):
        _split(s, experiment.of)


def _rebased(s: Draft, fact: ev.ExperimentRebased) -> None:
    experiment = s.experiments.get(fact.experiment)
    if experiment is None or experiment.runs or fact.on not in s.sources:
        return
    if fact.digest:
        s.own("digests").setdefault(fact.digest, fact.experiment)
        experiment = _replace(experiment, parent=fact.on, digest=fact.digest)
    s.own("experiments")[fact.experiment] = _replace(experiment, rebased=fact.on)


def _merged(s: Draft, names: tuple[ExperimentId, ...]) -> ev.Evidence | None:
    """Closes the parts of a merge; returns the weakest evidence among them, which the merge starts with."""
    s.merges += 1
    found = [experiment for name in names if (experiment := s.experiments.get(name)) is not None]
    for experiment in found:
        _conclude(s, experiment.id, "merged", "put together with others on top of the baseline", None)
    screenings = [experiment.screening for experiment in found if experiment.screening is not None]
    return min(screenings, key=lambda evidence: evidence.log_evidence, default=None)


def _split(s: Draft, names: tuple[ExperimentId, ...]) -> None:
    """A merge of several did not hold: each of its parts is open again."""
    for name in names:
        experiment = s.experiments.get(name)
        if experiment is not None and experiment.status == "merged":
            s.own("counts")["merged"] -= 1
            s.own("open")[name] = None
            s.own("experiments")[name] = _replace(experiment, status="retest", alone=True)


def _duplicate(s: Draft, fact: ev.DuplicateFound) -> None:
    """Its scores become the twin's, as replicates."""
    experiment = s.experiments.get(fact.experiment)
    if experiment is None or not experiment.is_open or fact.twin not in s.experiments or fact.twin == fact.experiment:
        return
    _conclude(s, fact.experiment, "duplicate", fact.reason, None)
    booking.repeated(s, fact.experiment)
    s.own("experiments")[fact.experiment] = _replace(s.experiments[fact.experiment], twin=fact.twin)
    for (name, gpu_type), scores in list(s.scores.items()):
        if name == fact.experiment:
            del s.own("scores")[name, gpu_type]
            s.own("scores")[fact.twin, gpu_type] = (*s.scores.get((fact.twin, gpu_type), ()), *scores)


def _promoted(s: Draft, fact: ev.ExperimentPromoted) -> None:
    experiment = s.experiments.get(fact.experiment)
    if experiment is None:
        return
    if experiment.status == "discarded":
        s.own("counts")["discarded"] -= 1
        s.own("open")[experiment.id] = None
        finished = sum(_finished(s.runs[run]) for run in experiment.runs)
        experiment = _replace(experiment, status="retest", wanted=finished + MIN_RUNS)
    s.own("experiments")[experiment.id] = _replace(experiment, promoted=True)


def _baseline_moved(s: Draft, fact: ev.BaselineMoved) -> None:
    s.own("uncommitted").pop(fact.experiment, None)
    s.own("sources")[fact.experiment] = fact.source
    if fact.experiment not in s.lineage:
        s.lineage = (*s.lineage, fact.experiment)
    s.baseline, s.commit = fact.experiment, fact.commit
    experiment = s.experiments.get(fact.experiment)
    if experiment is not None:
        s.own("experiments")[fact.experiment] = _replace(experiment, commit=fact.commit)
