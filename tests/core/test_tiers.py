"""Two tiers of GPU types: which is which, how well they agree, and the way of an experiment through both."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.ids import ExperimentId
from core.policy import Launch, Move, plan
from core.state import State
from core.tiers import Tiers, agreement, is_stuck, tiers
from core.verdict import Final, Rules, Wait, judge, judged_on

BASE = (1.000, 1.001, 0.999)
OFFSET = -0.05  # of the validation type: larger than any effect here


def two_types(screen: int = 3, validate: int = 1) -> Story:
    """Both baselines measured, on types that differ by more than any change does."""
    story = Story().fleet(H100=screen, H200=validate).score(E0, *BASE)
    return story.score(E0, *(score + OFFSET for score in BASE), on="H200")


def launches(moves: tuple[Move, ...]) -> list[tuple[str, str, str]]:
    return [(move.experiment, move.gpu_type, move.tier) for move in moves if isinstance(move, Launch)]


# --- which type is which ----------------------------------------------------------------------------------------------


def test_the_plentiful_type_screens_and_the_others_validate() -> None:
    assert tiers(Story().fleet(H200=3, H100=13).state) == Tiers(("H100",), ("H200",))
    assert tiers(Story().fleet(H100=13, H200=3, A100=2).state) == Tiers(("H100",), ("H200", "A100"))


def test_one_type_is_both_tiers_and_nothing_is_validated_twice() -> None:
    found = tiers(Story().fleet(H100=13).state)
    assert found == Tiers(("H100",), ("H100",))
    assert not found.are_two


@pytest.mark.parametrize(
    ("screen", "validate", "expected"),
    [
        (("H200",), ("H100",), Tiers(("H200",), ("H100",))),
        (("H200",), (), Tiers(("H200",), ("H100", "A100"))),
        ((), ("A100",), Tiers(("H100", "H200"), ("A100",))),
        (("B200",), ("H200",), Tiers(("H200",), ("H200",))),
        (("B200",), (), Tiers(("H100", "H200", "A100"), ("H100", "H200", "A100"))),
        (("B200",), ("V100",), Tiers(("H100", "H200", "A100"), ("H100", "H200", "A100"))),
    ],
    ids=["both", "screen alone", "validate alone", "screen is gone", "only screen, gone", "both are gone"],
)
def test_tiers_are_as_set_as_far_as_there_are_such_gpus(
    screen: tuple[str, ...], validate: tuple[str, ...], expected: Tiers
) -> None:
    story = Story().fleet(H100=13, H200=3, A100=2).tell(ev.TiersSet, screen=screen, validate=validate)
    assert tiers(story.state) == expected


def test_a_type_that_vanishes_leaves_one_tier_and_its_return_makes_two() -> None:
    story = two_types()
    assert tiers(story.state).are_two
    assert not tiers(story.fleet(H100=3).state).are_two
    assert tiers(story.fleet(H100=3, H200=1).state).are_two


def test_without_any_gpu_there_is_no_tier_and_the_plan_waits() -> None:
    story = two_types()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 0.9, 0.9).settle()
    assert story.state.experiments[name].screened
    story.tell(ev.ExperimentPromoted, experiment=name, by="ada").fleet()
    assert not tiers(story.state).are_two
    assert plan(story.state, Rules(), story.at) == ()


def test_a_type_on_which_the_baseline_does_not_run_is_no_tier_until_an_engine_tries_again() -> None:
    story = Story().fleet(H100=3, H200=1).score(E0, *BASE)
    for _ in range(3):
        assert tiers(story.state).are_two
        story.crash(story.start(E0, on="H200"))
    assert is_stuck(story.state, E0, "H200")
    assert tiers(story.state) == Tiers(("H100",), ("H100",))
    story.wait(60).engine()
    assert tiers(story.state).are_two


# --- agreement --------------------------------------------------------------------------------------------------------


def on_both(*pairs: tuple[float, float]) -> State:
    """Experiments with their results on the screening and on the validation tier, and no baseline."""
    story = Story().fleet(H100=3, H200=1)
    names = story.wave(*({"DEPTH": str(depth)} for depth in range(5, 5 + len(pairs))))
    for name, (screened, validated) in zip(names, pairs, strict=True):
        story.score(name, screened).score(name, validated, on="H200")
    return story.state


@pytest.mark.parametrize(
    ("pairs", "correlation"),
    [
        ([(1, 11), (2, 12), (3, 13)], 1.0),
        ([(1, 13), (2, 12), (3, 11)], -1.0),
        ([(1, 11), (2, 13), (3, 12), (4, 14)], 0.8),
        ([(1, 11), (2, 12), (2, 13), (4, 14)], 0.9487),
        ([(1, 11), (1, 12), (2, 12), (2, 11)], 0.0),
        ([(1, 11), (1, 12)], 0.0),
    ],
    ids=["same", "reversed", "one swap", "a tie", "ties on both", "no spread"],
)
def test_the_rank_correlation_is_spearmans_with_ties_sharing_their_ranks(
    pairs: list[tuple[float, float]], correlation: float
) -> None:
    found = agreement(on_both(*pairs))
    assert found is not None
    assert found.rank_correlation == pytest.approx(correlation, abs=1e-4)
    assert found.experiments == len(pairs)


def test_there_is_nothing_to_agree_on_with_one_tier_or_one_experiment() -> None:
    assert agreement(on_both((1, 2))) is None
    assert agreement(Story().score(E0, 1.0, 1.0).state) is None


def test_few_experiments_are_not_called_poor_agreement() -> None:
    reversed_pairs = [(1, 15), (2, 14), (3, 13), (4, 12), (5, 11)]
    few, enough = agreement(on_both(*reversed_pairs[:4])), agreement(on_both(*reversed_pairs))
    assert few is not None
    assert enough is not None
    assert (few.is_poor, enough.is_poor) == (False, True)


# --- the way through both ---------------------------------------------------------------------------------------------


def test_new_experiments_go_to_the_screening_tier_first() -> None:
    story = two_types()
    story.wave({"DEPTH": "2"}, {"DEPTH": "8"})
    assert launches(story.settle())[:2] == [("e1", "H100", "screen"), ("e2", "H100", "screen")]


def test_what_passes_the_screening_is_kept_only_when_the_validation_type_confirms_it() -> None:
    story = two_types()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 0.98, 0.98)
    moves = story.settle()
    experiment = story.state.experiments[name]
    assert experiment.screened
    assert experiment.status == "retest"
    assert "H200 must confirm it" in experiment.reason
    assert launches(moves)[0] == (name, "H200", "validate")
    story.score(name, 0.98 + OFFSET, 0.98 + OFFSET, on="H200").settle()
    kept = story.state.experiments[name]
    assert (kept.status, story.state.baseline) == ("kept", name)
    assert kept.evidence is not None
    assert kept.evidence.gpu_type == "H200"


def test_what_the_validation_type_does_not_confirm_is_discarded_however_good_it_was() -> None:
    story = two_types()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 0.9, 0.9).settle()
    story.score(name, 1.01 + OFFSET, on="H200").settle()
    assert story.state.experiments[name].status == "discarded"


def test_results_of_two_types_are_never_compared() -> None:
    story = two_types()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 1.001 + OFFSET, on="H200")  # far better than the other type's baseline, no better than its own
    story.settle()
    evidence = story.state.experiments[name].evidence
    assert evidence is None or (evidence.gpu_type == "H200" and evidence.delta == pytest.approx(0.001))


def test_an_experiment_waits_until_the_baseline_is_measured_on_its_type() -> None:
    story = Story().fleet(H100=3, H200=1).score(E0, *BASE)
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 0.9 + OFFSET, 0.9 + OFFSET, on="H200")
    assert isinstance(judge(story.state, story.state.experiments[name], Rules()), Wait)


def test_a_promoted_experiment_goes_to_the_validation_type_without_a_screening() -> None:
    story = two_types()
    (name,) = story.wave({"DEPTH": "2"})
    moves = story.tell(ev.ExperimentPromoted, experiment=name, by="ada").settle()
    assert launches(moves)[0] == (name, "H200", "validate")
    story.score(name, 0.9 + OFFSET, 0.9 + OFFSET, on="H200").settle()
    assert story.state.experiments[name].status == "kept"


def test_an_experiment_screened_before_its_validation_type_vanished_is_judged_where_it_ran() -> None:
    story = two_types()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 0.98, 0.98).settle()
    story.fleet(H100=3)
    assert judged_on(story.state, story.state.experiments[name]) == "H100"
    story.settle()
    assert story.state.experiments[name].status == "kept"


def test_the_validation_needs_less_because_the_screening_counts_already() -> None:
    story = two_types()
    (name,) = story.wave({"DEPTH": "2"})
    story.score(name, 0.98, 0.98).settle()
    screening = story.state.experiments[name].screening
    story.score(name, 0.98 + OFFSET, 0.98 + OFFSET, on="H200")
    validation = judge(story.state, story.state.experiments[name], Rules())
    assert isinstance(validation, Final)
    assert validation.evidence is not None
    assert screening is not None
    assert validation.evidence.needed < screening.needed


# --- how many go on ---------------------------------------------------------------------------------------------------


def good_cells(story: Story, count: int) -> list[ExperimentId]:
    depths = tuple(str(depth) for depth in range(5, 5 + count))
    names = story.wave(*({"DEPTH": depth} for depth in depths), factors={"DEPTH": depths})
    for place, name in enumerate(names):
        story.score(name, *[0.9 + place / 10_000] * 2)
    return names


def disagreeing(story: Story) -> None:
    """Six more experiments, discarded, that the two types order in opposite ways."""
    for place, name in enumerate(story.wave(*({"MATRIX_LR": f"0.{number}"} for number in range(1, 7)))):
        story.score(name, 1.1 + place / 100).score(name, 1.3 - place / 100, on="H200").judge(name, "discarded")


def screened(story: Story) -> list[ExperimentId]:
    return [name for name in story.state.open if story.state.experiments[name].screened]


def test_the_best_of_a_designed_wave_go_on_and_more_of_them_while_the_tiers_disagree() -> None:
    agreed, poor = two_types(), two_types()
    disagreeing(poor)
    for story in (agreed, poor):
        names = good_cells(story, 8)
        story.settle(Rules(max_retests=0))
        assert set(screened(story)) == set(names[: len(screened(story))]), "the best first"
    assert (len(screened(agreed)), len(screened(poor))) == (3, 6)


def test_a_poor_agreement_lowers_what_the_screening_asks_for() -> None:
    agreed, poor = two_types(), two_types()
    disagreeing(poor)
    needed = []
    for story in (agreed, poor):
        (name,) = story.wave({"DEPTH": "2"})
        story.score(name, 0.999)
        evidence = getattr(judge(story.state, story.state.experiments[name], Rules()), "evidence", None)
        assert evidence is not None
        needed.append(evidence.needed)
    assert needed[1] < needed[0]


def test_the_second_run_of_a_validation_starts_while_the_first_goes_on() -> None:
    story = two_types(validate=3)
    name, _ = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.score(name, 0.98, 0.98).settle()
    first = story.start(name, on="H200", purpose="retest")
    assert launches(story.settle()).count((name, "H200", "validate")) == 1
    second = story.start(name, gpu=1, on="H200", purpose="retest")
    assert (name, "H200", "validate") not in launches(story.settle()), "two are enough for a verdict"
    story.finish(first, 0.98 + OFFSET).settle()
    assert story.state.experiments[name].is_open, "the second one counts, too"
    story.finish(second, 0.98 + OFFSET).settle()
    assert story.state.experiments[name].status == "kept"
