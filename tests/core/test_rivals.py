"""Cells of designs compete for confirming runs, whatever wave they are from; what cannot be confirmed soon waits."""

from __future__ import annotations

from story import E0, Story

from core import events as ev
from core.design import Design, Factor
from core.ids import ExperimentId, WaveId
from core.patch import Change, apply, digest
from core.policy import Launch
from core.rivals import is_behind, lead
from core.verdict import Rules, standing

BASE = (2.500, 2.510, 2.490)
LEVELS = {"DEPTH": tuple(str(depth) for depth in range(5, 30))}


def cells(story: Story, *depths: int) -> list[ExperimentId]:
    return story.wave(*({"DEPTH": str(depth)} for depth in depths), factors=LEVELS)


def launched(story: Story) -> list[tuple[str, str]]:
    return [(move.run, move.purpose) for move in story.settle() if isinstance(move, Launch)]


def test_a_cell_far_behind_the_best_of_an_earlier_wave_waits() -> None:
    story = Story(gpus=2).score(E0, *BASE)
    (best,) = cells(story, 5)
    story.score(best, 2.2)
    (later,) = cells(story, 6)
    story.score(later, 2.4)
    assert launched(story)[0] == ("e1-2", "retest")
    assert story.state.experiments[later].status != "retest"


def test_it_gets_its_turn_when_the_best_turns_out_to_be_luck() -> None:
    story = Story(gpus=2).score(E0, *BASE)
    best, other = cells(story, 5, 6)
    story.score(best, 2.2).score(other, 2.35)
    assert ("e2-2", "retest") not in launched(story)
    story.score(best, 2.9, 2.9)
    assert ("e2-2", "retest") in launched(story)


def test_free_ideas_are_no_rivals() -> None:
    story = Story(gpus=4).score(E0, *BASE)
    first, second = story.wave({"DEPTH": "5"}, {"DEPTH": "6"})
    story.score(first, 2.2).score(second, 2.4)
    assert lead(story.state, Rules()) is None
    assert {("e1-2", "retest"), ("e2-2", "retest")} <= set(launched(story))


def test_new_experiments_come_before_a_cell_that_only_many_more_runs_could_confirm() -> None:
    story = Story(gpus=1).score(E0, *BASE)
    names = cells(story, 5, 6)
    story.score(names[0], 2.485)
    assert launched(story) == [("e2-1", "first")]
    story.score(names[1], 2.9).tell(ev.LimitsSet, max_experiments=2)
    assert launched(story) == [("e1-2", "retest")]


def test_a_cell_whose_second_run_leaves_it_out_of_reach_is_given_up_and_a_free_idea_is_not() -> None:
    for is_cell in (True, False):
        story = Story(gpus=1).score(E0, *BASE)
        (name,) = cells(story, 5) if is_cell else story.wave({"DEPTH": "5"})
        story.score(name, 2.485, 2.485)
        story.settle()
        assert story.state.experiments[name].is_open is not is_cell


def test_a_fleet_runs_the_first_point_of_a_listed_wave_twice_at_once_where_it_is_validated() -> None:
    for h100 in (13, 3):
        story = Story().fleet(H100=h100, H200=3).score(E0, *BASE).score(E0, *BASE, on="H200")
        names = listed(story, 5, 6)
        runs = [move for move in story.settle() if isinstance(move, Launch) and move.experiment in names]
        where = [(move.experiment, move.gpu_type) for move in runs if move.experiment == names[0]]
        assert where == ([(names[0], "H200")] * 2 if h100 == 13 else [(names[0], "H100")])


def listed(story: Story, *depths: int) -> list[ExperimentId]:
    """A wave that lists points; the first is where its researcher expects most."""
    design, wave = Design("list", (Factor("DEPTH", LEVELS["DEPTH"]),)), WaveId("w1")
    story.tell(ev.WavePlanned, wave=wave, parent=E0, reason="because", design=design)
    names = [ExperimentId(f"e{number}") for number in range(1, len(depths) + 1)]
    for name, depth in zip(names, depths, strict=True):
        change = Change(settings={"DEPTH": str(depth)})
        told = {"experiment": name, "wave": wave, "parent": E0, "change": change, "title": name}
        story.tell(ev.ExperimentProposed, digest=digest(apply(story.state.sources[E0], change)), **told)
    return names


def test_only_so_many_cells_are_on_the_validation_tier_and_none_that_looks_much_worse() -> None:
    story = Story().fleet(H100=13, H200=3).score(E0, *BASE).score(E0, *BASE, on="H200")
    names = cells(story, *range(5, 11))
    for place, name in enumerate(names):
        story.score(name, *[2.0 + place / 1000] * 2)
    (worse,) = cells(story, 20)
    story.score(worse, 2.3, 2.3).settle()
    there = [name for name in story.state.open if story.state.experiments[name].screened]
    assert there == names[:3]
    best, mine = lead(story.state, Rules()), standing(story.state, story.state.experiments[worse], Rules())
    assert mine is not None
    assert is_behind(mine, best)
