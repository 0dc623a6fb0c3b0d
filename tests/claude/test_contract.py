"""What every researcher keeps to, whoever thinks: statistics, a model, or one in the place of the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from campaign import UPSTREAM
from claude.competent import Competent
from claude.desks import StoryDesk
from claude.replies import failure
from claude.server import KEY, Server
from story import Story

from core import events as ev
from core import waves
from core.claude.settings import ClaudeSettings
from core.clock import SystemClock
from core.ids import ExperimentId
from core.researcher import Plan, Researcher, Talking
from core.researchers.claude import ClaudeResearcher
from core.researchers.designed import DesignedResearcher
from core.researchers.standing_in import StandingIn
from core.state import State

SLOTS = 8
KINDS = ("designed", "claude", "claude with a stand-in", "a stand-in for claude")


@contextmanager
def researching(kind: str, folder: Path) -> Iterator[Researcher]:
    """One of that kind, with a scripted model behind it where it has one."""
    down = kind == "a stand-in for claude"
    with Server((lambda _: failure(401, "authentication_error", "no")) if down else Competent()) as server:
        settings = ClaudeSettings(base_url=server.url)
        clock = SystemClock()
        claude = ClaudeResearcher(folder, folder / "runs", settings, clock)
        with patch.dict("os.environ", {"ANTHROPIC_API_KEY": KEY}):
            match kind:
                case "designed":
                    yield DesignedResearcher()
                case "claude":
                    yield claude
                case _:
                    yield StandingIn(claude, DesignedResearcher(), clock, 60.0)


@pytest.fixture
def story() -> Story:
    story = Story(gpus=SLOTS, source=UPSTREAM)
    return story.score(ExperimentId("e0"), 1.0, 1.001, 0.999)


@pytest.fixture(params=KINDS)
def researcher(request: pytest.FixtureRequest, tmp_path: Path, story: Story) -> Iterator[Researcher]:
    for name, content in (("train.py", UPSTREAM), ("prepare.py", "TIME_BUDGET = 300\n"), ("program.md", "Lower it.\n")):
        (tmp_path / name).write_text(content)
    with researching(request.param, tmp_path) as made:
        if isinstance(made, Talking):
            made.sit(StoryDesk(story))
        yield made


def proposed(state: State, plan: Plan) -> list[ev.ExperimentProposed]:
    facts = waves.proposals(state, plan, parent=state.baseline, by="r", at=state.at)
    return [fact for fact in facts if isinstance(fact, ev.ExperimentProposed)]


def wave(story: Story, plan: Plan) -> list[ev.ExperimentProposed]:
    """Tells the story of a plan, and that each of its experiments was no better."""
    facts = list(waves.proposals(story.state, plan, parent=story.state.baseline, by="r", at=story.at))
    story.facts += facts
    found = [fact for fact in facts if isinstance(fact, ev.ExperimentProposed)]
    for place, fact in enumerate(found):
        story.score(fact.experiment, 1.002 + 0.0001 * place)
        story.tell(ev.ExperimentJudged, experiment=fact.experiment, verdict="discarded", reason="no better")
    return found


async def test_one_answer_fills_the_fleet_with_changes_that_may_run(researcher: Researcher, story: Story) -> None:
    plan = await researcher.propose(story.state, SLOTS)
    assert plan.reason
    assert plan.wait_s == 0
    found = proposed(story.state, plan)
    assert len(found) >= SLOTS - 1
    assert all(fact.title for fact in found)
    assert len({fact.digest for fact in found}) == len(found)


async def test_a_design_names_the_level_of_each_of_its_factors(researcher: Researcher, story: Story) -> None:
    plan = await researcher.propose(story.state, SLOTS)
    if plan.design is not None:
        names = {factor.name for factor in plan.design.factors}
        assert all(set(idea.cell) == names for idea in plan.ideas)


async def test_it_asks_for_something_new_each_time(researcher: Researcher, story: Story) -> None:
    seen: set[str] = set()
    for _ in range(4):
        found = wave(story, await researcher.propose(story.state, SLOTS))
        assert found
        assert not seen & {fact.digest for fact in found}
        seen |= {fact.digest for fact in found}


async def test_it_starts_from_the_baseline_of_the_moment(researcher: Researcher, story: Story) -> None:
    first = wave(story, await researcher.propose(story.state, SLOTS))[0]
    story.tell(ev.ExperimentJudged, experiment=first.experiment, verdict="kept", reason="better")
    story.move(first.experiment)
    found = proposed(story.state, await researcher.propose(story.state, SLOTS))
    assert found
    assert all(fact.parent == first.experiment for fact in found)


async def test_it_can_be_interrupted_and_asked_again(researcher: Researcher, story: Story) -> None:
    asked = asyncio.create_task(researcher.propose(story.state, SLOTS))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert proposed(story.state, await researcher.propose(story.state, SLOTS))


async def test_it_neither_changes_what_it_is_shown_nor_the_verdicts(researcher: Researcher, story: Story) -> None:
    before = story.state
    await researcher.propose(before, SLOTS)
    assert story.state.experiments == before.experiments
    assert story.state.runs == before.runs
