"""What ":" commands are heard as."""

from __future__ import annotations

from typing import Any

import pytest
from tapes import crossed

from core.fold import fold
from core.ids import ExperimentId, WaveId
from core.state import Pause, State
from tui.actions import BY_ID
from tui.moment import Moment
from tui.spoken import ALIASES, VERBS, Heard, hear, offers

THEMES = ("night", "day", "contrast")
STATE = fold(State(), crossed())


def moment(**fields: Any) -> Moment:
    return Moment(**{"state": STATE, "mode": "live", "now": STATE.at, "selected": "e6", "wave": "w1", **fields})


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("", Heard()),
        (":", Heard()),
        ("e4", Heard(action="dashboard", experiment=ExperimentId("e4"))),
        (":E4-1", Heard(action="dashboard", experiment=ExperimentId("e4"))),
        ("w1", Heard(action="dashboard", wave=WaveId("w1"))),
        ("veto e6", Heard(action="veto", experiment=ExperimentId("e6"))),
        ("veto e6 too  slow", Heard(action="veto", experiment=ExperimentId("e6"), text="too  slow")),
        ("veto", Heard(action="veto")),
        ("veto far too slow", Heard(action="veto", text="far too slow")),
        ("kill e6", Heard(action="stop_run", experiment=ExperimentId("e6"))),
        ("pause night shift", Heard(action="pause", text="night shift")),
        ("steer try a larger batch", Heard(action="steer", text="try a larger batch")),
        ("gate on", Heard(action="gate")),
        ("experiments verdict:kept DEPTH=8", Heard(action="experiments", text="verdict:kept DEPTH=8")),
        ("effects w1", Heard(action="effects", wave=WaveId("w1"))),
        ("effects", Heard(action="effects")),
        ("log e6", Heard(action="log", experiment=ExperimentId("e6"))),
        ("theme day", Heard(theme="day")),
        ("seek 50%", Heard(action="seek", text="50%")),
        ("q", Heard(action="leave")),
        ("q!", Heard(action="stop_engine")),
        ("fl", Heard(action="fleet")),
    ],
)
def test_what_is_said_is_heard(said: str, heard: Heard) -> None:
    assert hear(said, moment(), THEMES) == heard


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("vteo e6", "There is no :vteo; did you mean :veto?"),
        ("zzz", "There is no :zzz; :help shows what there is."),
        ("re", "could be :rerun or :resume or :researcher"),
        ("e99", "There is no experiment e99; the latest is e8."),
        ("w99", "There is no wave w99; the latest is w1."),
        ("veto e99", "There is no experiment e99"),
        ("promote 42", "42 is no experiment; write it like :promote e42."),
        ("promote e6 now", ":promote takes one experiment"),
        ("effects e6", "e6 is no wave"),
        ("gate maybe", ":gate is on or off, not maybe."),
        ("gate off", "The approval gate is off already."),
        ("resume", "Research is not paused."),
        ("steer", ":steer needs what to tell it"),
        ("undo e6", ":undo takes nothing behind it."),
        ("theme dya", "did you mean day?"),
        ("theme", "there are night, day, contrast."),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(said: str, sentence: str) -> None:
    heard = hear(said, moment(), THEMES)
    assert sentence in heard.wrong
    assert heard.action == ""


def test_pausing_twice_is_said_and_resuming_is_the_same_action() -> None:
    paused = moment(state=fold_paused())
    assert hear("pause", paused).wrong == "Research is paused already."
    assert hear("resume", paused) == Heard(action="pause")


def fold_paused() -> State:
    import msgspec

    return msgspec.structs.replace(STATE, pause=Pause(STATE.at, "ada", ""))


def test_hostile_words_come_back_safe() -> None:
    for said in ("\x1b[31mred", "‮evil", "x" * 100_000, "\udcff", "theme \x1b]0;t\x07", "gate \x9b2J", "veto [/b]"):
        wrong = hear(said, moment(selected=None), THEMES).wrong
        assert wrong.isprintable()
        assert 0 < len(wrong) < 200


def test_every_verb_is_an_action_of_the_table() -> None:
    assert {verb.action for verb in VERBS.values()} - {"theme"} <= set(BY_ID)
    assert set(ALIASES.values()) <= set(VERBS)
    assert not set(ALIASES) & set(VERBS)


def test_every_action_of_the_research_group_can_be_said() -> None:
    research = {action.id for action in BY_ID.values() if action.group == "research"}
    research.remove("veto_because")  # a reason stands behind ":veto e42"
    assert research <= {verb.action for verb in VERBS.values()}


def test_completion_offers_verbs_then_what_they_are_about() -> None:
    assert [offer.text for offer in offers("ve", moment())] == ["veto"]
    assert [offer.text for offer in offers("veto ", moment())][:2] == ["veto e6", "veto e8"]
    assert "running" in offers("veto e6", moment())[0].note
    assert [offer.text for offer in offers("theme d", moment(), THEMES)] == ["theme day"]
    assert offers("effects ", moment())[0].text == "effects w1"
    assert offers("nothing ", moment()) == []


def test_completion_says_why_something_is_impossible() -> None:
    (offer,) = offers("appr", moment())
    assert offer.note == "No wave waits for approval."
    (offer,) = offers("veto", moment(mode="playback"))
    assert offer.note == "This is a recording: it can be watched, not changed."


def test_a_read_only_window_does_not_offer_commands() -> None:
    assert offers("veto", moment(read_only=True)) == []
