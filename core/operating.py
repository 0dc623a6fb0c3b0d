"""The operators' half of the fold: what their commands change, and what it takes to undo them.

The latest deeds are remembered as they were done; a fact that takes one back removes it. What may be undone is asked of
`core.undoing`; nothing is refused here.
"""

from __future__ import annotations

import msgspec

from core import booking
from core import operated as op
from core.concluding import close, conclude, is_told, reopen
from core.draft import Draft
from core.ids import ExperimentId, RunId, WaveId
from core.state import Deed, DeedKind, Experiment, Pause, Run
from core.tiers import MIN_RUNS

DEEDS = 32  # that are remembered

_replace = msgspec.structs.replace


def operated(s: Draft, fact: op.OperatorFact) -> None:
    match fact:
        case op.ResearchPaused():
            _paused(s, fact)
        case op.ResearchResumed():
            _resumed(s, fact)
        case op.StopRequested():
            s.stop = fact
        case op.NoteAdded():
            s.notes = (*s.notes, fact)
            _did(s, Deed(at=fact.at, by=fact.by, kind="note", text=fact.text))
        case op.NoteWithdrawn():
            _note_withdrawn(s, fact)
        case op.ExperimentVetoed():
            _vetoed(s, fact)
        case op.VetoWithdrawn():
            _veto_withdrawn(s, fact)
        case op.ExperimentPromoted():
            _promoted(s, fact)
        case op.PromotionWithdrawn():
            _promotion_withdrawn(s, fact)
        case op.RerunRequested():
            _rerun(s, fact)
        case op.RerunWithdrawn():
            _rerun_withdrawn(s, fact)
        case op.RunStopRequested():
            if fact.run in s.active:
                s.own("runs")[fact.run] = _replace(s.runs[fact.run], stopped_by=fact.by)
        case op.GateSet():
            _gate(s, fact)
        case op.WaveApproved():
            _approved(s, fact)
        case op.ApprovalWithdrawn():
            _undone(s, "approve", fact.wave)
            _hold(s, (fact.wave,), held=s.gate)
        case op.MaxGpusSet():
            _max_gpus(s, fact)
        case op.CommandRefused():
            pass


def asked(s: Draft) -> None:
    """The researcher has read all notes."""
    s.deeds = tuple(deed for deed in s.deeds if deed.kind != "note")


def launched(s: Draft, name: ExperimentId) -> None:
    if name in s.reruns:
        _count_rerun(s, name, -1)


# --- deeds ------------------------------------------------------------------------------------------------------------


def _did(s: Draft, deed: Deed) -> None:
    s.deeds = (*s.deeds, deed)[-DEEDS:]


def _undone(s: Draft, kind: DeedKind, subject: str = "", text: str | None = None) -> Deed | None:
    """Forgets the latest such deed, and returns it."""
    for place, deed in reversed(list(enumerate(s.deeds))):
        if deed.kind == kind and deed.subject == subject and text in (None, deed.text):
            s.deeds = (*s.deeds[:place], *s.deeds[place + 1 :])
            found: Deed = deed
            return found
    return None


# --- research as a whole ----------------------------------------------------------------------------------------------


def _paused(s: Draft, fact: op.ResearchPaused) -> None:
    booking.accrue(s, fact.at)
    s.pause = Pause(fact.at, fact.by, fact.reason)
    if fact.undoes:
        _undone(s, "resume")
    else:
        _did(s, Deed(at=fact.at, by=fact.by, kind="pause"))


def _resumed(s: Draft, fact: op.ResearchResumed) -> None:
    booking.accrue(s, fact.at)
    reason, s.pause = s.pause.reason if s.pause else "", None
    if fact.undoes:
        _undone(s, "pause")
    else:
        _did(s, Deed(at=fact.at, by=fact.by, kind="resume", text=reason))


def _note_withdrawn(s: Draft, fact: op.NoteWithdrawn) -> None:
    _undone(s, "note", text=fact.text)
    for place, note in reversed(list(enumerate(s.notes))):
        if (note.by, note.text) == (fact.by, fact.text):
            s.notes = (*s.notes[:place], *s.notes[place + 1 :])
            return


# --- the gate ---------------------------------------------------------------------------------------------------------


def _gate(s: Draft, fact: op.GateSet) -> None:
    waiting = tuple(wave.id for wave in s.waves.values() if wave.held)
    s.gate = fact.on
    _hold(s, fact.holds if fact.on else waiting, held=fact.on)
    if fact.undoes:
        _undone(s, "gate")
    else:
        _did(s, Deed(at=fact.at, by=fact.by, kind="gate", waves=() if fact.on else waiting))


def _hold(s: Draft, names: tuple[WaveId, ...], *, held: bool) -> None:
    for name in names:
        wave = s.waves.get(name)
        if wave is not None:
            s.own("waves")[name] = _replace(wave, held=held)


