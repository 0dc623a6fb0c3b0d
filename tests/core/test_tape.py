"""The tape in memory: any position is the fold of what was before, however many blocks and key frames there are."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import E0, Story

from core import events as ev
from core import tape as tapes
from core.fold import fold
from core.recording import Block
from core.state import State
from core.tape import Tape


def told() -> Story:
    story = Story().score(E0, 2.5, 2.5)
    for depth in range(30):
        (name,) = story.wave({"DEPTH": str(depth + 5)})
        story.wait(-3).score(name, 2.4 + depth / 100).judge(name, "discarded")
    return story


STORY = told()


def taped(size: int) -> Tape:
    tape, facts = Tape(), list(STORY.facts)
    for start in range(0, len(facts), size):
        part = facts[start : start + size]
        tape.add(Block([ev.encode(fact) for fact in part], [*part]))
    return tape


TAPES = {size: taped(size) for size in (1, 2, 7, 1000)}


@given(st.sampled_from(sorted(TAPES)), st.integers(0, len(STORY.facts)), st.integers(0, len(STORY.facts)))
def test_a_state_is_the_fold_of_a_prefix_wherever_one_comes_from(size: int, position: int, near: int) -> None:
    tape = TAPES[size]
    state = tape.state_at(position, fold(State(), STORY.facts[:near]))
    assert state == fold(State(), STORY.facts[:position])


def test_key_frames_stay_few_and_close() -> None:
    tape = TAPES[1]
    assert len(tape._key_frames) <= tapes.MOST_KEY_FRAMES + 1
    furthest = max(tape.distance(position, State()) for position in range(len(tape)))
    assert furthest <= 2 * len(tape) / tapes.MOST_KEY_FRAMES + 1


def test_times_never_fall() -> None:
    assert all(list(tape.times) == sorted(tape.times) for tape in TAPES.values())
    assert TAPES[1].times == TAPES[1000].times
    assert [fact.at for fact in STORY.facts] != sorted(fact.at for fact in STORY.facts), "the story goes back in time"


def test_facts_are_those_between_two_positions() -> None:
    dice = random.Random(0)
    for tape in TAPES.values():
        begin, end = sorted(dice.choices(range(len(tape) + 1), k=2))
        assert tape.facts(begin, end) == STORY.facts[begin:end]


def test_marks_back_and_forth() -> None:
    tape = TAPES[7]
    first = tape.next_mark("wave", 0, back=False)
    second = tape.next_mark("wave", first, back=False)
    assert 0 < first < second
    assert tape.next_mark("wave", second, back=True) == first
    assert tape.next_mark("kept", 0, back=False) == len(tape)
    assert tape.next_mark("kept", len(tape), back=True) == 0


def test_what_windows_remember_is_found_for_every_position() -> None:
    rare = (ev.EngineStarted, ev.FleetSeen, ev.WavePlanned)
    for tape in TAPES.values():
        for end in (0, 1, 4, 50, len(tape)):
            assert tape.rare(end) == [fact for fact in STORY.facts[:end] if isinstance(fact, rare)]


def test_of_very_many_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, whole = TAPES[7], TAPES[7].rare(len(STORY.facts))
    monkeypatch.setattr(tapes, "RARE_BYTES", 1000)
    found = tape.rare(len(STORY.facts))
    assert 0 < len(found) < len(whole)
    assert found == whole[-len(found) :]
