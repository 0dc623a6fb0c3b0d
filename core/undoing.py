"""What an operator may take back now: the last own deed that can still be undone, with the fact that undoes it.

Not everything can: a run that is stopped has lost its time, a note that the researcher has read is read, and a switch
that somebody moved since stays where they put it. Pure.
"""

from __future__ import annotations

from core import operated as op
from core.ids import ExperimentId, WaveId
from core.state import Deed, DeedKind, Experiment, State

SWITCHES: dict[DeedKind, tuple[DeedKind, ...]] = {
    "pause": ("pause", "resume"),
    "resume": ("pause", "resume"),
    "gate": ("gate",),
}
WORDS: dict[DeedKind, str] = {
    "veto": "veto of",
    "promote": "promotion of",
    "rerun": "rerun of",
    "pause": "pause",
    "resume": "resume",
    "gate": "approval gate",
    "approve": "approval of",
    "note": "note",
    "limit": "limit of",
}


def undoable(state: State, by: str) -> tuple[str, tuple[op.OperatorFact, ...]] | None:
    """("veto of e42", the facts that undo it, timed as the latest fact); None if nothing of `by` can be undone."""
    for place in reversed(range(len(state.deeds))):
        deed = state.deeds[place]
        if deed.by == by and not _is_overtaken(state, place):
            fact = _withdrawal(state, deed)
            if fact is not None:
                return f"{WORDS[deed.kind]} {deed.subject}".strip(), (fact,)
    return None


def _is_overtaken(state: State, place: int) -> bool:
    """Whether the same switch was moved since, or the same thing done to the same subject."""
    deed = state.deeds[place]
    kinds = SWITCHES.get(deed.kind, (deed.kind,))
    later = state.deeds[place + 1 :]
    return deed.kind != "note" and any(other.kind in kinds and other.subject == deed.subject for other in later)


def _withdrawal(state: State, deed: Deed) -> op.OperatorFact | None:
    at, by = state.at, deed.by
    match deed.kind:
        case "pause":
            return op.ResearchResumed(at=at, by=by, undoes=True)
        case "resume":
            return op.ResearchPaused(at=at, by=by, reason=deed.text, undoes=True)
        case "gate":
            return op.GateSet(at=at, by=by, on=not state.gate, undoes=True, holds=deed.waves)
        case "note":
            return op.NoteWithdrawn(at=at, by=by, text=deed.text)
        case "approve":
            return _approval(state, deed)
        case "limit":
            limits = limited(state.max_gpus, deed.subject, deed.limit)
            return op.MaxGpusSet(at=at, by=by, limits=limits, gpu_type=deed.subject, undoes=True)
        case _:
            return _of_experiment(state, deed)


def limited(limits: dict[str, int], gpu_type: str, limit: int | None) -> dict[str, int]:
    """The limits, with another one for this type; None: it has none."""
    others = {kind: most for kind, most in limits.items() if kind != gpu_type}
    return others if limit is None else {**others, gpu_type: limit}


def _approval(state: State, deed: Deed) -> op.OperatorFact | None:
    """While none of its experiments was launched."""
    wave = state.waves.get(WaveId(deed.subject))
    if not state.gate or wave is None or any(state.experiments[name].runs for name in wave.experiments):
        return None
    return op.ApprovalWithdrawn(at=state.at, wave=wave.id, by=deed.by)


def _of_experiment(state: State, deed: Deed) -> op.OperatorFact | None:
    now, before = state.experiments.get(ExperimentId(deed.subject)), deed.before
    if now is None or before is None:
        return None
    if deed.kind == "veto":
        return op.VetoWithdrawn(at=state.at, experiment=now.id, by=deed.by) if now.status == "vetoed" else None
    if len(now.runs) > len(before.runs):
        return None  # launched since
    if deed.kind == "promote":
        is_in_force = now.is_open and now.promoted
        return op.PromotionWithdrawn(at=state.at, experiment=now.id, by=deed.by) if is_in_force else None
    return op.RerunWithdrawn(at=state.at, experiment=now.id, by=deed.by) if _waits(state, now, before) else None


def _waits(state: State, now: Experiment, before: Experiment) -> bool:
    """For a run that was wished for."""
    return now.id in state.reruns or (now.is_open and not before.is_open)
