"""The ledger: every GPU-second once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import E0, Story

from core import events as ev
from core.ledger import ledger


def test_a_run_is_split_into_start_up_training_and_evaluation() -> None:
    story = Story(gpus=1)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 2.0)
    spent = ledger(story.state, story.at)
    assert spent["start-up"] == pytest.approx(0.5)
    assert spent["evaluation"] == pytest.approx(1.0)
    assert spent["training"] == pytest.approx(8.5)
    assert spent["idle"] == pytest.approx(0.0)


def test_a_trainer_that_reports_only_its_training_time_is_split_by_its_first_progress() -> None:
    story = Story(gpus=1)
    (name,) = story.wave({"DEPTH": "2"})
    run = story.start(name)
    story.wait(3.0).tell(ev.RunProgressed, run=run, step=1)
    story.wait(30.0).tell(ev.RunEnded, run=run, outcome="finished", val_bpb=2.0, training_s=25.0)
    spent = ledger(story.state, story.at)
    found = [spent[name] for name in ("start-up", "training", "evaluation")]
    assert found == pytest.approx([3.0, 25.0, 5.0])


@given(
    st.lists(st.tuples(st.sampled_from(["finish", "crash", "veto", "idle", "kill"]), st.floats(0.1, 50)), max_size=15)
)
def test_the_columns_sum_to_the_gpu_time_at_hand(steps: list[tuple[str, float]]) -> None:
    story, with_engine, apart = Story(gpus=2), 0.0, 0.0
    for step, seconds in steps:
        if step == "idle":
            story.wait(seconds).tell(ev.NoteAdded, by="a", text="tick")
        elif step == "kill":
            run = story.start(E0, purpose="replicate")
            story.wait(seconds).engine().tell(ev.RunEnded, run=run, outcome="finished", val_bpb=2.0)
            apart += seconds
            continue
        elif step == "finish":
            story.finish(story.start(E0), 2.0, seconds=seconds)
        else:
            run = story.start(E0)
            story.wait(seconds)
            story.tell(ev.RunEnded, run=run, outcome="crashed" if step == "crash" else "cancelled")
        with_engine += seconds
    spent = ledger(story.state, story.at)
    assert sum(spent.values()) == pytest.approx(2 * with_engine + apart)
    assert min(spent.values()) >= 0


def test_a_run_that_goes_on_is_booked_as_running_until_it_ends() -> None:
    story = Story(gpus=2)
    story.start(E0)
    story.wait(7)
    assert ledger(story.state, story.at)["running"] == pytest.approx(7)
    assert ledger(story.state, story.at)["idle"] == pytest.approx(7)
