"""What a tool may see, and what comes of using it. No I/O of its own: files and logs come in as functions."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from core.commands import Command
from core.ids import BASELINE, ExperimentId, RunId
from core.researcher import Plan
from core.state import State

CLAUDE = "claude"


def _no_log(_run: RunId) -> str:
    return ""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """`state` may be newer than the question; `baseline` is the one that the question was about."""

    state: State
    now: float  # seconds, by the session's clock
    slots: int  # experiments that would fill the GPUs
    files: Callable[[str], str]  # a workspace file by its relative path; raises PatchError with a sentence
    allowed: frozenset[str] = frozenset()  # modules that a setting allows train.py to import
    log_of: Callable[[RunId], str] = _no_log  # of a run, "" if there is none
    baseline: ExperimentId | None = None  # None: that of `state`
    by: str = CLAUDE  # who uses the tools: only own proposals may be withdrawn

    @property
    def start(self) -> ExperimentId:
        """The baseline that a wave starts from."""
        return self.baseline or self.state.baseline

    @property
    def source(self) -> str:
        """Its train.py."""
        return self.state.sources.get(self.start, "") or self.state.sources.get(BASELINE, "")


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a tool call."""

    answer: str  # for the model: text, fenced where it carries a run's output, of limited length
    told: str  # one line for the operator
    error: str = ""  # set: the call failed; `answer` says what to do
    plan: Plan | None = None  # ends the question: a wave, or a wait
    commands: tuple[Command, ...] = ()  # to be carried out in the name of the researcher
    notes: tuple[str, ...] = ()  # notebook entries to record
    starts_over: bool = False  # they take the place of the notebook


class Unusable(Exception):  # noqa: N818  caught by `use`, which answers with its sentence
    """A call that cannot be carried out; the sentence says what to do instead."""
