"""Random search and one change at a time, behind the researcher's protocol."""

from __future__ import annotations

import pytest
from story import E0, Story

from core import events as ev
from core.errors import ResearcherFailed
from core.ids import ExperimentId
from core.knobs import find, value_of
from core.researcher import Plan
from core.researchers.peers import GreedyResearcher, RandomResearcher
from core.waves import proposals


def carried(story: Story, plan: Plan) -> list[ExperimentId]:
    facts = list(proposals(story.state, plan, parent=story.state.baseline, by="r", at=story.at))
    story.facts += facts
    return [fact.experiment for fact in facts if isinstance(fact, ev.ExperimentProposed)]


async def test_random_search_fills_the_slots_with_new_settings() -> None:
    story = Story().score(E0, 2.5)
    for _ in range(3):
        plan = await RandomResearcher().propose(story.state, 16)
        assert len(carried(story, plan)) == len(plan.ideas) == 16
        assert plan.design is None


async def test_greedy_changes_one_constant_of_the_best() -> None:
    story, changed = Story().score(E0, 2.5), set[str]()
    for _ in range(8):
        (idea,) = (await GreedyResearcher().propose(story.state, 16)).ideas
        assert len(idea.change.settings) == 1
        changed |= set(idea.change.settings)
        carried(story, await GreedyResearcher().propose(story.state, 16))
    assert changed == {"DEPTH", "TOTAL_BATCH_SIZE", "MATRIX_LR", "WARMDOWN_RATIO"}


async def test_greedy_repeats_what_has_just_helped() -> None:
    story = Story().score(E0, 2.5)
    for _ in range(3):
        (winner,) = carried(story, await GreedyResearcher(without=("DEPTH",)).propose(story.state, 1))
        before = story.state.sources[story.state.baseline]
        story.score(winner, 2.3).judge(winner, "kept").move(winner)
        ((name, text),) = story.state.experiments[winner].change.settings.items()
        (idea,) = (await GreedyResearcher(without=("DEPTH",)).propose(story.state, 1)).ideas
        first, second, third = (float(str(value)) for value in _values(before, name, text, idea.change.settings[name]))
        assert (second > first) == (third > second)


def _values(source: str, name: str, *texts: str) -> list[object]:
    return [next(k.value for k in find(source) if k.name == name), *(value_of(text) for text in texts)]


@pytest.mark.parametrize("researcher", [GreedyResearcher, RandomResearcher])
async def test_they_give_up_when_nothing_is_left(researcher: type[GreedyResearcher | RandomResearcher]) -> None:
    story = Story().score(E0, 2.5)

    async def go_on() -> None:
        for _ in range(100):
            plan = await researcher(only=("TOTAL_BATCH_SIZE",)).propose(story.state, 1)
            assert carried(story, plan)

    with pytest.raises(ResearcherFailed):
        await go_on()


async def test_without_constants_they_say_so() -> None:
    with pytest.raises(ResearcherFailed, match="no constants that may be varied"):
        await RandomResearcher(only=("NOTHING",)).propose(Story().state, 1)
