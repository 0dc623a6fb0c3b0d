"""The designed researcher: factorial waves that move, narrow, and say why."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.errors import ResearcherFailed
from core.ids import ExperimentId
from core.researcher import Plan
from core.researchers.designed import DesignedResearcher, wave_effects
from core.waves import proposals

NAMES = ("TOTAL_BATCH_SIZE", "DEPTH")


async def proposed(story: Story, slots: int = 2, **options: tuple[str, ...]) -> Plan:
    return await DesignedResearcher(**options).propose(story.state, slots)


def carried(story: Story, plan: Plan) -> list[ExperimentId]:
    facts = list(proposals(story.state, plan, parent=story.state.baseline, by="designed", at=story.at))
    story.facts += facts
    return [fact.experiment for fact in facts if isinstance(fact, ev.ExperimentProposed)]


async def test_the_first_wave_crosses_what_usually_matters_at_three_levels() -> None:
    plan = await proposed(Story())
    assert plan.design is not None
    assert {factor.name: factor.levels for factor in plan.design.factors} == {
        "TOTAL_BATCH_SIZE": ("2**13", "2**14", "2**15"),
        "DEPTH": ("2", "4", "8"),
    }
    assert len(plan.ideas) == 8, "nine cells, and the baseline has one of them already"
    assert plan.reason.startswith("full factorial over TOTAL_BATCH_SIZE (not tried yet)")


async def test_every_idea_names_its_cell_and_changes_only_what_differs() -> None:
    for idea in (await proposed(Story())).ideas:
        changed = {
            n: level for n, level in idea.cell.items() if level != {"TOTAL_BATCH_SIZE": "2**14", "DEPTH": "4"}[n]
        }
        assert idea.change.settings == changed


async def test_after_a_kept_change_the_next_wave_goes_further_the_same_way() -> None:
    story = Story().score(E0, 2.5, 2.5)
    names = carried(story, await proposed(story))
    winner = next(n for n in names if story.state.experiments[n].change.settings == {"TOTAL_BATCH_SIZE": "2**13"})
    story.score(winner, 2.3, 2.3).judge(winner, "kept").move(winner)
    plan = await proposed(story)
    assert plan.design is not None
    assert plan.design.factors[0].name == "TOTAL_BATCH_SIZE"
    assert plan.design.factors[0].levels == ("2**12", "2**13")
    assert "lowered by the latest kept change, so further" in plan.reason


async def test_a_constant_without_gain_is_looked_at_more_closely_and_later() -> None:
    story = Story().score(E0, 2.5, 2.5)
    carried(story, await proposed(story))
    second = await proposed(story)
    assert second.design is not None
    assert {factor.name for factor in second.design.factors} == {"MATRIX_LR", "WARMDOWN_RATIO"}
    carried(story, second)
    third = await proposed(story)
    assert third.design is not None
    (levels,) = [factor.levels for factor in third.design.factors if factor.name == "DEPTH"]
    assert levels == ("3", "4", "6")


async def test_a_large_fleet_gets_a_larger_wave() -> None:
    plan = await proposed(Story(gpus=26), slots=26)
    assert len(plan.ideas) == 26


@pytest.mark.parametrize("left", [1, 2, 3, 5])
async def test_a_wave_fits_the_limit_of_experiments(left: int) -> None:
    story = Story().tell(ev.LimitsSet, max_experiments=left)
    names = carried(story, await proposed(story))
    assert 1 <= len(names) <= left


async def test_constants_can_be_chosen_and_left_out() -> None:
    chosen = await proposed(Story(), only=("DEPTH", "WARMDOWN_RATIO"))
    assert {factor.name for factor in chosen.design.factors} == {"DEPTH", "WARMDOWN_RATIO"} if chosen.design else False
    without = await proposed(Story(), without=NAMES)
    assert without.design is not None
    assert not {factor.name for factor in without.design.factors} & set(NAMES)


async def test_without_constants_it_gives_up_with_a_sentence() -> None:
    with pytest.raises(ResearcherFailed, match="`factors` names NOTHING"):
        await proposed(Story(), only=("NOTHING",))


async def test_every_wave_holds_something_new_until_everything_was_tried() -> None:
    story, new = Story().score(E0, 2.5, 2.5), list[int]()

    async def go_on() -> None:
        while len(new) < 500:
            plan = await proposed(story)
            new.append(len(carried(story, plan)))
            assert new[-1] == len(plan.ideas) > 0, "nothing that is known is proposed again"

    with pytest.raises(ResearcherFailed, match="within reach has been tried"):
        await go_on()
    assert sum(new) > 100, "of four constants"


async def test_the_last_experiment_that_is_allowed_is_a_new_one() -> None:
    story = Story().score(E0, 2.5, 2.5)
    total = 0
    for limit in range(1, 40):
        story.tell(ev.LimitsSet, max_experiments=limit)
        total += len(carried(story, await proposed(story)))
        assert total == limit


async def test_the_effects_of_a_wave_use_the_baseline_as_its_unchanged_cell() -> None:
    story = Story().score(E0, 2.5, 2.5)
    for name in carried(story, await proposed(story)):
        cell = story.state.experiments[name].cell
        story.score(
            name, 2.5 - 0.1 * (cell["TOTAL_BATCH_SIZE"] == "2**13") + 0.1 * (cell["TOTAL_BATCH_SIZE"] == "2**15")
        )
    (wave,) = story.state.waves.values()
    first = wave_effects(story.state, wave)[0]
    assert first.factors == ("TOTAL_BATCH_SIZE",)
    assert first.size == pytest.approx(0.2)
