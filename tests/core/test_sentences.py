"""Every wish that is granted, taken back or refused is told in a sentence that names who and what."""

from __future__ import annotations

import pytest

from core import events as ev
from core.ids import ExperimentId, RunId, WaveId
from core.operated import OperatorFact
from core.state import State
from core.telling import line

E4, R4, W2 = ExperimentId("e4"), RunId("e4-1"), WaveId("w2")

TOLD: list[tuple[ev.Known, str]] = [
    (ev.RerunRequested(at=0, experiment=E4, by="ada"), "e4 is run once more for ada"),
    (ev.RerunWithdrawn(at=0, experiment=E4, by="ada"), "e4 is not run once more: undone by ada"),
    (ev.RunStopRequested(at=0, run=R4, by="ada", reason="hangs"), "e4-1 is stopped for ada: hangs"),
    (ev.VetoWithdrawn(at=0, experiment=E4, by="ada"), "e4 is open again: ada took the veto back"),
    (ev.PromotionWithdrawn(at=0, experiment=E4, by="ada"), "e4 waits its turn: ada took the promotion back"),
    (ev.NoteWithdrawn(at=0, by="ada", text="depth"), "note taken back by ada: depth"),
    (ev.GateSet(at=0, on=True, by="ada"), "new waves wait for approval from now on (ada)"),
    (ev.GateSet(at=0, on=False, by="ada"), "new waves need no approval from now on (ada)"),
    (ev.WaveApproved(at=0, wave=W2, by="ada"), "w2 approved by ada"),
    (ev.ApprovalWithdrawn(at=0, wave=W2, by="ada"), "w2 waits again: ada took the approval back"),
    (
        ev.ExecutorLost(at=0, reason="no route"),
        "the executor cannot be reached: no route; nothing is decided until it can",
    ),
    (ev.ExecutorFound(at=0), "the executor can be reached again"),
    (ev.PricesSet(at=0, gpu_usd_hour={"H100": 2.5}), "prices: H100 $2.5/h"),
    (
        ev.MaxGpusSet(at=0, limits={"H100": 12}, gpu_type="H100", by="ada"),
        "at most 12 × H100 from now on (ada); what runs beyond that finishes",
    ),
    (ev.MaxGpusSet(at=0, limits={}, gpu_type="H100", by="ada"), "H100 has no limit any more (ada)"),
    (ev.MaxGpusSet(at=0, limits={"H100": 12, "H200": 0}), "at most 12 × H100, 0 × H200 in use or waited for"),
    (ev.MaxGpusSet(at=0, limits={}), "no limit of GPUs"),
    (ev.ReadySet(at=0, gpus_each=4), "one run waits ready for every 4 GPUs of a type, at least one"),
    (ev.RunWaiting(at=0, run=R4, reason="no GPU is free"), ""),
    (ev.RunWaiting(at=0, run=R4, reason="its image is gone", needs_a_person=True), "e4-1 waits: its image is gone"),
    (ev.CommandRefused(at=0, by="ada", command="stop run", reason="No."), "stop run refused: No."),
    (ev.StopRequested(at=0, by="ada"), "stopping for ada: running jobs finish first"),
    (ev.ResearchPaused(at=0, by="ada"), "paused by ada; running jobs finish"),
    (ev.ResearchResumed(at=0, by="ada"), "resumed by ada"),
    (ev.NoteAdded(at=0, by="ada", text="x"), "note by ada: x"),
    (ev.ExperimentVetoed(at=0, experiment=E4, by="ada"), "e4 ⊘ vetoed by ada"),
    (ev.ExperimentPromoted(at=0, experiment=E4, by="ada"), "e4 promoted by ada"),
]


@pytest.mark.parametrize(("fact", "sentence"), TOLD, ids=lambda each: type(each).__name__)
def test_it_is_told(fact: ev.Known, sentence: str) -> None:
    assert line(fact, State()) == sentence


def test_no_fact_of_operators_is_left_out() -> None:
    assert {type(fact) for fact, _ in TOLD} >= set(OperatorFact.__args__)
