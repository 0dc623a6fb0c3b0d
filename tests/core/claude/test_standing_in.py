"""Who answers when: a principal that fails in every way, a stand-in, and virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from claude.desks import StoryDesk
from story import Story

from core import commands, virtual
from core import events as ev
from core.claude.conversation import Unavailable
from core.patch import Change
from core.researcher import Desk, Idea, Plan
from core.researchers.standing_in import StandingIn
from core.state import State
from core.virtual import VirtualClock

IDEA = Idea(title="a try", change=Change(settings={"DEPTH": "3"}))
NOTHING_LEFT = Plan(reason="everything was tried", ideas=())


class Principal:
    """Fails as told, or takes `takes` seconds for a plan."""

    name = "claude"

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.takes = clock, 10.0
        self.failure: Exception | None = None
        self.patience: list[float] = []

    def sit(self, desk: Desk) -> None:
        pass

    async def plan(self, state: State, slots: int, *, patience_s: float) -> Plan:
        self.patience.append(patience_s)
        await self.clock.sleep(self.takes)
        if self.failure is not None:
            raise self.failure
        return Plan(reason="mine", ideas=(IDEA,))


class Stand:
    name = "designed"
    answer = Plan(reason="statistics", ideas=(IDEA,))

    async def propose(self, state: State, slots: int) -> Plan:
        return self.answer


class Scene:
    def __init__(self) -> None:
        found = virtual.running_clock()
        assert found is not None
        self.clock = found
        self.clock.start_at(1_000_000.0)
        self.story, self.principal, self.stand = Story(), Principal(self.clock), Stand()
        self.researcher = StandingIn(self.principal, self.stand, self.clock, 300.0)
        self.researcher.sit(StoryDesk(self.story))

    async def ask(self, after: float = 0.0) -> Plan:
        await self.clock.sleep(after)
        return await self.researcher.propose(self.story.state, 4)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(fact.stand_in, fact.reason) for fact in self.story.facts if isinstance(fact, ev.StandInAsked)]


def played(scene: Coroutine[Any, Any, None]) -> None:
    virtual.run(scene)


def test_while_it_answers_nobody_stands_in() -> None:
    async def scene() -> None:
        s = Scene()
        assert (await s.ask()).by == ""
        assert s.told == []
        assert s.principal.patience == [300.0]

    played(scene())


def test_what_takes_too_long_is_planned_by_the_stand_in_on_time_and_says_why() -> None:
    async def scene() -> None:
        s = Scene()
        s.principal.takes = 10_000.0
        before = s.clock.now()
        assert (await s.ask()).by == "designed"
        assert s.clock.now() - before == 300.0
        assert s.told == [("designed", "it had no plan after 300 s")]

    played(scene())


def test_it_is_asked_again_after_a_while_and_comes_back() -> None:
    async def scene() -> None:
        s = Scene()
        s.principal.failure = Unavailable("the service is overloaded")
        await s.ask()
        await s.ask(after=30.0)
        assert len(s.principal.patience) == 1, "too early to ask again"
        s.principal.failure = None
        assert (await s.ask(after=40.0)).by == ""
        assert s.principal.patience[-1] == 0.0, "one try is enough to know"
        assert [name for name, _ in s.told] == ["designed", ""]
        await s.ask()
        assert s.principal.patience[-1] == 300.0

    played(scene())


def test_it_is_asked_ever_less_often() -> None:
    async def scene() -> None:
        s = Scene()
        s.principal.failure = Unavailable("the service is overloaded")
        for _ in range(200):
            await s.ask(after=60.0)
        assert len(s.principal.patience) < 12
        assert len(s.told) == 1, "it is said once"

    played(scene())


def test_a_time_that_the_service_names_is_kept_to() -> None:
    async def scene() -> None:
        s = Scene()
        s.principal.failure = Unavailable("the rate limit is reached", again_at=s.clock.now() + 3610)
        for _ in range(59):
            await s.ask(after=60.0)
        assert len(s.principal.patience) == 1
        await s.ask(after=120.0)
        assert len(s.principal.patience) == 2

    played(scene())


def test_what_only_a_person_can_mend_is_tried_at_once_when_one_says_something() -> None:
    async def scene() -> None:
        s = Scene()
        s.principal.failure = Unavailable("the account has no credit", is_final=True)
        await s.ask()
        await s.ask(after=300.0)
        assert len(s.principal.patience) == 1
        s.story.order(commands.Note(text="There is credit now."))
        s.principal.failure = None
        assert (await s.ask()).by == ""

    played(scene())


def test_a_stand_in_without_ideas_waits_because_the_other_may_come_back() -> None:
    async def scene() -> None:
        s = Scene()
        s.stand.answer = NOTHING_LEFT
        s.principal.failure = Unavailable("the service is overloaded")
        plan = await s.ask()
        assert not plan.ideas
        assert 0 < plan.wait_s <= 300

    played(scene())


def test_whatever_it_raises_the_session_goes_on() -> None:
    async def scene() -> None:
        s = Scene()
        s.principal.failure = KeyError("w7")
        assert (await s.ask()).by == "designed"
        assert "KeyError" in s.told[0][1]

    played(scene())


def test_an_engine_that_ends_meanwhile_ends_the_question() -> None:
    async def scene() -> None:
        s = Scene()
        s.principal.takes = 100.0
        task = asyncio.create_task(s.ask())
        await s.clock.sleep(5.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert s.told == []

    played(scene())
