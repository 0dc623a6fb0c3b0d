"""Cells of designs compete for confirming runs, whatever wave they are from; what cannot be confirmed soon waits."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.design import Design, Factor
from core.ids import ExperimentId, WaveId
from core.patch import Change, apply, digest
from core.policy import Launch
from core.rivals import PASSED_OVER, is_behind, lead
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


@pytest.mark.parametrize(
    ("score", "is_cell", "lines", "is_let_go"),
    [(2.485, True, 0, True), (2.485, False, 0, False), (2.485, True, -3, False), (2.2, True, 0, False)],
    ids=["a cell", "a free idea", "a shorter script", "within reach"],
)
def test_an_undecided_cell_is_let_go_once_research_went_on_elsewhere(
    score: float, is_cell: bool, lines: int, is_let_go: bool
) -> None:
    story = Story(gpus=1).score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "5"}, factors=LEVELS if is_cell else None, lines=lines)
    story.score(name, score)
    for depth in range(6, 6 + PASSED_OVER):
        assert story.state.experiments[name].is_open
        story.wait(1.0)
        cells(story, depth)
        story.settle()
    assert story.state.experiments[name].is_open is not is_let_go
    if is_let_go:
        assert story.state.experiments[name].reason.endswith("from noise soon, and research went on elsewhere")


def test_waves_planned_before_its_result_do_not_pass_a_cell_over() -> None:
    story = Story(gpus=1).score(E0, *BASE)
    (name,) = cells(story, 5)
    for depth in range(6, 6 + PASSED_OVER):
        cells(story, depth)
    story.score(name, 2.485).settle()
    assert story.state.experiments[name].is_open


def test_an_undecided_cell_that_an_operator_promoted_is_not_let_go() -> None:
    story = Story(gpus=1).score(E0, *BASE)
    (name,) = cells(story, 5)
    story.score(name, 2.485).tell(ev.ExperimentPromoted, experiment=name, by="ada")
    for depth in range(6, 7 + PASSED_OVER):
        story.wait(1.0)
        cells(story, depth)
        story.settle()
    assert story.state.experiments[name].is_open


def test_a_screened_cell_that_a_later_baseline_equals_is_let_go() -> None:
    for later in (1.5, 2.2):
        story = Story().fleet(H100=13, H200=3).score(E0, *BASE).score(E0, *BASE, on="H200")
        first, second = cells(story, 5, 6)
        story.score(first, 2.0, 2.0).settle()
        assert story.state.experiments[first].screened
        story.score(second, later, later, later).settle()
        story.score(second, later, later, on="H200").settle()
        story.score(second, later, later, later, later).settle()
        overtaken = later < 2.0
        assert (story.state.baseline == second) is overtaken
        assert story.state.experiments[first].is_open is not overtaken
        if overtaken:
            assert story.state.experiments[first].reason.endswith(
                "passed against e0, no better than the baseline since"
            )


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
