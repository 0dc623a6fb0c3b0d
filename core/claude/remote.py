"""The tools for a client outside the engine: it follows the session's file, and its wishes go in as command rows.

It is a window like any other: the engine decides, and says no where it would to an operator. A wave that was planned is
offered; the engine takes it when GPUs want one. It knows no protocol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from core import commands, log
from core.claude import context
from core.claude.fences import mark
from core.claude.files import log_reader, reader
from core.claude.schemas import INPUTS, Input, WaitInput, described
from core.claude.tools import Used, View, use
from core.claude.using import nothing_new
from core.errors import LogError, PatchError
from core.follower import Follower
from core.ledger import vacancy
from core.researcher import Plan
from core.state import State

SESSION, TO_WAIT = "session", "wait"
LONGEST_WAIT_S = 50.0  # clients give a call up after a minute
LOOK_S = 0.1
ANSWER_WITHIN_S = 10.0
HISTORY = 20_000  # tokens
NO_ENGINE = f"No engine is running; start one with `autoresearch-tui --researcher {commands.OUTSIDE}`, then try again."
WAITS = (
    f"Waits for news of the session, up to {LONGEST_WAIT_S:.0f} seconds, and tells it as `session` does. "
    "Plan a wave first wherever GPUs are free."
)
LOOKS = (
    "The session as it is now: what is wanted, what is new, and, unless `brief`, the present train.py and the whole "
    "history. Begin with this, and look again before each wave."
)


class SessionInput(Input, frozen=True):
    brief: bool = False


TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    SESSION: (LOOKS, {"type": "object", "properties": {"brief": {"type": "boolean"}}, "additionalProperties": False}),
    **{
        name: (WAITS if name == TO_WAIT else description, described(kind, is_strict=False))
        for name, (kind, description) in INPUTS.items()
    },
}


def instructions(workspace: Path, state: State) -> str:
    """What a client is told when it connects: role, rules and program.md."""
    role, program, *_ = context.prefix(_text(workspace, "program.md"), "", seal=mark(state))
    here = (
        "You work through tools: `session` shows what a turn would show, and a wave that you plan is taken when GPUs "
        "want one. Go on until the operator ends it: look, plan, wait, look again."
    )
    return f"{role['text']}\n\n{here}\n\n{program['text']}"


def _text(workspace: Path, name: str) -> str:
    try:
        return reader(workspace)(name)
    except PatchError:
        return ""


class RemoteTools:
    """`follow` runs beside the calls. `now` is the wall clock; a simulated session has that of its latest fact."""

    def __init__(
        self, workspace: Path, file: Path, allowed: frozenset[str] = frozenset(), now: Callable[[], float] = time.time
    ) -> None:
        self._workspace, self._file, self._allowed, self._now = workspace, file, allowed, now
        self.state = State()
        self._is_read, self._changed = asyncio.Event(), asyncio.Event()

    async def follow(self) -> None:
        """Keeps `state` as the file has it. Raises LogError."""
        async for update in Follower(self._file).updates():
            self.state = update.state
            if update.loading is None:
                self._is_read.set()
            self._changed.set()
            self._changed = asyncio.Event()

    async def _next(self) -> None:
        await self._changed.wait()

    async def use(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """The answer, and whether the call failed. Never raises for what a client sends."""
        async with asyncio.timeout(60):
            await self._is_read.wait()
        if name == SESSION:
            return self._session(is_brief=bool(arguments.get("brief", False))), False
        if name == TO_WAIT:
            return await self._waited(arguments)
        used = await asyncio.to_thread(use, name, arguments, self._view())
        if used.error:
            return used.answer, True
        return await self._carried_out(used)

    def _view(self) -> View:
        return View(
            state=self.state,
            now=self._time(),
            slots=self._slots(),
            files=reader(self._workspace),
            allowed=self._allowed,
            log_of=log_reader(self._file.parent / "runs"),
            by=commands.OUTSIDE,
        )

    def _time(self) -> float:
        return self.state.at if self.state.simulated else self._now()

    def _slots(self) -> int:
        if self.state.asked is not None:
            return self.state.asked.slots
        return max(1, vacancy(self.state.holders.values()).free)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _session(self, *, is_brief: bool) -> str:
        state = self.state
        if not state.session:
            return f"There is no session yet. {NO_ENGINE}"
        asked = context.question(state, self._slots(), self._time(), budget=self._standing())
        if is_brief:
            return asked
        return "\n\n".join((context.baseline(state), context.history(state, HISTORY), asked))

    def _standing(self) -> str:
        state = self.state
        if state.engine is None:
            return NO_ENGINE
        if state.engine.researcher != commands.OUTSIDE:
            return f"The researcher of this session is {state.engine.researcher}: you can look, and not plan."
        waiting = f"{len(state.offered)} of your waves wait to be taken." if state.offered else ""
        return f"The engine asks for a wave now. {waiting}" if state.asked is not None else waiting

    async def _waited(self, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        try:
            wanted = msgspec.convert({"reason": "", **arguments}, WaitInput).seconds
        except (msgspec.ValidationError, TypeError) as error:
            return f"The input of wait is not as its schema says: {error}.", True
        before, seconds = self._news(), min(LONGEST_WAIT_S, wanted) if wanted > 0 else 0.0
        end = time.monotonic() + seconds
        while self._news() == before and (left := end - time.monotonic()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._next(), left)
        return self._session(is_brief=True), False

    def _news(self) -> tuple[object, ...]:
        state = self.state
        return state.ended, len(state.waves), len(state.notes), len(state.deeds), state.asked is None, state.engine

    # --- acting -------------------------------------------------------------------------------------------------------

    async def _carried_out(self, used: Used) -> tuple[str, bool]:
        wishes: list[commands.Command] = [*used.commands]
        wishes += [commands.WriteNotebook(text=text, starts_over=used.starts_over) for text in used.notes]
        if used.plan is not None:
            if not log.is_held(self._file):
                return NO_ENGINE, True
            if reason := await asyncio.to_thread(nothing_new, self._view(), used.plan):
                return reason, True
            wishes.append(commands.ProposeWave(plan=_phased(used.plan)))
        for wish in wishes:
            if refusal := await self._sent(wish):
                return refusal, True
        return used.answer, False

    async def _sent(self, wish: commands.Command) -> str:
        """Why the engine says no; "" for done."""
        if not log.is_held(self._file):
            return NO_ENGINE
        try:
            number = log.send(self._file, msgspec.structs.replace(wish, by=commands.OUTSIDE, at=self._now()))
            deadline = time.monotonic() + ANSWER_WITHIN_S
            while (answer := log.answer(self._file, number)) is None:
                if time.monotonic() > deadline:
                    return "The engine has not answered; look at the session before you try again."
                await asyncio.sleep(LOOK_S / 5)
        except LogError as error:
            return str(error)
        return answer


def _phased(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, by=commands.OUTSIDE)
