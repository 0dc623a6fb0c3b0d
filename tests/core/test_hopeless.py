"""Early stops: noise never stops a run, a diverging one does not take its whole budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from story import E0, Story

from core import events as ev
from core.executors.fate import Physics, fate
from core.hopeless import hopeless
from core.ids import ExperimentId, RunId
from core.knobs import Value
from core.ledger import ledger
from core.policy import Cancel, Launch, plan
from core.state import CURVE_POINTS
from core.surfaces import Surface, Truth
from core.verdict import Rules

START = 1.003


class Declared:
    """The truth is what the constant says."""

    name, start, optimum = "declared", START, START
    best: Mapping[str, Value] = {}

    def truth(self, config: Mapping[str, Value]) -> Truth:
        return Truth(float(config["VAL_BPB"]), 45_000.0)  # type: ignore[arg-type]


DECLARED: Surface = Declared()


def curve(val_bpb: float, number: int) -> list[float]:
    """As the simulator reports it, with a noise and a way down of its own."""
    config: dict[str, Value] = {"VAL_BPB": val_bpb, "IDEA": number}
    lot = fate(config, DECLARED, gpu_type="cpu", seed=number, physics=Physics(), run=f"r{number}")
    return [lot.loss(point / CURVE_POINTS) for point in range(CURVE_POINTS)]


def measured(baselines: int = 3, gpus: int = 4) -> Story:
    """A baseline with so many curves, and room to run."""
    story = Story(gpus=gpus)
    for number in range(baselines):
        story.progress(run := story.start(E0), *curve(START, number)).finish(run, START)
    return story


def running(story: Story, losses: Sequence[float], *, purpose: ev.Purpose = "first") -> tuple[ExperimentId, RunId]:
    """An experiment with this curve so far."""
    (name,) = story.wave({"DEPTH": str(len(story.state.experiments) + 10)})
    run = story.start(name, purpose=purpose)
    story.progress(run, *losses)
    return name, run


def stopped(story: Story) -> list[RunId]:
    return [run for run, _ in hopeless(story.state)]


DIVERGING = [8.0] * 10


def test_runs_that_are_only_noisy_or_a_little_worse_are_never_stopped() -> None:
    story = measured(gpus=200)
    names = story.wave(*({"DEPTH": str(number)} for number in range(10, 210)))
    runs = [story.start(name, gpu=gpu) for gpu, name in enumerate(names)]
    curves = [curve(START + (number % 10 - 4) * 0.01, 100 + number) for number in range(len(runs))]
    for point in range(CURVE_POINTS):
        for run, losses in zip(runs, curves, strict=True):
            fraction = (point + 0.5) / CURVE_POINTS
            story.tell(ev.RunProgressed, run=run, step=point, fraction=fraction, loss=losses[point])
        assert stopped(story) == []


def test_a_run_that_does_not_learn_is_stopped_after_a_quarter_of_its_budget() -> None:
    story = measured()
    _, run = running(story, DIVERGING[:6])
    assert stopped(story) == []
    story.tell(ev.RunProgressed, run=run, step=6, fraction=0.32, loss=8.0)
    ((_, reason),) = hopeless(story.state)
    assert reason.startswith("loss 8.000 at 30% of its budget, where the baseline had 3.")


@pytest.mark.parametrize(
    ("baselines", "loss", "is_hopeless"),
    [((3.0, 3.0, 3.0), 3.1, False), ((3.0, 3.0, 3.0), 3.2, True), ((2.9, 3.0, 3.1), 3.9, False)],
    ids=["agree by chance", "far off", "differ themselves"],
)
def test_far_is_told_by_how_much_the_baselines_curves_differ(
    baselines: tuple[float, ...], loss: float, is_hopeless: bool
) -> None:
    story = measured(0)
    for each in baselines:
        story.progress(run := story.start(E0), *[each] * CURVE_POINTS).finish(run, START)
    running(story, [loss] * 10)
    assert bool(stopped(story)) == is_hopeless


def test_one_bad_reading_is_not_enough() -> None:
    story = measured()
    good = curve(START, 7)
    running(story, [*good[:8], 50.0])
    assert stopped(story) == []
    running(story, [*good[:7], 50.0, 50.0])
    assert len(stopped(story)) == 1


def test_a_run_that_is_slow_at_first_and_learns_at_more_than_half_the_speed_goes_on() -> None:
    story = measured()
    slow = [curve(START, 0)[max(0, point * 2 // 3)] for point in range(12)]
    assert slow[9] > 1.05 * curve(START, 0)[9], "it must be far behind for this test"
    running(story, slow)
    assert stopped(story) == []


@pytest.mark.parametrize("baselines", [0, 2])
def test_nothing_is_stopped_before_three_curves_of_the_baseline_are_known(baselines: int) -> None:
    story = measured(baselines)
    running(story, DIVERGING)
    assert stopped(story) == []


def test_curves_of_another_gpu_type_do_not_count() -> None:
    story = measured()
    story.fleet(H200=4)
    running(story, DIVERGING)
    assert stopped(story) == []


def test_a_promoted_experiment_is_never_stopped() -> None:
    story = measured()
    name, _ = running(story, DIVERGING)
    assert len(stopped(story)) == 1
    assert stopped(story.tell(ev.ExperimentPromoted, experiment=name, by="ada")) == []


def test_a_retest_is_never_stopped() -> None:
    story = measured()
    running(story, DIVERGING, purpose="retest")
    assert stopped(story) == []


def test_early_stops_can_be_switched_off() -> None:
    story = measured()
    _, run = running(story, DIVERGING)
    assert Cancel(run) not in story.settle(Rules(early_stop=False))
    assert Cancel(run) in story.settle()


def test_a_stopped_run_is_recorded_as_discarded_early_and_not_run_again() -> None:
    story = measured()
    name, run = running(story, DIVERGING)
    moves = story.settle()
    assert Cancel(run) in moves
    assert story.state.runs[run].stopped
    assert stopped(story) == [], "it is said once"
    moves = story.cancel(run).settle()
    experiment = story.state.experiments[name]
    assert experiment.status == "discarded"
    assert experiment.reason.startswith("stopped early: loss 8.000")
    assert story.state.counts == {"discarded": 1}
    assert not [move for move in moves if isinstance(move, Launch) and move.experiment == name]


def test_the_engine_that_comes_back_stops_what_was_to_be_stopped() -> None:
    story = measured()
    _, run = running(story, DIVERGING)
    story.settle()
    story.wait(60).engine()
    assert Cancel(run) in plan(story.state, Rules(), story.at)


def test_the_time_of_a_stopped_run_is_booked_as_stopped_and_not_as_a_crash() -> None:
    story = measured()
    _, run = running(story, DIVERGING)
    story.settle()
    story.cancel(run).settle()
    booked = ledger(story.state, story.at)
    assert booked["stopped"] == pytest.approx(len(DIVERGING) + 1)
    assert booked["crash"] == 0
