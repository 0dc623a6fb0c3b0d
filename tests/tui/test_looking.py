"""What is selected does not move while somebody reads it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from moments import moment
from story import E0, Story

from core.ids import ExperimentId, WaveId
from tui.looking import Eye, beside
from tui.moment import Moment, Tape


def story() -> tuple[Story, Sequence[ExperimentId]]:
    made = Story(gpus=2)
    made.score(E0, 1.0, 1.001)
    return made, made.wave({"DEPTH": "2"}, {"DEPTH": "3"})


def shown(eye: Eye, before: Moment) -> Moment:
    wave, selected = eye.at(before)
    return msgspec.structs.replace(before, wave=wave, selected=selected)


def then(before: Moment, made: Story) -> Moment:
    return msgspec.structs.replace(before, state=made.state)


def test_an_open_experiment_in_view_stays_when_a_new_wave_comes() -> None:
    made, names = story()
    eye = Eye()
    first = shown(eye, moment(made.state))
    made.wave({"DEPTH": "6"})
    second = shown(eye, then(first, made))
    assert (second.wave, second.selected) == ("w1", names[0])
    made.score(names[0], 1.1).judge(names[0], "discarded")
    third = shown(eye, then(second, made))
    assert (third.wave, third.selected) == ("w2", "e3")  # what follows follows again


def test_right_after_a_key_a_judged_one_stays_too() -> None:
    made, names = story()
    eye = Eye()
    first = shown(eye, moment(made.state))
    made.wave({"DEPTH": "6"})
    made.score(names[0], 1.1).judge(names[0], "discarded")
    eye.touch()
    second = shown(eye, then(first, made))
    assert (second.wave, second.selected) == ("w1", names[0])


def test_the_wave_in_view_stays_with_what_was_chosen_until_one_turns_to_the_latest() -> None:
    made, names = story()
    eye = Eye()
    first = shown(eye, moment(made.state))
    eye.choose(names[1], first)
    made.score(names[0], 1.1).judge(names[0], "discarded")
    made.score(names[1], 1.1).judge(names[1], "discarded")
    made.wave({"DEPTH": "6"})
    second = shown(eye, then(first, made))
    assert (second.wave, second.selected) == ("w1", names[1])
    turned = beside(second, 1)
    assert turned is not None
    eye.turn(turned.wave, second.state)
    assert shown(eye, second).wave == "w2"
    assert eye.wave is None


def test_in_playback_a_new_wave_comes_into_view() -> None:
    made, _ = story()
    tape = Tape(position=1, length=9, at=0, begins=0, ends=9, playing=True, speed=1, idle_s=1)
    eye = Eye()
    first = shown(eye, moment(made.state, tape=tape))
    made.wave({"DEPTH": "6"})
    assert shown(eye, then(first, made)).wave == WaveId("w2")


def test_there_is_no_wave_beyond_the_last() -> None:
    made, _ = story()
    assert beside(moment(made.state), 1) is None
