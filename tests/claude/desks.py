"""A desk without an engine: what is recorded there is told to a story, and wishes are decided as the engine would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from story import Story

from core import commands
from core.errors import Refused
from core.state import State
from core.thinking import ThinkingFact


class StoryDesk:
    def __init__(self, story: Story) -> None:
        self.story = story

    @property
    def state(self) -> State:
        return self.story.state

    def record(self, *facts: ThinkingFact) -> None:
        self.story.facts += facts

    def command(self, wish: commands.Command) -> str:
        try:
            self.story.facts += commands.decide(self.state, msgspec.structs.replace(wish, at=self.story.at))
        except Refused as no:
            return str(no)
        return ""

    async def until(self, ready: Callable[[State], bool]) -> None:
        while not ready(self.state):  # noqa: ASYNC110  a story tells nobody of its news
            await asyncio.sleep(0.005)
