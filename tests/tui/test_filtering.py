"""The language of filters, and the order of what passes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import E0, Story
from tapes import crossed

from core import events as ev
from core.fold import fold
from core.ids import ExperimentId, WaveId, run_id
from core.patch import Change, Edit
from core.state import State
from tui.filtering import FilterError, matches, parse, readable
from tui.ordering import KEYS, Ordering

STATE = fold(State(), crossed())  # e1 e2 discarded, e3 crashed, e4 kept, e5 vetoed, e6 e7 running, e8 proposed


def found(text: str, state: State = STATE) -> str:
    chosen = parse(text)
    return " ".join(name for name, each in state.experiments.items() if matches(chosen, state, each))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "e0 e1 e2 e3 e4 e5 e6 e7 e8"),
        ("verdict:kept", "e0 e4"),
        ("verdict:kept,crashed", "e0 e3 e4"),
        ("status:run", "e6 e7"),
        ("is:open", "e6 e7 e8"),
        ("-is:open", "e0 e1 e2 e3 e4 e5"),
        ("wave:1", "e1 e2 e3 e4 e5 e6 e7 e8"),
        ("wave:w2", ""),
        ("gpu:h1 -verdict:kept -is:open", "e1 e2 e3"),
        ("bpb<1", "e4"),
        ("bpb>=1.0056 -e0", "e1 e2"),
        ("bpb=1.0056", "e2"),
        ("runs>=2", "e0 e4"),
        ("DEPTH=8", "e6 e7 e8"),
        ("DEPTH:8", "e6 e7 e8"),
        ("DEPTH=4", "e0 e4 e5"),
        ("DEPTH!=4", "e1 e2 e3 e6 e7 e8"),
        ("MATRIX_LR>0.05", "e3 e5 e8"),
        ("TOTAL_BATCH_SIZE=16384 DEPTH<4", "e1 e2 e3"),
        ("NO_SUCH=1", ""),
        ("as FOUND", "e0"),
        ('"as found"', "e0"),
        ('-"as found" verdict:kept', "e4"),
        ("id:e3 or id:4", "e3 e4"),
        ("verdict:kept or verdict:crashed DEPTH=2", "e0 e3 e4"),
        ("(verdict:kept or verdict:crashed) DEPTH=2", "e3"),
        ("-(verdict:kept or is:open)", "e1 e2 e3 e5"),
        ("VERDICT:kept", "e0 e4"),
    ],
)
def test_a_filter_finds(text: str, names: str) -> None:
    assert found(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bpb<", "bpb< needs a number, as in bpb<0.98."),
        ("bpb<much", "needs a number"),
        ("verdict:great", 'There is no verdict "great"'),
        ("colour:red", 'There is no field "colour"'),
        ("gpu<3", "gpu is no number"),
        ("wave:", "Say which after wave:"),
        ("DEPTH=", "Say which value after DEPTH="),
        ("DEPTH>big", "DEPTH> needs a number"),
        ('"open', "A quote is not closed"),
        ("(kept", "A parenthesis is not closed"),
        ("kept)", "A parenthesis is closed that was not opened"),
        ("a or", "Something is missing"),
        ("or a", "Something is missing"),
        ("()", "Something is missing"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(FilterError) as error:
        parse(text)
    assert said in str(error.value)
    assert str(error.value).endswith(".")


def test_words_before_the_one_that_cannot_be_read_still_narrow() -> None:
    chosen, error = readable("wave:1 is:open bpb<")
    assert chosen.text == "wave:1 is:open"
    assert error.startswith("bpb<")
    assert readable("is:open")[1] == ""


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_filter_or_a_sentence(text: str) -> None:
    try:
        chosen = parse(text)
    except FilterError:
        return
    for each in STATE.experiments.values():
        matches(chosen, STATE, each)


def test_a_constant_is_known_through_parents_and_edits() -> None:
    story = Story()
    first = story.wave({"DEPTH": "6"})[0]
    story.score(first, 0.9).judge(first, "kept").move(first)
    second = story.wave({"MATRIX_LR": "0.01"})[0]
    third = story.edit(Edit("DEPTH = 6  # layers", "DEPTH = 2**4  # layers"), "deeper")
    assert found("DEPTH=6", story.state) == f"{first} {second}"
    assert found("DEPTH>=16", story.state) == third


def test_texts_and_tuples_compare_as_they_are_written() -> None:
    story = Story(source='WINDOW_PATTERN = "SSSL"\nADAM_BETAS = (0.8, 0.95)\nprint("val_bpb:")\n')
    name = story.wave({"WINDOW_PATTERN": '"L"'})[0]
    assert found("WINDOW_PATTERN=SSSL", story.state) == "e0"
    assert found('WINDOW_PATTERN="L"', story.state) == name
    assert found("ADAM_BETAS=(0.8,0.95)", story.state) == f"e0 {name}"


def test_order_is_by_value_and_what_has_none_is_last() -> None:
    order = Ordering()
    every = parse("")
    assert order.update(STATE, every, "bpb")[:4] == ("e4", "e0", "e2", "e1")
    assert order.update(STATE, every, "bpb", downward=True)[:4] == ("e1", "e2", "e0", "e4")
    assert order.update(STATE, every, "id", downward=True)[0] == "e8"
    assert order.update(STATE, every, "state")[:2] == ("e6", "e7")
    for column in KEYS:
        assert sorted(order.update(STATE, every, column)) == sorted(STATE.experiments)


def test_the_same_state_answers_the_same_object_and_a_newer_one_what_changed() -> None:
    order, chosen = Ordering(), parse("bpb<1.005")
    first = order.update(STATE, chosen, "bpb")
    assert order.update(STATE, chosen, "bpb") is first
    run = run_id(ExperimentId("e6"), 1)
    newer = fold(STATE, [ev.RunEnded(at=STATE.at + 1, run=run, outcome="finished", val_bpb=0.9)])
    assert order.update(newer, chosen, "bpb") == ("e6", *first)
    assert order.update(STATE, chosen, "bpb") == first  # wound back


def test_a_run_that_starts_leaves_the_queued_though_its_experiment_is_the_same() -> None:
    story = Story(gpu_type="H100")
    name = story.wave({"DEPTH": "8"})[0]
    run = run_id(name, 1)
    story.tell(ev.RunRequested, run=run, experiment=name, gpu_type="H100", seed=1)
    queued, order, chosen = story.state, Ordering(), parse("status:queued")
    assert order.update(queued, chosen) == (name,)
    started = story.tell(ev.RunStarted, run=run, gpu=story.gpus[0].id).state
    assert started.experiments[name] is queued.experiments[name]
    assert order.update(started, chosen) == ()
    assert order.update(started, parse("status:running")) == (name,)


def test_ten_thousand_are_filtered_and_kept_in_order_quickly() -> None:
    state = fold(Story().state, _many(10_000))
    chosen, order = parse("DEPTH>4 -verdict:crashed 7"), Ordering()
    order.update(state, chosen, "title")
    assert _quickest(lambda: [matches(chosen, state, each) for each in state.experiments.values()]) < 0.03
    newer = [_vetoed(state, number) for number in (7, 17, 27)]
    assert _quickest(lambda: order.update(newer.pop(), chosen, "title")) < 0.02
    assert _quickest(lambda: order.update(order._state, chosen, "title")) < 0.0005


def _vetoed(state: State, number: int) -> State:
    return fold(state, [ev.ExperimentVetoed(at=3e6, experiment=ExperimentId(f"e{number}"), by="ada", reason="")])


def _many(count: int) -> list[ev.Fact]:
    return [ev.WavePlanned(at=2e6, wave=WaveId("w1"), parent=E0, reason=""), *map(_proposed, range(1, count + 1))]


def _proposed(number: int) -> ev.ExperimentProposed:
    return ev.ExperimentProposed(
        at=2e6,
        experiment=ExperimentId(f"e{number}"),
        wave=WaveId("w1"),
        parent=E0,
        change=Change(settings={"DEPTH": str(number % 12)}),
        digest=str(number),
        title=f"try {number}",
    )


def _quickest(call: Callable[[], object], times: int = 3) -> float:
    took = []
    for _ in range(times):
        started = time.process_time()
        call()
        took.append(time.process_time() - started)
    return min(took)
