"""Proven ideas put together: several at once, apart again if that fails, and nothing of it for cells of a design."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.ids import ExperimentId
from core.merging import is_free, may_validate, mergeable, rival
from core.patch import Edit
from core.policy import Finish, Launch, Merge, Move, Rebase, plan
from core.verdict import Final, Passed, Rules, Wait, judge
from core.views import proposed, remaining, source_of

BASE = (2.500, 2.510, 2.490)
IDEAS = ({"DEPTH": "2"}, {"MATRIX_LR": "0.1"}, {"WARMDOWN_RATIO": "0.3"})


def launched(moves: tuple[Move, ...]) -> list[str]:
    return [move.run for move in moves if isinstance(move, Launch)]


def status(story: Story, name: str) -> str:
    return story.state.experiments[ExperimentId(name)].status


def moved(*ideas: dict[str, str], gpus: int = 4, scores: float = 2.2, limit: int | None = None) -> Story:
    """e1 is the baseline and measured; the `ideas` e2, e3, … have passed against e0, and nothing follows yet."""
    story = Story(gpus=gpus).tell(ev.LimitsSet, max_experiments=limit).score(E0, *BASE)
    first, *others = story.wave({"TOTAL_BATCH_SIZE": "2**13"}, *ideas)
    for name in others:
        story.score(name, scores)
    story.score(first, 2.0, 2.0).settle()
    assert (story.state.baseline, status(story, "e1")) == ("e1", "kept")
    story.score(first, 2.0, 2.0, 2.0)
    for name in others:
        story.score(name, scores)
    return story


# --- what is compared with what ---------------------------------------------------------------------------------------


def test_a_free_idea_is_compared_with_the_baseline_it_was_made_for() -> None:
    story = moved(IDEAS[0])
    idea = story.state.experiments[ExperimentId("e2")]
    assert rival(story.state, idea) == E0
    passed = judge(story.state, idea, Rules())
    assert isinstance(passed, Passed)
    assert passed.evidence.against == E0
    assert "to be put on top of e1" in passed.reason


def test_a_free_idea_whose_baseline_does_not_run_any_more_is_compared_with_the_present_one() -> None:
    story = Story(gpus=4)
    for _ in range(3):
        story.crash(story.start(E0))
    first, other = story.wave({"TOTAL_BATCH_SIZE": "2**13"}, IDEAS[0])
    story.score(other, 2.2).judge(first, "kept").move(first)
    assert rival(story.state, story.state.experiments[other]) == first


def test_a_cell_of_a_design_is_compared_with_the_present_baseline_and_never_merged_or_moved() -> None:
    story = Story(gpus=4).score(E0, *BASE)
    names = story.wave({"DEPTH": "2"}, {"DEPTH": "3"}, {"DEPTH": "5"}, factors={"DEPTH": ("2", "3", "5")})
    story.score(names[1], 2.2, 2.2).score(names[0], 2.0, 2.0).settle()
    story.score(names[0], 2.0, 2.0, 2.0)
    cell, waiting = (story.state.experiments[name] for name in names[1:])
    assert not is_free(story.state, cell)
    assert rival(story.state, cell) == story.state.baseline == names[0]
    story.settle()
    assert status(story, cell.id) == "discarded"
    assert story.state.experiments[waiting.id].parent == E0
    assert story.state.merges == 0


# --- moved before they ran --------------------------------------------------------------------------------------------


def test_ideas_that_have_not_run_are_made_to_the_new_baseline() -> None:
    story = Story().score(E0, *BASE)
    first, waiting = story.wave({"TOTAL_BATCH_SIZE": "2**13"}, IDEAS[0])
    story.score(first, 2.0, 2.0).settle()
    idea = story.state.experiments[waiting]
    assert idea.parent == first
    source = source_of(story.state, waiting)
    assert "DEPTH = 2" in source
    assert "TOTAL_BATCH_SIZE = 2**13" in source
    assert story.state.digests[idea.digest] == waiting


def test_an_idea_that_cannot_be_made_to_the_new_baseline_stays_as_it_was_and_is_tried_once() -> None:
    story = Story().score(E0, *BASE)
    first, same = story.wave({"TOTAL_BATCH_SIZE": "2**13", "DEPTH": "2"}, {"DEPTH": "2"})
    moves = story.score(first, 2.0, 2.0).settle()
    assert story.state.experiments[same].parent == E0
    assert story.state.experiments[same].rebased == first
    assert not [move for move in moves if isinstance(move, Rebase)]
    assert "e2-1" in launched(story.score(first, 2.0, 2.0, 2.0).settle())


def test_an_idea_that_has_run_is_not_moved() -> None:
    story = moved(IDEAS[0])
    assert story.state.experiments[ExperimentId("e2")].parent == E0


# --- merging ----------------------------------------------------------------------------------------------------------


def test_two_proven_ideas_become_one_experiment_on_top_of_the_baseline() -> None:
    story = moved(*IDEAS[:2])
    story.settle()
    merge = story.state.experiments[ExperimentId("e4")]
    assert set(merge.of) == {"e2", "e3"}
    assert merge.parent == "e1"
    source = source_of(story.state, merge.id)
    assert all(text in source for text in ("DEPTH = 2", "MATRIX_LR = 0.1", "TOTAL_BATCH_SIZE = 2**13"))
    assert [status(story, name) for name in ("e2", "e3")] == ["merged", "merged"]
    assert "Proven apart, now together: " in merge.hypothesis


def test_a_merge_that_holds_is_kept_with_all_its_parts() -> None:
    story = moved(*IDEAS[:2])
    story.settle()
    story.score(ExperimentId("e4"), 1.7, 1.7).settle()
    assert story.state.lineage == ("e0", "e1", "e4")
    assert [status(story, name) for name in ("e2", "e3")] == ["merged", "merged"]
    assert not story.state.open


def test_a_vetoed_merge_takes_its_parts_with_it() -> None:
    story = moved(*IDEAS[:2])
    story.settle()
    story.tell(ev.ExperimentVetoed, experiment=ExperimentId("e4"), by="ada").settle()
    assert (status(story, "e4"), status(story, "e2"), status(story, "e3")) == ("vetoed", "merged", "merged")


def test_ideas_that_set_the_same_constant_are_not_put_together() -> None:
    story = moved({"DEPTH": "2"}, {"DEPTH": "3"}, {"MATRIX_LR": "0.1"}, scores=2.2)
    story.settle()
    merge = story.state.experiments[ExperimentId("e5")]
    assert set(merge.of) in ({"e2", "e4"}, {"e3", "e4"})
    left = ({"e2", "e3", "e4"} - set(merge.of)).pop()
    assert status(story, left) == "retest"
    assert mergeable(story.state) == (), "one at a time"


def test_an_idea_that_undoes_what_the_new_baseline_changed_is_compared_with_it_by_the_runs_it_has() -> None:
    story = moved({"TOTAL_BATCH_SIZE": "2**12"}, scores=1.9)
    story.settle()
    idea = story.state.experiments[ExperimentId("e2")]
    assert (idea.parent, idea.screening, idea.status) == ("e1", None, "kept")
    assert len(story.state.scores[idea.id, "cpu"]) == 2, "nothing is run again"
    assert idea.evidence is not None
    assert idea.evidence.against == "e1"


def test_one_that_undoes_it_and_is_worse_than_the_new_baseline_is_discarded() -> None:
    story = moved({"TOTAL_BATCH_SIZE": "2**12"}, scores=2.2)
    story.settle()
    idea = story.state.experiments[ExperimentId("e2")]
    assert idea.status == "discarded"
    assert idea.evidence is not None
    assert idea.evidence.against == "e1"
    assert "against e1" in idea.reason


def test_a_train_py_that_was_never_run_is_never_taken_for_measured() -> None:
    """It was moved before it ran; on top of a later baseline its change gives what it was at first."""
    story = Story(gpus=4).score(E0, *BASE)
    story.wave({"TOTAL_BATCH_SIZE": "2**13"}, {"DEPTH": "2", "MATRIX_LR": "0.02"})
    first, moved_one = ExperimentId("e1"), ExperimentId("e2")
    story.score(first, 2.3, 2.3).settle()
    story.score(first, 2.3, 2.31, 2.29)
    run = story.start(moved_one)
    ran = source_of(story.state, moved_one)
    story.wave({"TOTAL_BATCH_SIZE": "2**14", "MATRIX_LR": "0.1"})
    third = ExperimentId("e3")
    story.score(third, 1.9, 1.9).settle()
    story.score(third, 1.9, 1.91, 1.89).finish(run, 1.5).score(moved_one, 1.5).settle()
    kept = [name for name in story.state.lineage if name == moved_one]
    assert not kept or story.state.sources[moved_one] == ran
    assert any(each.of == (moved_one,) for each in story.state.experiments.values()), "it is run on top of e3 first"


def test_of_conflicting_ideas_the_best_goes_first() -> None:
    story = moved({"DEPTH": "2"}, {"DEPTH": "3"})
    story.score(ExperimentId("e3"), 2.1).settle()
    (merge,) = (each for each in story.state.experiments.values() if each.of)
    assert merge.of == ("e3",)


def test_changes_that_clash_are_merged_one_by_one() -> None:
    """Two edits of one line cannot be made together; the first alone can."""
    story = Story(gpus=4).score(E0, *BASE)
    (first,) = story.wave({"TOTAL_BATCH_SIZE": "2**13"})
    edits = [Edit('print("---")', f'print("{mark}---")') for mark in "ab"]
    for number, edit in enumerate(edits):
        story.edit(edit, f"mark {number}")
    for name in ("e2", "e3"):
        story.score(ExperimentId(name), 2.2)
    story.score(first, 2.0, 2.0).settle()
    for name in ("e1", "e1", "e1", "e2", "e3"):
        story.score(ExperimentId(name), 2.0 if name == "e1" else 2.2)
    story.settle()
    assert story.state.experiments[ExperimentId("e4")].of == ("e2",)
    assert status(story, "e3") == "retest"
    story.score(ExperimentId("e4"), 1.7, 1.7).settle()
    assert status(story, "e3") == "discarded"
    assert "cannot be put on top of e4" in story.state.experiments[ExperimentId("e3")].reason


@pytest.mark.parametrize("end", ["worse", "crashed"])
def test_a_merge_that_does_not_hold_is_split_and_each_part_is_tried_alone(end: str) -> None:
    story = moved(*IDEAS[:2])
    story.settle()
    merge = ExperimentId("e4")
    if end == "worse":
        story.score(merge, 2.6)
    else:
        story.crash(story.start(merge))
    story.settle()
    assert status(story, "e4") == {"worse": "discarded"}.get(end, end)
    alone = story.state.experiments[ExperimentId("e5")]
    assert alone.of == ("e2",)
    story.score(alone.id, 1.8, 1.8).settle()
    assert status(story, "e5") == "kept"
    assert status(story, "e3") == "discarded"
    reason = story.state.experiments[ExperimentId("e3")].reason
    assert reason == "cannot be put on top of e5: the same train.py as e4", "together they were tried"
    assert not story.state.open


def test_of_a_failed_merge_of_three_each_part_comes_on_top_of_those_that_held() -> None:
    story = moved(*IDEAS)
    story.settle()
    story.score(ExperimentId("e5"), 2.6).settle()
    story.score(ExperimentId("e6"), 2.6).settle()
    assert [status(story, name) for name in ("e2", "e6")] == ["merged", "discarded"], "it had its try"
    story.score(ExperimentId("e7"), 1.8, 1.8).settle()
    last = story.state.experiments[ExperimentId("e8")]
    assert (story.state.baseline, last.of, last.parent) == ("e7", ("e4",), "e7")
    story.score(ExperimentId("e7"), 1.8, 1.8, 1.8).score(last.id, 1.6, 1.6).settle()
    assert story.state.lineage == ("e0", "e1", "e7", "e8")


def test_a_merge_does_not_count_against_the_limit_of_experiments() -> None:
    story = moved(*IDEAS, limit=4)
    story.settle()
    assert story.state.merges == 1
    assert (proposed(story.state), remaining(story.state)) == (4, 0)
    story.score(ExperimentId("e5"), 1.7, 1.7).settle()
    (end,) = story.score(ExperimentId("e5"), 1.7, 1.7, 1.7).settle(Rules(final_runs=0))
    assert end == Finish("all 4 experiments of this session are done")


def test_a_merge_needs_less_because_its_parts_have_passed_already_but_not_nothing() -> None:
    story = moved(*IDEAS[:2])
    part = ExperimentId("e2")
    story.settle()
    merge = ExperimentId("e4")
    screening = story.state.experiments[merge].screening
    assert screening is not None
    story.score(merge, 1.9, 1.9)
    judgement = judge(story.state, story.state.experiments[merge], Rules())
    assert isinstance(judgement, Final)
    assert judgement.evidence is not None
    assert 0 < judgement.evidence.needed < screening.needed
    assert part in story.state.experiments[merge].of


def test_the_baseline_may_move_again_while_a_merge_waits_for_its_first_run() -> None:
    story = moved(*IDEAS[:2])
    story.settle()
    (idea,) = story.wave({"WARMDOWN_RATIO": "0.9"})
    story.judge(idea, "kept").settle()
    assert story.state.baseline == idea
    merge = story.state.experiments[ExperimentId("e4")]
    assert merge.parent == idea, "it has not run, so it is moved like any idea"
    source = source_of(story.state, merge.id)
    assert "MATRIX_LR = 0.1" in source


def test_a_merge_that_has_run_when_the_baseline_moves_is_merged_again() -> None:
    story = moved(*IDEAS[:2])
    story.settle()
    merge = ExperimentId("e4")
    (idea,) = story.wave({"WARMDOWN_RATIO": "0.9"})
    story.score(merge, 1.9)
    story.judge(idea, "kept").settle()
    last = list(story.state.experiments.values())[-1]
    assert last.of == (merge,)
    assert last.parent == idea
    assert status(story, "e4") == "merged"


# --- with two tiers ---------------------------------------------------------------------------------------------------


def two_tiers(*ideas: dict[str, str]) -> Story:
    story = Story().fleet(H100=4, H200=1).score(E0, *BASE).score(E0, *BASE, on="H200")
    for name in story.wave(*ideas):
        story.score(name, 2.2, 2.2)
    return story


def test_one_proven_idea_goes_to_the_validation_tier_as_it_is() -> None:
    story = two_tiers(IDEAS[0])
    moves = story.settle()
    idea = story.state.experiments[ExperimentId("e1")]
    assert idea.screened
    assert may_validate(story.state, idea)
    assert "e1-3" in launched(moves)
    assert story.state.merges == 0


def test_several_proven_ideas_are_validated_together() -> None:
    story = two_tiers(*IDEAS[:2])
    moves = story.settle()
    merge = story.state.experiments[ExperimentId("e3")]
    assert set(merge.of) == {"e1", "e2"}
    assert merge.screened
    assert ("e3-1", "H200") in [(move.run, move.gpu_type) for move in moves if isinstance(move, Launch)]
    story.score(merge.id, 1.9, 1.9, on="H200").settle()
    assert story.state.baseline == "e3"


def test_proven_ideas_that_clash_are_validated_one_by_one() -> None:
    """Both change one line; the better goes first, and the other finds it changed."""
    story = two_tiers()
    for number, mark in enumerate("ab", start=1):
        story.edit(Edit('print("---")', f'print("{mark}---")'), f"mark {mark}")
        story.score(ExperimentId(f"e{number}"), *[2.1 - number / 10] * 2)
    moves = story.settle()
    assert [each.run for each in moves if isinstance(each, Launch) and each.tier == "validate"] == ["e2-3"]
    assert story.state.experiments[ExperimentId("e2")].screened, "what it passed still stands"
    story.score(ExperimentId("e2"), 1.8, 1.8, on="H200").settle()
    assert story.state.baseline == "e2"
    assert status(story, "e1") == "discarded"
    assert "cannot be put on top of e2" in story.state.experiments[ExperimentId("e1")].reason


def test_while_one_is_being_validated_the_next_waits_for_its_turn() -> None:
    story = two_tiers(IDEAS[0])
    story.settle()
    story.start(ExperimentId("e1"), on="H200")
    (second,) = story.wave(IDEAS[1])
    story.score(second, 2.2, 2.2).settle()
    waiting = story.state.experiments[second]
    assert waiting.screened
    assert not may_validate(story.state, waiting)
    assert mergeable(story.state) == ()
    assert isinstance(judge(story.state, waiting, Rules()), Wait)


def test_a_merge_that_fails_the_validation_gives_each_part_its_own_try_there() -> None:
    story = two_tiers(*IDEAS[:2])
    story.settle()
    moves = story.score(ExperimentId("e3"), 2.6, on="H200").settle()
    assert [status(story, name) for name in ("e1", "e2")] == ["retest", "retest"]
    assert story.state.experiments[ExperimentId("e1")].alone
    assert [move.run for move in moves if isinstance(move, Launch) and move.gpu_type == "H200"][:1] == ["e1-3"]
    assert not [move for move in plan(story.state, Rules(), story.at) if isinstance(move, Merge)]
