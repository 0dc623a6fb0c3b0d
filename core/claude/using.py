"""The tool calls of one answer, carried out in order: facts, commands, notebook, and the plan if one came of it.

What a tool does is known to `core.claude.tools`; this is where it gets its effect. It counts what fails again.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import msgspec

from core import waves
from core.claude.reading import Answer, ToolCall
from core.claude.tools import Used, View, use
from core.claude.turns import Result
from core.clock import Clock
from core.events import ExperimentProposed, ProposalRejected
from core.researcher import Desk, Plan
from core.state import State
from core.thinking import NotebookWritten, ToolUsed

SAME = 3  # times that one call may fail
AGAIN = "\nThis very call has failed before: change it, or plan something else."
ONE_WAVE = "One wave is planned at a time, and this answer has planned one already."
SHOWN = 12  # reasons of a plan without a new idea


class Tools:
    """`view` makes what tools may see of the state as it is when they are used."""

    def __init__(self, desk: Desk, clock: Clock, view: Callable[[State], View]) -> None:
        self._desk, self._clock, self._view = desk, clock, view
        self._failed: Counter[tuple[str, str]] = Counter()

    async def use(self, answer: Answer) -> tuple[Plan | None, list[Result]]:
        """Every call is answered; lists that are planned in one answer are one wave."""
        plan: Plan | None = None
        results = []
        for call in answer.tools:
            used = await self._used(call)
            if used.plan is not None and plan is not None:
                used, plan = self._joined(plan, used)
            elif used.plan is not None:
                plan = used.plan
            self._desk.record(
                ToolUsed(at=self._clock.now(), call=answer.call, tool=call.name[:60], told=used.told, error=used.error)
            )
            results.append(Result(call.id, self._answer(call, used), bool(used.error)))
        return plan, results

    def stuck(self) -> str:
        """The tool of a call that failed too often; "" if there is none."""
        return next((name for (name, _), count in self._failed.items() if count >= SAME), "")

    async def _used(self, call: ToolCall) -> Used:
        if call.problem:
            told = f"{call.name} could not be read: {call.problem}"
            said = f"Nothing was done: {call.problem}. Call it again, with less in it if it was too long."
            return Used(answer=said, told=told, error=call.problem)
        view = self._view(self._desk.state)
        with self._clock.working():
            used = await asyncio.to_thread(use, call.name, call.arguments, view)
            if used.plan is not None and (reason := await asyncio.to_thread(nothing_new, view, used.plan)):
                return Used(answer=reason, told=used.told, error="nothing in it is new and may run")
        for note in used.notes:
            self._desk.record(NotebookWritten(at=self._clock.now(), text=note, starts_over=used.starts_over))
        return self._commanded(used)

    def _commanded(self, used: Used) -> Used:
        """Its commands carried out, as an operator's would be; the first that is refused is told."""
        for command in used.commands:
            if refusal := self._desk.command(command):
                return msgspec.structs.replace(used, answer=refusal, error=refusal)
        return used

    def _joined(self, plan: Plan, used: Used) -> tuple[Used, Plan]:
        more = used.plan
        if more is None or plan.design or more.design or not plan.ideas or not more.ideas:
            return msgspec.structs.replace(used, plan=None, answer=ONE_WAVE, error=ONE_WAVE), plan
        reason = "; ".join(dict.fromkeys((plan.reason, more.reason)))
        ideas = (*plan.ideas, *more.ideas)
        return used, msgspec.structs.replace(plan, reason=reason, ideas=ideas, phase=plan.phase or more.phase)

    def _answer(self, call: ToolCall, used: Used) -> str:
        if not used.error:
            return used.answer
        key = (call.name, call.problem or json.dumps(call.arguments, sort_keys=True, default=str))
        self._failed[key] += 1
        return used.answer + (AGAIN if self._failed[key] > 1 else "")


def nothing_new(view: View, plan: Plan) -> str:
    """Why no idea of a plan would run, as the engine sees it; "" if one would, or if the plan is to wait."""
    if not plan.ideas:
        return ""
    reasons: list[str] = []
    for fact in waves.proposals(view.state, plan, parent=view.start, by="", at=0.0):
        if isinstance(fact, ExperimentProposed):
            return ""
        if isinstance(fact, ProposalRejected):
            reasons.append(f"- {fact.title}: {fact.reason}")
    told = "\n".join(reasons[:SHOWN])
    return f"No experiment of this wave would run, so nothing is planned; plan others.\n{told}"
