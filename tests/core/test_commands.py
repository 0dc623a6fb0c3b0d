"""Commands: what is carried out, and what is refused with a sentence."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import commands
from core import events as ev
from core.commands import Note, Pause, Promote, Resume, Stop, Veto, decide, respond
from core.errors import Refused
from core.ids import CommandId, ExperimentId


def test_a_veto_of_an_open_experiment_is_recorded_with_who_and_why() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    (fact,) = decide(story.state, Veto(at=5.0, by="ada", experiment=name, reason="no"))
    assert fact == ev.ExperimentVetoed(at=5.0, experiment=name, by="ada", reason="no")


def test_a_finished_experiment_cannot_be_vetoed() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    story.judge(name, "discarded")
    with pytest.raises(Refused, match="e1 already finished: discarded"):
        decide(story.state, Veto(experiment=name))


def test_an_unknown_experiment_is_named_with_the_latest_there_is() -> None:
    with pytest.raises(Refused, match="no experiment e9; the latest is e0"):
        decide(Story().state, Veto(experiment=ExperimentId("e9")))


def test_a_discarded_experiment_is_promoted_to_another_look() -> None:
    story = Story().score(E0, 2.5, 2.5)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.6).judge(name, "discarded")
    (fact,) = decide(story.state, Promote(at=story.at, experiment=name))
    story.facts.append(fact)
    assert story.state.experiments[name].status == "retest"
    assert name in story.state.open
    assert story.state.counts["discarded"] == 0


@pytest.mark.parametrize("verdict", ["kept", "crashed"])
def test_what_is_kept_or_crashed_cannot_be_promoted(verdict: ev.FinalVerdict) -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    story.judge(name, verdict)
    with pytest.raises(Refused, match="only open or discarded"):
        decide(story.state, Promote(experiment=name))


def test_pausing_twice_and_resuming_what_runs_are_refused() -> None:
    story = Story()
    with pytest.raises(Refused, match="not paused"):
        decide(story.state, Resume())
    story.facts += decide(story.state, Pause(by="ada"))
    with pytest.raises(Refused, match="paused already, by ada"):
        decide(story.state, Pause())
    story.facts += decide(story.state, Resume())
    assert story.state.pause is None


def test_a_second_stop_is_refused_unless_it_is_more_urgent() -> None:
    story = Story()
    story.facts += decide(story.state, Stop(by="ada"))
    with pytest.raises(Refused, match="stopping already"):
        decide(story.state, Stop())
    assert decide(story.state, Stop(now=True))


@pytest.mark.parametrize("text", ["", "  \n", "x" * 5000])
def test_notes_have_text_and_a_limit(text: str) -> None:
    with pytest.raises(Refused):
        decide(Story().state, Note(text=text))


@pytest.mark.parametrize(
    "command", [Veto(experiment=E0), Promote(experiment=E0), Pause(), Resume(), Note(text="x"), Stop()]
)
def test_commands_round_trip(command: commands.Command) -> None:
    assert commands.decode(commands.encode(command)) == command


def test_a_stop_meant_for_an_engine_that_has_ended_does_not_stop_the_next() -> None:
    story = Story(at=2000.0)
    facts, answer = respond(story.state, 1, commands.encode(Stop(at=1999.0, by="ada")), at=2001.0, since=2000.0)
    assert facts == ()
    assert "has ended already" in answer
    facts, answer = respond(story.state, 1, commands.encode(Stop(at=2000.5, by="ada")), at=2001.0, since=2000.0)
    assert facts == (ev.StopRequested(at=2001.0, cause=CommandId("c1"), by="ada"),)
    assert answer == ""


@pytest.mark.parametrize("body", [b"", b"rubbish", b'{"kind":"Explode"}', b"[]", 7])
def test_a_row_that_is_no_command_is_answered_and_changes_nothing(body: bytes) -> None:
    facts, answer = respond(Story().state, 1, body, at=0.0)
    assert facts == ()
    assert answer.startswith("This is not a command")