def _approved(s: Draft, fact: op.WaveApproved) -> None:
    wave = s.waves.get(fact.wave)
    if wave is not None and wave.held:
        _hold(s, (fact.wave,), held=False)
        _did(s, Deed(at=fact.at, by=fact.by, kind="approve", subject=fact.wave))


def _max_gpus(s: Draft, fact: op.MaxGpusSet) -> None:
    before, s.max_gpus = s.max_gpus.get(fact.gpu_type), fact.limits
    if not fact.by:
        s.max_gpus_given = fact.limits
    elif fact.undoes:
        _undone(s, "limit", fact.gpu_type)
    else:
        _did(s, Deed(at=fact.at, by=fact.by, kind="limit", subject=fact.gpu_type, limit=before))


# --- experiments ------------------------------------------------------------------------------------------------------


def _vetoed(s: Draft, fact: op.ExperimentVetoed) -> None:
    experiment = s.experiments.get(fact.experiment)
    if experiment is None or not experiment.is_open:
        return
    conclude(s, experiment.id, "vetoed", fact.reason, None)
    cut, stopped = tuple(run for run in experiment.runs if run in s.active), fact.run is not None
    closed = s.experiments[experiment.id]
    s.own("experiments")[experiment.id] = _replace(closed, cut=cut, stopped=stopped, vetoed_by=fact.by)
    if not stopped:
        _did(s, Deed(at=fact.at, by=fact.by, kind="veto", subject=experiment.id, before=experiment))


def _veto_withdrawn(s: Draft, fact: op.VetoWithdrawn) -> None:
    experiment, deed = s.experiments.get(fact.experiment), _undone(s, "veto", fact.experiment)
    if experiment is None or experiment.status != "vetoed":
        return
    before = deed.before if deed else None
    if before is None:
        reopen(s, experiment, reason="")
    elif before.status == "retest":
        reopen(s, experiment, status="retest", reason=before.reason, evidence=before.evidence)
    else:
        reopen(s, experiment, reason=before.reason, evidence=before.evidence)


def _promoted(s: Draft, fact: op.ExperimentPromoted) -> None:
    experiment = s.experiments.get(fact.experiment)
    if experiment is None:
        return
    if experiment.status == "discarded":
        finished = sum(is_told(s.runs[run]) for run in experiment.runs)
        reopen(s, experiment, status="retest", wanted=finished + MIN_RUNS, promoted=True)
    else:
        s.own("experiments")[experiment.id] = _replace(experiment, promoted=True)
    _did(s, Deed(at=fact.at, by=fact.by, kind="promote", subject=experiment.id, before=experiment))


def _promotion_withdrawn(s: Draft, fact: op.PromotionWithdrawn) -> None:
    experiment, deed = s.experiments.get(fact.experiment), _undone(s, "promote", fact.experiment)
    if experiment is None:
        return
    before = deed.before if deed and deed.before else _replace(experiment, promoted=False)
    s.own("experiments")[experiment.id] = _replace(experiment, promoted=before.promoted, wanted=before.wanted)
    _close_again(s, experiment.id, before)


def _rerun(s: Draft, fact: op.RerunRequested) -> None:
    """What is open and has no run that says anything waits for its first one: it needs no other."""
    before = s.experiments.get(fact.experiment)
    if before is None:
        return
    if before.status == "crashed" or (before.status == "vetoed" and before.stopped):
        reopen(s, before)
    if not s.experiments[before.id].is_open or any(_says(s, run) for run in before.runs):
        _count_rerun(s, before.id, 1)
    _did(s, Deed(at=fact.at, by=fact.by, kind="rerun", subject=before.id, before=before))


def _says(s: Draft, name: RunId) -> bool:
    run: Run = s.runs[name]
    if run.result is None:
        return not run.stopped_by
    return is_told(run) and not (run.result.outcome == "crashed" and run.stopped)


def _rerun_withdrawn(s: Draft, fact: op.RerunWithdrawn) -> None:
    deed = _undone(s, "rerun", fact.experiment)
    launched(s, fact.experiment)
    if deed is not None and deed.before is not None:
        _close_again(s, fact.experiment, deed.before)


def _count_rerun(s: Draft, name: ExperimentId, change: int) -> None:
    s.own("reruns")[name] = s.reruns.get(name, 0) + change
    if s.reruns[name] <= 0:
        del s.own("reruns")[name]


def _close_again(s: Draft, name: ExperimentId, before: Experiment) -> None:
    """With the verdict that it had, if it was opened for a deed that is undone."""
    now = s.experiments[name]
    if now.is_open and not before.is_open:
        close(s, now, before.status, reason=before.reason, evidence=before.evidence, stopped=before.stopped)
