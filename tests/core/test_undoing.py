"""Undo: the last own command that can still be undone, and what is past undoing."""

from __future__ import annotations

import msgspec
import pytest
from story import E0, Story

from core import events as ev
from core.commands import (
    Approve,
    Command,
    Gate,
    Note,
    Pause,
    Promote,
    Rerun,
    Resume,
    Stop,
    StopRun,
    Undo,
    Veto,
    refusal,
    undoable,
)
from core.ids import ExperimentId, WaveId
from core.operating import DEEDS
from core.state import State
from core.views import held

E1, W1 = ExperimentId("e1"), WaveId("w1")


def what(story: Story, by: str = "ada") -> str:
    found = undoable(story.state, by)
    return found[0] if found else ""


def bare(state: State) -> State:
    """Without what every fact leaves behind."""
    return msgspec.structs.replace(state, seq=0, counts={name: count for name, count in state.counts.items() if count})


def discarded() -> Story:
    story = Story().score(E0, 2.5, 2.51, 2.49)
    (name,) = story.wave({"DEPTH": "2"})
    return story.score(name, 2.6).judge(name, "discarded")


def proposed() -> Story:
    story = Story().score(E0, 2.5)
    story.wave({"DEPTH": "2"})
    return story


@pytest.mark.parametrize(
    ("command", "description"),
    [
        (Veto(experiment=E1), "veto of e1"),
        (Promote(experiment=E1), "promotion of e1"),
        (Pause(), "pause"),
        (Gate(on=True), "approval gate"),
        (Note(text="mind the depth"), "note"),
        (Rerun(experiment=E0), "rerun of e0"),
    ],
)
def test_what_is_undone_leaves_the_state_as_it_was(command: Command, description: str) -> None:
    story = proposed()
    before = story.state
    story.order(command)
    assert story.state != before
    assert what(story) == description
    assert bare(story.order(Undo()).state) == bare(before)
    assert what(story) == ""


@pytest.mark.parametrize(("command"), [Promote(experiment=E1), Rerun(experiment=E1)])
def test_a_discarded_experiment_is_discarded_again(command: Command) -> None:
    story = discarded()
    before = story.state
    assert bare(story.order(command).order(Undo()).state) == bare(before)


def test_the_verdict_of_a_crash_is_back_when_its_rerun_is_undone() -> None:
    story = proposed()
    story.crash(story.start(E1)).judge(E1, "crashed")
    before = story.state
    assert bare(story.order(Rerun(experiment=E1)).order(Undo()).state) == bare(before)


def test_a_veto_of_what_runs_is_undone_and_it_runs_again() -> None:
    story = proposed()
    run = story.start(E1)
    story.order(Veto(experiment=E1)).order(Undo())
    assert story.state.experiments[E1].status == "running"
    story.cancel(run)  # it was on its way
    assert story.state.experiments[E1].status == "proposed"
    assert E1 in story.state.open


def test_a_run_that_a_veto_cut_off_is_booked_anew_when_the_veto_is_undone() -> None:
    story = proposed()
    run, before = story.start(E1), story.state.booked["training"]
    story.order(Veto(experiment=E1)).finish(run, 2.4)
    assert story.state.booked["vetoed"] == pytest.approx(10)
    story.order(Undo())
    assert story.state.booked["vetoed"] == 0
    assert story.state.booked["training"] == pytest.approx(before + 8.5)


def test_resuming_is_undone_with_the_reason_of_the_pause() -> None:
    story = Story().order(Pause(reason="lunch")).order(Resume()).order(Undo())
    assert story.state.pause is not None
    assert story.state.pause.reason == "lunch"
    story.order(Undo())
    assert story.state.pause is None, "and then the pause itself"


def test_turning_the_gate_off_is_undone_and_what_waited_waits_again() -> None:
    story = Story().order(Gate(on=True))
    story.wave({"DEPTH": "2"})
    story.order(Gate(on=False)).order(Undo())
    assert held(story.state) == (W1,)


def test_an_approval_is_undone_until_an_experiment_of_the_wave_is_launched() -> None:
    story = Story().order(Gate(on=True))
    story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.order(Approve(wave=W1)).order(Undo())
    assert held(story.state) == (W1,)
    story.order(Approve(wave=W1)).start(E1)
    assert what(story) == "approval gate"


def test_commands_are_undone_backwards_one_by_one() -> None:
    story = proposed().order(Note(text="a")).order(Promote(experiment=E1)).order(Veto(experiment=E1))
    undone = []
    while what(story):
        undone.append(what(story))
        story.order(Undo())
    assert undone == ["veto of e1", "promotion of e1", "note"]
    assert refusal(story.state, Undo(by="ada")) == "There is nothing of ada that can still be undone."


def test_nobody_undoes_what_somebody_else_did() -> None:
    story = proposed().order(Veto(experiment=E1), by="bob")
    assert (what(story, "ada"), what(story, "bob")) == ("", "veto of e1")


def test_a_switch_that_somebody_moved_since_stays() -> None:
    story = Story().order(Pause(), by="ada").order(Resume(), by="bob").order(Pause(), by="bob")
    assert what(story, "ada") == ""
    assert what(story, "bob") == "pause"


def test_a_note_that_the_researcher_has_read_is_past_undoing() -> None:
    story = Story().order(Note(text="mind the depth"))
    assert what(story) == "note"
    story.tell(ev.WaveAsked, slots=2)
    assert what(story) == ""
    assert [note.text for note in story.state.notes] == ["mind the depth"]


def test_of_two_notes_the_later_is_undone_first() -> None:
    story = Story().order(Note(text="a")).order(Note(text="b")).order(Undo())
    assert [note.text for note in story.state.notes] == ["a"]


def test_a_rerun_that_is_launched_and_a_promotion_that_ran_are_past_undoing() -> None:
    story = proposed().order(Promote(experiment=E1)).order(Rerun(experiment=E0))
    story.start(E1)
    assert what(story) == "rerun of e0"
    story.start(E0, gpu=1)
    assert what(story) == ""


def test_stopping_a_run_or_the_engine_cannot_be_undone() -> None:
    story = proposed()
    story.order(StopRun(run=story.start(E1))).order(Stop())
    assert what(story) == ""


def test_only_the_latest_commands_are_remembered() -> None:
    story = Story()
    for number in range(DEEDS + 10):
        story.order(Note(text=str(number)))
    assert len(story.state.deeds) == DEEDS
