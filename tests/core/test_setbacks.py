"""Runs that are lost as soon as they are launched: they are tried again later and later, and no experiment pays."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.ids import RunId
from core.looks import AFTER_S, next_look
from core.policy import Launch, plan
from core.setbacks import AT_ONCE_S, FIRST_S, LONGEST_S, moments
from core.state import Run
from core.telling import hindrances
from core.verdict import Rules, Wait, judge

RULES = Rules(replicates=False)


def measured(gpus: int = 4) -> Story:
    story = Story(gpus=gpus, gpu_type="H100").score(E0, 2.50, 2.51, 2.49)
    story.wave(*({"DEPTH": str(depth)} for depth in range(5, 25)))
    return story


def launches(story: Story) -> list[Launch]:
    return [move for move in plan(story.state, RULES, story.at) if isinstance(move, Launch)]


def launch(story: Story) -> list[RunId]:
    found = launches(story)
    for move in found:
        story.tell(
            ev.RunRequested, run=move.run, experiment=move.experiment, gpu_type=move.gpu_type, seed=1, tier=move.tier
        )
    return [move.run for move in found]


def lose(story: Story, *runs: RunId) -> None:
    for run in runs:
        story.tell(ev.RunEnded, run=run, outcome="lost", reason="its container could not start")


def test_what_is_lost_at_once_is_tried_again_after_a_pause_and_then_one_at_a_time() -> None:
    story = measured()
    lose(story, *launch(story))
    assert launches(story) == []
    assert next_look(story.state, story.at) == pytest.approx(FIRST_S + AFTER_S)
    lose(story.wait(FIRST_S), *launch(story))
    assert launches(story.wait(FIRST_S)) == [], "longer than before"
    assert len(launch(story.wait(FIRST_S))) == 1
    assert launches(story.wait(LONGEST_S)) == [], "that one is to find out"


def test_a_run_that_goes_on_for_a_while_opens_the_type_again() -> None:
    story = measured()
    for _ in range(2):
        lose(story.wait(LONGEST_S), *launch(story))
    (trial,) = launch(story.wait(LONGEST_S))
    story.tell(ev.RunStarted, run=trial, gpu=story.gpus[0].id)
    assert launches(story) == []
    assert story.at + AT_ONCE_S in list(moments(story.state))
    assert len(launches(story.wait(AT_ONCE_S))) == 3


def test_work_that_is_done_ends_a_setback() -> None:
    story = measured()
    first, *others = launch(story)
    story.tell(ev.RunStarted, run=first, gpu=story.gpus[0].id).wait(60)
    lose(story, *launch(story.wait(0)), *others)
    for _ in range(3):
        lose(story.wait(LONGEST_S), *launch(story))
    assert story.state.setbacks
    story.finish(first, 2.6)
    assert not story.state.setbacks


def test_another_type_is_not_held_back() -> None:
    story = Story().fleet(H100=2, H200=2).score(E0, 2.50, 2.51, 2.49, on="H100").score(E0, 2.50, 2.51, 2.49, on="H200")
    story.wave(*({"DEPTH": str(depth)} for depth in range(5, 25)))
    lose(story, *(run for run in launch(story) if story.state.runs[run].gpu_type == "H100"))
    assert {move.gpu_type for move in launches(story)} <= {"H200"}


def test_an_hour_without_a_single_start_costs_few_runs_and_no_experiment() -> None:
    story = measured(gpus=16)
    begun = story.at
    while story.at < begun + 3600:
        lose(story, *launch(story))
        story.wait(min(60.0, next_look(story.state, story.at)))
    lost = [run for run in story.state.runs.values() if is_lost(run)]
    assert len(lost) < 2 * 16 + 3600 / LONGEST_S + 10
    assert all(isinstance(judge(story.state, story.state.experiments[name], RULES), Wait) for name in story.state.open)
    assert len(story.state.open) == 20
    (told,) = hindrances(story.state)
    assert told == (
        "runs on H100 are lost as soon as they are launched (its container could not start): one at a time is tried"
    )
    story.wait(60).engine()
    assert list(hindrances(story.state)) == [], "an engine that is started again tries at once"


def is_lost(run: Run) -> bool:
    return run.result is not None and run.result.outcome == "lost"
