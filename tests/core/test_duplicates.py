"""Duplicates that show only when they run: never paid for twice, and never called that when they are not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from story import E0, SOURCE, Story

from core import events as ev
from core.claude import tables
from core.duplicates import duplicates, handed_over, of_others
from core.ids import ExperimentId, RunId
from core.ledger import ledger
from core.patch import Edit
from core.policy import Cancel, Launch, plan
from core.verdict import Rules

RATIOS = (48, 64, 72, 80, 90, 96)
UPSTREAM = SOURCE.replace("DEPTH = 4", "ASPECT_RATIO = 100\nDEPTH = 8")
E1, E2, E3, E4, E5, E6 = (ExperimentId(f"e{number}") for number in range(1, 7))


def model_line(ratio: int, head: int = 128) -> str:
    """As upstream prints it: a width is a whole number of heads."""
    width = math.ceil(8 * ratio / head) * head
    return f"GPTConfig(sequence_len=2048, vocab_size=8192, n_layer=8, n_head={width // head}, n_embd={width})"


def found(story: Story) -> dict[str, str]:
    return {name: twin for name, twin, _ in duplicates(story.state)}


def two(story: Story, first: str = "same", second: str = "same") -> tuple[RunId, RunId]:
    """Two experiments that run, with what they report."""
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    runs = story.start(one), story.start(other, gpu=1)
    story.report(runs[0], first).report(runs[1], second)
    return runs


# --- a fingerprint of everything --------------------------------------------------------------------------------------


def test_the_same_fingerprint_is_the_same_experiment() -> None:
    story = Story()
    two(story)
    assert found(story) == {E2: E1}
    assert [reason for *_, reason in duplicates(story.state)] == ["it reports the same configuration as e1"]


def test_another_fingerprint_is_another_experiment_and_no_fingerprint_says_nothing() -> None:
    story = Story()
    two(story, "one", "other")
    assert found(story) == {}
    silent = Story()
    two(silent, "", "")
    assert found(silent) == {}


def test_what_reports_the_same_as_the_train_py_as_found_is_a_replicate_of_it() -> None:
    story = Story()
    story.report(story.start(E0), "f")
    (name,) = story.wave({"DEPTH": "2"})
    story.report(story.start(name), "f")
    assert found(story) == {E1: E0}


def test_a_replicate_is_no_duplicate_of_its_own_experiment() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    for gpu in range(2):
        story.report(story.start(name, gpu=gpu), "f")
    assert found(story) == {}


def test_an_early_duplicate_is_stopped_and_costs_no_second_result() -> None:
    story = Story()
    _, second = two(story)
    moves = story.progress(second, 9.0, 8.0).settle()
    assert Cancel(second) in moves
    story.cancel(second).settle()
    duplicate = story.state.experiments[E2]
    assert (duplicate.status, duplicate.twin) == ("duplicate", E1)
    assert not [move for move in story.settle() if isinstance(move, Launch) and move.experiment == E2]


def test_a_late_duplicate_finishes_and_counts_as_a_replicate_of_its_twin() -> None:
    story = Story()
    first, second = two(story)
    moves = story.progress(second, 9.0, 8.0, 7.0, 6.0).settle()
    assert Cancel(second) not in moves
    story.finish(first, 2.4).finish(second, 2.41)
    assert story.state.experiments[E2].status == "duplicate"
    assert story.state.scores[E1, "cpu"] == (2.4, 2.41)
    assert (E2, "cpu") not in story.state.scores
    assert story.state.spread["cpu"].df == 1


def test_a_duplicate_found_after_its_end_hands_its_result_over() -> None:
    story = Story()
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    first, second = story.start(one), story.start(other, gpu=1)
    story.report(first, "f").finish(first, 2.4).finish(second, 2.41).report(second, "f")
    story.settle()
    assert story.state.scores[E1, "cpu"] == (2.4, 2.41)
    assert (E2, "cpu") not in story.state.scores


def test_the_twin_knows_whose_runs_count_for_it() -> None:
    story = Story()
    first, second = two(story)
    story.progress(second, 9.0, 8.0, 7.0, 6.0).settle()
    one = story.state.experiments[E1]
    assert (one.repeated_by, of_others(story.state, one)) == ((E2,), ""), "nothing was measured yet"
    story.finish(first, 2.4).finish(second, 2.41)
    one, other = story.state.experiments[E1], story.state.experiments[E2]
    assert [run.id for run in handed_over(story.state, one.repeated_by)] == [second]
    assert "(2 runs with those of e2, cpu)" in tables.line(story.state, one)
    assert "same as e1" in tables.line(story.state, other)


def test_the_time_of_a_stopped_duplicate_is_booked_as_such() -> None:
    story = Story()
    _, second = two(story)
    story.settle()
    story.wait(7).tell(ev.RunEnded, run=second, outcome="cancelled")
    assert ledger(story.state, story.at)["duplicate"] == pytest.approx(7)


@pytest.mark.parametrize("end", ["crashed", "vetoed"])
def test_a_twin_that_has_no_result_and_will_have_none_does_not_count(end: str) -> None:
    story = Story().score(E0, 2.5, 2.5, 2.5)
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    run = story.start(one)
    story.report(run, "f")
    if end == "crashed":
        story.crash(run).settle()
    else:
        story.tell(ev.ExperimentVetoed, experiment=one, by="ada").cancel(run)
    assert story.state.experiments[one].status == end
    story.report(story.start(other), "f")
    assert found(story) == {}


def test_a_duplicate_of_a_duplicate_is_one_of_the_first() -> None:
    story = Story(gpus=3)
    two(story)
    story.settle()
    (third,) = story.wave({"DEPTH": "9"})
    story.report(story.start(third, gpu=2), "same")
    assert found(story) == {E3: E1}


def test_of_two_that_are_open_the_one_that_reported_first_is_the_twin() -> None:
    story = Story()
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.report(story.start(other), "f")
    assert found(story) == {}
    story.report(story.start(one, gpu=1), "f")
    assert found(story) == {E1: E2}


def test_what_a_finished_experiment_measured_is_not_measured_again_for_an_older_one() -> None:
    story = Story().score(E0, 2.5, 2.51, 2.49)
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    run = story.start(other)
    story.report(run, "f").finish(run, 2.9).settle()
    assert story.state.experiments[other].status == "discarded"
    story.report(story.start(one), "f")
    assert found(story) == {E1: E2}


def test_a_baseline_is_the_twin_even_if_it_reports_later() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "2"})
    story.report(story.start(name), "f").report(story.start(E0, gpu=1), "f")
    assert found(story) == {E1: E0}


def test_a_run_that_was_lost_does_not_hide_a_duplicate() -> None:
    story = Story()
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.report(story.start(one), "f")
    story.tell(ev.RunEnded, run=story.start(other, gpu=1), outcome="lost", reason="power cut")
    story.report(story.start(other, gpu=1), "f")
    assert found(story) == {E2: E1}


def test_what_was_measured_twice_already_is_no_duplicate_any_more() -> None:
    story = Story()
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    first = story.start(other)
    story.finish(first, 2.4).start(other, gpu=1)
    story.report(story.start(one), "f").report(first, "f")
    assert found(story) == {}


# --- a line about the model alone -------------------------------------------------------------------------------------


def wave_of_ratios() -> Story:
    story = Story(gpus=7, source=UPSTREAM)
    story.report(story.start(E0), model_line(100), exact=False)
    names = story.wave(*({"ASPECT_RATIO": str(ratio)} for ratio in RATIOS), factors={"ASPECT_RATIO": ("48", "64")})
    for gpu, (name, ratio) in enumerate(zip(names, RATIOS, strict=True), 1):
        story.report(story.start(name, gpu=gpu), model_line(ratio), exact=False)
    return story


def test_six_aspect_ratios_that_are_four_models_are_paid_for_as_four() -> None:
    story = wave_of_ratios()
    assert found(story) == {E4: E3, E6: E5}
    assert {move.run for move in story.settle() if isinstance(move, Cancel)} == {"e4-1", "e6-1"}
    assert set(story.state.open) == {E1, E2, E3, E5}


def test_two_learning_rates_with_one_model_are_two_experiments() -> None:
    story = Story(gpus=3, source=UPSTREAM)
    story.report(story.start(E0), model_line(100), exact=False)
    names = story.wave({"MATRIX_LR": "0.02"}, {"MATRIX_LR": "0.08"})
    for gpu, name in enumerate(names, 1):
        story.report(story.start(name, gpu=gpu), model_line(100), exact=False)
    assert found(story) == {}


def test_a_constant_that_never_changed_the_model_may_do_something_else() -> None:
    """One ratio with the model of its parent: it may act otherwise too, nothing has shown that it does not."""
    story = Story(source=UPSTREAM)
    story.report(story.start(E0), model_line(100), exact=False)
    (name,) = story.wave({"ASPECT_RATIO": "104"})
    assert model_line(104) == model_line(100), "it must be the same model for this test"
    story.report(story.start(name, gpu=1), model_line(104), exact=False)
    assert found(story) == {}


def test_one_model_with_another_learning_rate_besides_is_another_experiment() -> None:
    story = wave_of_ratios()
    narrow, same = story.wave({"ASPECT_RATIO": "48", "MATRIX_LR": "0.02"}, {"ASPECT_RATIO": "80", "MATRIX_LR": "0.02"})
    story.report(story.start(narrow), model_line(48), exact=False).report(
        story.start(same), model_line(80), exact=False
    )
    assert found(story) == {E4: E3, E6: E5}


def test_two_edits_with_one_model_are_two_experiments() -> None:
    story = Story(gpus=3, source=UPSTREAM)
    story.wave()
    for gpu, mark in enumerate("ab"):
        name = story.edit(Edit('print("---")', f'print("{mark}---")'), mark)
        story.report(story.start(name, gpu=gpu), model_line(100), exact=False)
    assert found(story) == {}


def test_a_duplicate_whose_run_has_ended_is_not_cancelled_again() -> None:
    story = wave_of_ratios()
    story.settle()
    for run in (RunId("e4-1"), RunId("e6-1")):
        story.cancel(run)
    assert not [move for move in plan(story.state, Rules(), story.at) if isinstance(move, Cancel)]


# --- what refutes it --------------------------------------------------------------------------------------------------

FIXED = UPSTREAM.replace('int(os.environ.get("AUTORESEARCH_SEED", 1))', "42")  # as upstream's train.py has it


def ratios(first: dict[str, Any], second: dict[str, Any], *, source: str = UPSTREAM, seed: int = 1) -> Story:
    """Ratios 48 and 72 are two models; 72 and 80 print the same one, with `first` and `second` besides."""
    story = Story(gpus=4, source=source)
    names = story.wave(
        *({"ASPECT_RATIO": str(ratio)} for ratio in (48, 72, 80)), factors={"ASPECT_RATIO": ("48", "72")}
    )
    for name, ratio, more in zip(names[:2], (48, 72), ({}, first), strict=True):
        story.report(story.start(name), model_line(ratio), exact=False, **more)
    last = RunId("e3-1")
    story.tell(ev.RunRequested, run=last, experiment=E3, gpu_type="cpu", seed=seed)
    story.tell(ev.RunStarted, run=last, gpu=story.gpus[3].id)
    return story.report(last, model_line(80), exact=False, **second)


def test_the_same_model_line_with_another_number_of_parameters_is_another_model() -> None:
    assert found(ratios({"params_m": 50.3}, {"params_m": 50.3})) == {E3: E2}
    assert found(ratios({"params_m": 50.3}, {})) == {E3: E2}, "one that does not say refutes nothing"
    assert found(ratios({"params_m": 50.3}, {"params_m": 50.4})) == {}


def test_another_first_loss_from_the_same_seed_is_another_model() -> None:
    begin: dict[str, Any] = {"step": 0, "loss": 9.010913}
    assert found(ratios(begin, begin)) == {E3: E2}
    assert found(ratios(begin, {"step": 0, "loss": 9.010914})) == {E3: E2}, "a last digit is rounding"
    assert found(ratios(begin, {"step": 0, "loss": 9.0112})) == {}


def test_first_losses_of_other_steps_and_other_seeds_do_not_compare() -> None:
    begin: dict[str, Any] = {"step": 0, "loss": 9.010913}
    assert found(ratios(begin, {"step": 3, "loss": 8.9})) == {E3: E2}
    assert found(ratios(begin, {"step": 0, "loss": 9.0112}, seed=2)) == {E3: E2}


def test_a_train_py_that_reads_no_seed_has_the_same_one_in_every_run() -> None:
    begin: dict[str, Any] = {"step": 0, "loss": 9.010913}
    assert found(ratios(begin, {"step": 0, "loss": 9.0112}, seed=2, source=FIXED)) == {}
    assert found(ratios(begin, begin, seed=2, source=FIXED)) == {E3: E2}


def test_a_fingerprint_is_not_believed_against_the_number_of_parameters() -> None:
    story = Story()
    one, other = story.wave({"DEPTH": "2"}, {"DEPTH": "3"})
    story.report(story.start(one), "f", params_m=50.3).report(story.start(other, gpu=1), "f", params_m=51.0)
    assert found(story) == {}


def test_an_edit_with_the_model_parameters_and_first_loss_of_its_parent_is_no_duplicate() -> None:
    """It may act on what trains the model, which shows in none of them."""
    said: dict[str, Any] = {"exact": False, "params_m": 50.3, "step": 0, "loss": 9.010913}
    story = Story(gpus=3, source=FIXED)
    story.report(story.start(E0), model_line(100), **said).wave()
    name = story.edit(Edit("WARMDOWN_RATIO = 0.5", "WARMDOWN_RATIO = 0.5 + 0.1"), "longer warm-down")
    story.report(story.start(name, gpu=1), model_line(100), **said)
    assert found(story) == {}
