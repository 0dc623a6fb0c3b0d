"""The researcher that asks Claude: repairs of what crashed first, then waves. Thin: the work is in `core.claude`.

It reads three files of the workspace and the logs of runs. What it remembers from question to question is which repairs
it asked for; everything else is in the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from core import patch
from core.claude import context, repairs
from core.claude.calling import Caller
from core.claude.conversation import Block, Conversation, Subject, Unavailable
from core.claude.fences import mark
from core.claude.files import log_reader, reader
from core.claude.settings import ClaudeSettings
from core.claude.view import View
from core.clock import Clock
from core.errors import PatchError, ResearcherFailed
from core.ids import ExperimentId
from core.researcher import Desk, Plan
from core.state import Experiment, State
from core.thinking import RepairTried

REPAIR_HISTORY = 8000  # tokens: what was tried matters less to a repair


class ClaudeResearcher:
    """`latency_s`: what an answer of the model takes of a simulated session's time."""

    name = "claude"

    def __init__(
        self,
        root: Path,
        runs: Path,
        settings: ClaudeSettings,
        clock: Clock,
        keys: Mapping[str, str] = {},
        *,
        latency_s: float = 0.0,
    ) -> None:
        self._root, self._settings, self._clock = root, settings, clock
        self._files, self._log_of = reader(root), log_reader(runs)
        self._caller = Caller(settings, clock, keys, latency_s=latency_s)
        self._desk: Desk | None = None
        self._tried: set[ExperimentId] = set()
        self._program = ""  # the instructions of its latest plan

    def sit(self, desk: Desk) -> None:
        self._desk = desk

    async def propose(self, state: State, slots: int) -> Plan:
        """As `plan`, where nobody stands in. Raises ResearcherFailed where it never can answer in this session."""
        try:
            return await self.plan(state, slots, patience_s=float("inf"))
        except Unavailable as no:
            wait = (no.again_at or 0.0) - self._clock.now()
            if no.is_final:
                raise ResearcherFailed(no.reason) from no
            if wait > 0:
                return Plan(reason=no.reason, ideas=(), wait_s=wait)
            raise

    async def plan(self, state: State, slots: int, *, patience_s: float) -> Plan:
        """Tries again for so long where that may help. Raises Unavailable."""
        before_usd = self._at().state.model_usd
        if (plan := await self._repaired(state, slots, patience_s, before_usd)) is not None:
            return plan
        program = self._text("program.md")
        edited = patch.diff(self._program or program, program)
        subject = Subject(
            purpose="plan",
            model=self._settings.model,
            shown=lambda tokens, money: self._shown(state, slots, edited, tokens, money),
            view=lambda now: self._view(now, state, slots),
            before_usd=before_usd,
        )
        plan = await self._asked(subject, patience_s)
        self._program = program
        return plan

    async def close(self) -> None:
        await self._caller.close()

    async def _asked(self, subject: Subject, patience_s: float) -> Plan:
        return await Conversation(subject, self._at(), self._caller, self._settings, self._clock, patience_s).plan()

    def _at(self) -> Desk:
        assert self._desk is not None, "the engine gives it a desk before it asks"  # noqa: S101
        return self._desk

    def _view(self, now: State, asked: State, slots: int) -> View:
        return View(
            state=now,
            now=self._clock.now(),
            slots=slots,
            files=self._files,
            allowed=frozenset(self._settings.allowed_modules),
            log_of=self._log_of,
            baseline=asked.baseline,
        )

    def _shown(
        self, state: State, slots: int, edited: str, tokens: int, money: str
    ) -> tuple[Sequence[Block], Sequence[Block]]:
        now = self._clock.now()
        blocks = context.blocks(state, slots, now, budget=money, program_diff=edited, limit_tokens=tokens)
        return self._prefix(state), blocks

    def _prefix(self, state: State) -> Sequence[Block]:
        modules, prepare = self._settings.allowed_modules, self._text("prepare.py")
        *before, last = context.prefix(self._text("program.md"), prepare, seal=mark(state), allowed=modules)
        return [*before, {**last, "cache_control": {"type": "ephemeral", "ttl": self._settings.cache}}]

    def _text(self, name: str) -> str:
        try:
            return self._files(name)
        except PatchError:
            return ""

    # --- repairs ------------------------------------------------------------------------------------------------------

    async def _repaired(self, state: State, slots: int, patience_s: float, before_usd: float) -> Plan | None:
        """A wave of repairs; None if none is due. What is not repaired now is dropped, which is a fact."""
        view = self._view(state, state, slots)
        shown, late = repairs.due(view)
        self._drop(late, "too many crashed at once")
        self._drop([each for each in shown if each.id in self._tried], "its repair could not run")
        fresh = tuple(each for each in shown if each.id not in self._tried)
        if not fresh:
            return None
        subject = Subject(
            purpose="repair",
            model=self._settings.repair_model or self._settings.model,
            shown=lambda tokens, money: self._shown_crashes(view, fresh, tokens, money),
            view=lambda now: self._view(now, state, slots),
            before_usd=before_usd,
        )
        try:
            plan = await self._asked(subject, patience_s)
        except Unavailable as no:
            if no.is_agent:
                self._drop(fresh, no.reason)
                return None
            raise
        self._tried |= {each.id for each in fresh}
        mended = {idea.repairs for idea in plan.ideas if idea.repairs is not None}
        why = plan.reason if mended or not plan.ideas else "it planned a wave instead"
        self._drop([each for each in fresh if each.id not in mended], why)
        return plan if plan.ideas else None

    def _shown_crashes(
        self, view: View, fresh: tuple[Experiment, ...], tokens: int, money: str
    ) -> tuple[Sequence[Block], Sequence[Block]]:
        limit = min(tokens, REPAIR_HISTORY)
        *before, _ = context.blocks(view.state, view.slots, view.now, limit_tokens=limit)
        asked = "\n\n".join(filter(None, (repairs.question(view, fresh), money)))
        return self._prefix(view.state), [*before, {"type": "text", "text": asked}]

    def _drop(self, experiments: Sequence[Experiment], reason: str) -> None:
        now = self._clock.now()
        self._at().record(*(RepairTried(at=now, experiment=each.id, reason=reason) for each in experiments))
