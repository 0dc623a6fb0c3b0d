"""The tools that act: what they plan and wish for, and what they say no to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from story import E0, Story

from core import commands, waves
from core import events as ev
from core.claude.schemas import INPUTS, TOOLS, described
from core.claude.tools import Used, View, use
from core.errors import PatchError
from core.ids import ExperimentId
from core.patch import Edit

SEED = "seed = int("


def no_files(path: str) -> str:
    raise PatchError(f"{path} is not in the workspace.")


def view(story: Story, **given: Any) -> View:
    return View(state=story.state, now=story.at, slots=8, files=no_files, **given)


def plan(story: Story, **given: Any) -> Used:
    return use("plan_wave", {"hypothesis": "it may help", "baseline": "e0", **given}, view(story))


def free(title: str, *settings: tuple[str, str], edits: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    return {
        "title": title,
        "hypothesis": "why not",
        "settings": [{"name": name, "value": value} for name, value in settings],
        "edits": [{"search": search, "replace": replace} for search, replace in edits],
    }


def factor(name: str, *levels: str) -> dict[str, Any]:
    return {"name": name, "levels": list(levels)}


def proposed(story: Story, used: Used) -> list[ev.Known]:
    assert used.plan is not None
    return list(waves.proposals(story.state, used.plan, parent=E0, by="claude", at=story.at))


# --- schemas ----------------------------------------------------------------------------------------------------------


def test_every_schema_is_strict_all_the_way_down_and_their_order_is_stable() -> None:
    def check(schema: dict[str, Any]) -> None:
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False
            assert schema["required"] == [*schema["properties"]]
            for each in schema["properties"].values():
                check(each)
        elif schema.get("type") == "array":
            check(schema["items"])
        assert "$ref" not in schema

    for tool in TOOLS:
        check(tool["input_schema"])
        assert tool["strict"] is True
    again = [
        {"name": n, "description": d, "input_schema": described(k), "strict": True} for n, (k, d) in INPUTS.items()
    ]
    assert json.dumps(again) == json.dumps(TOOLS)


def test_the_tools_are_those_of_the_contract() -> None:
    names = "plan_wave edit repair promote retest veto read_file results effects log_excerpt note wait"
    assert [tool["name"] for tool in TOOLS] == names.split()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plan_wave", {}),
        ("plan_wave", {"hypothesis": 3, "baseline": "e0"}),
        ("plan_wave", {"hypothesis": "h", "baseline": "e0", "design": "Latin square"}),
        ("plan_wave", {"hypothesis": "h", "baseline": "e0", "colour": "red"}),
        ("edit", {"experiment": "e0", "edits": "none"}),
        ("results", {"top": "many"}),
        ("wait", {"reason": None}),
        ("shell", {"command": "ls"}),
        ("", {}),
    ],
)
def test_malformed_input_is_answered_with_what_is_wrong_and_never_raises(name: str, arguments: dict[str, Any]) -> None:
    used = use(name, arguments, view(Story()))
    assert used.error
    assert used.plan is None
    assert "\n" not in used.told


# --- waves ------------------------------------------------------------------------------------------------------------


def test_one_call_carries_a_full_factorial_with_code_as_a_factor() -> None:
    story = Story()
    skip = {"name": "noisy", "levels": [], "edits": [{"search": SEED, "replace": "rest = 1\nseed = int("}]}
    used = plan(
        story, design="full factorial", factors=[factor("MATRIX_LR", "0.02", "0.04", "0.08"), skip], phase="wide"
    )
    assert used.error == ""
    facts = proposed(story, used)
    assert isinstance(facts[0], ev.WavePlanned)
    assert facts[0].phase == "wide"
    assert sum(isinstance(fact, ev.ExperimentProposed) for fact in facts) == 5, "the parent itself is no experiment"


@pytest.mark.parametrize(
    ("design", "levels", "cells"),
    [
        ("fractional factorial", 2, 7),
        ("Plackett-Burman", 2, 7),
        ("definitive screening", 3, 9),
        ("central composite", 3, 25),
    ],
)
def test_designs_are_taken_by_name(design: str, levels: int, cells: int) -> None:
    story = Story()
    names = {"DEPTH": "248", "MATRIX_LR": "123", "WARMDOWN_RATIO": "345", "TOTAL_BATCH_SIZE": "789"}
    texts = {"DEPTH": "{}", "MATRIX_LR": "0.0{}", "WARMDOWN_RATIO": "0.{}", "TOTAL_BATCH_SIZE": "2**1{}"}
    chosen = [factor(name, *(texts[name].format(digit) for digit in digits[:levels])) for name, digits in names.items()]
    used = plan(story, design=design, factors=chosen, most_cells=8)
    assert used.error == ""
    assert used.plan is not None
    assert used.plan.design is not None
    assert used.plan.design.kind == design
    assert len(used.plan.ideas) >= cells - 1
    assert all(idea.cell.keys() == names.keys() for idea in used.plan.ideas)


def test_a_wave_has_to_name_the_present_baseline() -> None:
    story = Story()
    used = plan(story, baseline="e7", experiments=[free("a", ("DEPTH", "6"))])
    assert "e0" in used.answer
    assert used.plan is None


def test_the_baseline_of_the_question_counts_even_if_it_has_moved_since() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "6"})
    story.score(name, 1.0).judge(name, "kept").move(name)
    asked = view(story, baseline=E0)
    used = use("plan_wave", {"hypothesis": "h", "baseline": "e0", "experiments": [free("a", ("DEPTH", "8"))]}, asked)
    assert used.error == ""


def test_good_ideas_of_a_list_go_on_and_refused_ones_are_recorded_with_their_reasons() -> None:
    story = Story()
    ideas = [free("deep", ("DEPTH", "6")), free("wide", ("WIDTH", "6")), free("fast", ("MATRIX_LR", "0.08"))]
    used = plan(story, experiments=ideas)
    assert "2 experiments" in used.told
    assert "wide" in used.answer
    rejected = [fact for fact in proposed(story, used) if isinstance(fact, ev.ProposalRejected)]
    assert [fact.title for fact in rejected] == ["wide"]
    story.facts += proposed(story, used)
    assert [fact.title for fact in story.state.waves[rejected[0].wave].refusals] == ["wide"]


def test_a_list_that_is_mostly_wrong_plans_nothing() -> None:
    used = plan(Story(), experiments=[free("a", ("X", "1")), free("b", ("Y", "1")), free("c", ("DEPTH", "6"))])
    assert used.plan is None
    assert "a: train.py has no constant" in used.answer


def test_a_cheating_idea_is_refused_and_never_becomes_an_experiment() -> None:
    story = Story()
    cheat = free("faster", edits=((SEED, "import subprocess\nseed = int("),))
    used = plan(story, experiments=[cheat, free("deep", ("DEPTH", "6"))])
    facts = proposed(story, used)
    assert [fact.title for fact in facts if isinstance(fact, ev.ExperimentProposed)] == ["deep"]
    assert "subprocess" in used.answer
    allowed = use(
        "plan_wave",
        {"hypothesis": "h", "baseline": "e0", "experiments": [cheat]},
        view(story, allowed=frozenset({"subprocess"})),
    )
    assert allowed.error == ""


def test_an_edit_that_matches_twice_or_never_says_how_often_and_what_is_nearest() -> None:
    twice = plan(Story(), experiments=[free("a", edits=(("print(", "pass("),))])
    assert "2 places" in twice.answer
    never = plan(Story(), experiments=[free("a", edits=(("MATRIX_LR = 0.05", "MATRIX_LR = 1"),))])
    assert "the nearest line" in never.answer


@pytest.mark.parametrize(
    "given",
    [
        {"design": "full factorial", "factors": []},
        {"design": "full factorial", "factors": [factor("DEPTH", "4")]},
        {"design": "full factorial", "factors": [factor("DEPTH", "4", "os.getcwd()")]},
        {"design": "full factorial", "factors": [factor("DEPTH", *map(str, range(1, 700)))]},
        {
            "design": "full factorial",
            "factors": [factor("DEPTH", "4", "6")],
            "experiments": [free("a", ("DEPTH", "8"))],
        },
        {"design": "list", "factors": [factor("DEPTH", "4", "6")]},
        {"design": "list"},
        {"design": "fractional factorial", "factors": [factor("DEPTH", "4", "6")], "generators": ["Z=Q"]},
        {"hypothesis": "  ", "experiments": [free("a", ("DEPTH", "8"))]},
        {"experiments": [free("a")]},
        {"experiments": [free("a", edits=(("x" * 300_000, "y"),))]},
    ],
)
def test_what_makes_no_wave_is_refused_with_a_sentence(given: dict[str, Any]) -> None:
    used = plan(Story(), **given)
    assert used.error
    assert used.plan is None


def test_a_wave_for_the_validation_tier_promotes_its_experiments() -> None:
    story = Story()
    used = plan(story, tier="validate", experiments=[free("deep", ("DEPTH", "6"))])
    assert any(isinstance(fact, ev.ExperimentPromoted) for fact in proposed(story, used))


def test_an_edit_is_tried_without_running_and_shows_its_diff() -> None:
    story = Story()
    block = {"search": "DEPTH = 4", "replace": "DEPTH = 5"}
    used = use("edit", {"experiment": "e0", "edits": [block]}, view(story))
    assert "+DEPTH = 5" in used.answer
    assert used.plan is None
    (name,) = story.wave({"DEPTH": "5"})
    assert f"same train.py as {name}" in use("edit", {"experiment": "e0", "edits": [block]}, view(story)).answer


# --- repairs ----------------------------------------------------------------------------------------------------------


def crashed(story: Story) -> ExperimentId:
    story.wave({"DEPTH": "6"})
    name = story.edit(Edit(SEED, "rate = undefined\nseed = int("), "a rate")
    story.crash(story.start(name)).judge(name, "crashed")
    return name


def mended(story: Story, name: ExperimentId, search: str = "undefined") -> Used:
    given = {"experiment": name, "diagnosis": "a name", "edits": [{"search": search, "replace": "0.5"}]}
    return use("repair", given, view(story))


def test_a_crash_is_repaired_once_by_an_experiment_that_carries_both_changes() -> None:
    story = Story()
    name = crashed(story)
    used = mended(story, name)
    facts = proposed(story, used)
    (fact,) = [fact for fact in facts if isinstance(fact, ev.ExperimentProposed)]
    assert [edit.replace for edit in fact.change.edits] == ["rate = undefined\nseed = int(", "0.5"]
    assert [fact.experiment for fact in facts if isinstance(fact, ev.RepairTried)] == [name]
    story.facts += facts
    assert "one repair" in mended(story, name).error
    story.crash(story.start(fact.experiment)).judge(fact.experiment, "crashed")
    assert "is a repair itself" in mended(story, fact.experiment).error


def test_what_has_not_crashed_is_not_repaired_and_a_wrong_edit_says_where() -> None:
    story = Story()
    name = crashed(story)
    assert "not crashed" in mended(story, E0).error
    assert f"train.py of {name}" in mended(story, name, "nowhere to be found").error
    assert "no experiment" in mended(story, ExperimentId("e99")).error


# --- wishes -----------------------------------------------------------------------------------------------------------


def wish(name: str, experiment: str, story: Story) -> Used:
    return use(name, {"experiment": experiment, "reason": "it looks good"}, view(story))


def test_promote_and_retest_are_commands_in_the_name_of_the_researcher() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "6"})
    (promoted,) = wish("promote", name, story).commands
    assert isinstance(promoted, commands.Promote)
    assert promoted.by == "claude"
    story.score(name, 1.0)
    (again,) = wish("retest", name, story).commands
    assert isinstance(again, commands.Rerun)


def test_what_the_engine_would_refuse_is_refused_at_once() -> None:
    story = Story()
    (name,) = story.wave({"DEPTH": "6"})
    assert "has not run yet" in wish("retest", name, story).error
    assert "no experiment" in wish("promote", "e99", story).error


def test_only_own_proposals_are_vetoed() -> None:
    story = Story()
    (theirs,) = story.wave({"DEPTH": "6"})
    assert "not your own" in wish("veto", theirs, story).error
    story.facts += proposed(story, plan(story, experiments=[free("deep", ("DEPTH", "8"))]))
    (own,) = wish("veto", "e2", story).commands
    assert isinstance(own, commands.Veto)


def test_a_note_is_cleaned_and_limited_and_not_written_twice() -> None:
    story = Story()
    used = use("note", {"text": "warm-up\x1b[31m does nothing\x07 (e4)"}, view(story))
    assert used.notes == ("warm-up does nothing (e4)",)
    story.tell(ev.NotebookWritten, text=used.notes[0])
    assert use("note", {"text": used.notes[0]}, view(story)).error
    assert use("note", {"text": " "}, view(story)).error
    assert use("note", {"text": "x" * 3000}, view(story)).error


def test_a_full_notebook_is_summed_up_before_more_is_written() -> None:
    story = Story()
    for number in range(12):
        story.tell(ev.NotebookWritten, text=f"{number} " + "x" * 1990)
    full = use("note", {"text": "y" * 1000}, view(story))
    assert "starts_over" in full.answer
    assert not full.notes
    summed = use("note", {"text": "all of it in one", "starts_over": True}, view(story))
    assert summed.starts_over
    story.tell(ev.NotebookWritten, text=summed.notes[0], starts_over=True)
    assert [entry.text for entry in story.state.notebook] == ["all of it in one"]


def test_waiting_is_refused_while_gpus_would_stand_still_and_bounded_otherwise() -> None:
    story = Story(gpus=2)
    assert "nothing to wait for" in use("wait", {"reason": "r", "seconds": 60}, view(story)).error
    one, two = story.wave({"DEPTH": "6"}, {"DEPTH": "8"})
    story.start(one)
    story.start(two, gpu=1)
    used = use("wait", {"reason": "the slope", "seconds": 1e9}, view(story))
    assert used.plan is not None
    assert used.plan.wait_s == 1800
    story.finish("e1-1", 1.0)  # type: ignore[arg-type]
    assert "stand still" in use("wait", {"reason": "r"}, view(story)).error
    assert use("wait", {"reason": "r", "seconds": float("nan")}, view(story)).error
