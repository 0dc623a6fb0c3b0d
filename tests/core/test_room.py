"""What waits beyond the free GPUs, and the operator's limit on all of it."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from story import E0, Story

from core import events as ev
from core.commands import MaxGpus, Undo, Veto, refusal
from core.errors import Refused
from core.ids import ExperimentId, RunId
from core.ledger import ledger
from core.policy import Ask, Cancel, Launch, Move, plan
from core.room import ready, room
from core.verdict import Rules

BASE = (2.500, 2.510, 2.490)
RULES = Rules(replicates=False)


def moves(story: Story, rules: Rules = RULES) -> tuple[Move, ...]:
    return plan(story.state, rules, story.at)


def launched(story: Story, rules: Rules = RULES) -> Counter[str]:
    return Counter(move.gpu_type for move in moves(story, rules) if isinstance(move, Launch))


def cancelled(story: Story) -> list[str]:
    return [move.run for move in moves(story) if isinstance(move, Cancel)]


def launch(story: Story) -> list[RunId]:
    """What the plan launches is requested; nothing starts yet."""
    found = [move for move in moves(story) if isinstance(move, Launch)]
    for move in found:
        story.tell(ev.RunRequested, **msgspec.structs.asdict(move))
    return [move.run for move in found]


def begin(story: Story, *runs: RunId) -> None:
    for number, run in enumerate(runs):
        kind = story.state.runs[run].gpu_type
        story.tell(ev.RunStarted, run=run, gpu=[gpu.id for gpu in story.gpus if gpu.type == kind][number])


def campaign(experiments: int = 30, *, queue: int = 4, **gpus: int) -> Story:
    """A measured baseline on every type, and new experiments."""
    story = Story().fleet(**(gpus or {"H100": 8})).tell(ev.ReadySet, gpus_each=queue)
    for kind in gpus or ("H100",):
        story.score(E0, *BASE, on=kind)
    story.wave(*({"DEPTH": str(depth)} for depth in range(5, 5 + experiments)))
    return story


@pytest.mark.parametrize(("gpus", "waiting"), [(1, 1), (3, 1), (8, 2), (13, 3)])
def test_one_run_waits_for_every_four_gpus_and_at_least_one(gpus: int, waiting: int) -> None:
    assert launched(campaign(H100=gpus)) == {"H100": gpus + waiting}


def test_an_executor_without_a_queue_gets_as_many_runs_as_gpus_are_free() -> None:
    assert launched(campaign(queue=0)) == {"H100": 8}


def test_a_type_may_have_a_number_of_its_own() -> None:
    story = campaign().tell(ev.ReadySet, gpus_each=4, by_type={"H100": 0})
    assert launched(story) == {"H100": 8}


def test_a_gpu_that_frees_is_taken_by_what_waits_and_one_more_waits_then() -> None:
    story = campaign()
    runs = launch(story)
    begin(story, *runs[:8])
    assert launched(story) == {}
    story.finish(runs[0], 2.6).settle(RULES)
    begin(story, runs[8])
    assert launched(story) == {"H100": 1}


def test_gpus_that_others_take_do_not_make_the_queue_longer() -> None:
    story = campaign()
    runs = launch(story)
    begin(story, *runs[:4])
    held = [msgspec.structs.replace(gpu, held_by="bob") for gpu in story.gpus[4:]]
    story.tell(ev.FleetSeen, gpus=(*story.gpus[:4], *held))
    assert launched(story) == {}
    assert cancelled(story) == [], "what waits may go on waiting"
    for run in runs[:3]:
        story.finish(run, 2.6).settle(RULES)
    assert launched(story) == {}, "six wait already"


def test_nothing_waits_for_a_type_of_which_no_gpu_works() -> None:
    story = campaign()
    broken = tuple(msgspec.structs.replace(gpu, held_by="not ready", broken=True) for gpu in story.gpus)
    story.tell(ev.FleetSeen, gpus=broken)
    assert launched(story) == {}
    assert ready(story.state, "H100") == 0


def test_replicates_that_only_fill_an_idle_gpu_wait_for_none() -> None:
    story = Story().fleet(H100=4).tell(ev.ReadySet, gpus_each=4).score(E0, *BASE)
    story.tell(ev.WaveAsked, slots=4).wait(5)
    assert launched(story, Rules(replicates=True)) == {"H100": 4}, "of five that it may have"


def test_new_experiments_wait_for_their_own_tier_alone() -> None:
    """What is to be validated finds no queue before it."""
    story = campaign(H100=8, H200=4)
    assert launched(story) == {"H100": 10, "H200": 4}


def test_the_queue_is_filled_before_a_gpu_frees() -> None:
    """A researcher that answers quickly is asked once less waits than may."""
    story = campaign(8)
    begin(story, *launch(story))
    assert [move for move in moves(story) if isinstance(move, Ask)] != []


def test_a_run_that_waits_is_no_use_of_a_gpu() -> None:
    story = campaign(10).tell(ev.PricesSet, gpu_usd_hour={"H100": 3600.0})
    runs = launch(story)
    begin(story, *runs[:8])
    before = ledger(story.state, story.at)
    story.wait(100)
    after = ledger(story.state, story.at)
    gained = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert gained == {"running": pytest.approx(800)}, "and none is booked to the queue, because none is free"


@pytest.mark.parametrize("why", ["pause", "stop"])
def test_what_waits_is_taken_back_where_nothing_may_start_and_comes_again(why: str) -> None:
    story = campaign()
    runs = launch(story)
    begin(story, *runs[:8])
    story.tell(ev.ResearchPaused, by="ada") if why == "pause" else story.tell(ev.StopRequested, by="ada")
    assert cancelled(story) == [runs[9], runs[8]]
    for run in runs[8:]:
        story.cancel(run)
    assert cancelled(story) == []
    assert story.state.experiments[ExperimentId("e10")].status == "proposed", "it has lost nothing"
    if why == "pause":
        story.tell(ev.ResearchResumed, by="ada")
        assert launched(story) == {"H100": 2}


def test_a_veto_takes_a_waiting_run_back() -> None:
    story = campaign()
    runs = launch(story)
    begin(story, *runs[:8])
    story.order(Veto(experiment=story.state.runs[runs[8]].experiment))
    assert cancelled(story) == [runs[8]]


# --- the limit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "runs"), [(0, 0), (5, 5), (8, 8), (9, 9), (10, 10), (40, 10)])
def test_no_more_than_the_limit_runs_or_waits(limit: int, runs: int) -> None:
    story = campaign().tell(ev.MaxGpusSet, limits={"H100": limit})
    assert launched(story).total() == runs
    launch(story)
    assert launched(story) == {}


def test_a_limit_of_one_type_leaves_the_others_alone() -> None:
    story = campaign(H100=8, H200=4).tell(ev.MaxGpusSet, limits={"H200": 1})
    assert launched(story) == {"H100": 10, "H200": 1}


@pytest.mark.parametrize("queue", [0, 4])
def test_below_what_runs_nothing_new_starts_and_what_runs_finishes(queue: int) -> None:
    story = campaign(queue=queue)
    runs = launch(story)
    begin(story, *runs[:8])
    story.order(MaxGpus(gpu_type="H100", limit=5))
    assert cancelled(story) == [*reversed(runs[8:])], "what waits would start beyond it"
    for run in runs[8:]:
        story.cancel(run)
    assert cancelled(story) == []
    for run in runs[:3]:
        story.finish(run, 2.6).settle(RULES)
        assert launched(story) == {}
    story.finish(runs[3], 2.6).settle(RULES)
    assert launched(story) == {"H100": 1}


def test_of_what_waits_only_what_is_beyond_the_limit_is_taken_back() -> None:
    story = campaign(H100=16)
    runs = launch(story)
    begin(story, *runs[:16])
    story.order(MaxGpus(gpu_type="H100", limit=18))
    assert cancelled(story) == [runs[19], runs[18]]


# --- changing it ------------------------------------------------------------------------------------------------------


def limit_after(story: Story, *changes: int) -> int | None:
    for change in changes:
        story.order(MaxGpus(gpu_type="H100", change=change))
    return story.state.max_gpus.get("H100")


def test_one_fewer_and_one_more_count_from_all_there_are() -> None:
    story = campaign()
    assert limit_after(story, -1) == 7
    assert limit_after(story, -1, -1) == 5
    assert limit_after(story, 1) == 6
    assert limit_after(story, 1, 1, 1) == 9, "one of the two that may wait"
    assert limit_after(story, 1) is None, "with ten it limits nothing"


def test_a_limit_that_is_not_possible_is_refused_with_a_sentence() -> None:
    story = campaign()
    for command, sentence in (
        (MaxGpus(gpu_type="H10", limit=3), "There is no GPU of the type 'H10'; there is H100."),
        (MaxGpus(gpu_type="H100", change=1), "H100 has no limit."),
        (MaxGpus(gpu_type="H100", limit=-1), "A limit cannot be less than 0, with which nothing starts on H100."),
    ):
        assert refusal(story.state, command) == sentence
    story.order(MaxGpus(gpu_type="H100", limit=0))
    assert refusal(story.state, MaxGpus(gpu_type="H100", limit=0)) == "The limit of H100 is 0 already."
    with pytest.raises(Refused, match="less than 0"):
        story.order(MaxGpus(gpu_type="H100", change=-1))


def test_undo_takes_one_change_of_a_limit_back_at_a_time() -> None:
    story = campaign().tell(ev.MaxGpusSet, limits={"H200": 1})
    limit_after(story, -1, -1)
    assert story.state.max_gpus == {"H200": 1, "H100": 6}
    story.order(Undo())
    assert story.state.max_gpus == {"H200": 1, "H100": 7}
    story.order(Undo())
    assert story.state.max_gpus == {"H200": 1}
    assert refusal(story.state, Undo(by="ada")).startswith("There is nothing of ada")


def test_free_places_and_places_to_wait_are_counted_apart() -> None:
    story = campaign()
    runs = launch(story)
    begin(story, *runs[:8])
    story.finish(runs[0], 2.6).cancel(runs[9])
    places = room(story.state)
    assert (places.free["H100"], places.ready["H100"]) == (0, 2), "one that waits takes the GPU that freed"
