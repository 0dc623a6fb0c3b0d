"""The facts of a researcher that thinks aloud: what it says, which tools it uses, what its model was asked and cost.

A designed researcher has none of these. Text in them is a model's: untrusted, to be cleaned before it reaches a screen.
Chunks of speech are batched by who records them, at most about one fact per second.
"""

from __future__ import annotations

from typing import Literal

from core.event import Event
from core.ideas import Plan
from core.ids import ExperimentId

Purpose = Literal["plan", "repair", "check"]


class Thinking(Event, frozen=True):
    """What these facts have in common: they are folded together."""


class ResearcherSaid(Thinking, frozen=True):
    """The next piece of what it says; a `call` is one answer of the model, numbered from 1 in a session."""

    call: int
    text: str
    is_thought: bool = False  # thinking aloud, not an answer


class ToolUsed(Thinking, frozen=True):
    call: int
    tool: str  # "plan_wave"
    told: str  # what it was asked for, in one line
    error: str = ""  # why it was refused, as the model was told


class ModelCalled(Thinking, frozen=True):
    """One request to a model has ended, well or badly. Tokens as billed; input does not count what was cached."""

    call: int
    model: str
    purpose: Purpose = "plan"
    stop_reason: str = ""  # "" if there was no complete answer
    seconds: float = 0.0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0  # at the prices of the settings; the worst case where the answer was cut off
    error: str = ""
    again_at: float | None = None  # when it is tried again, if it is


class NotebookWritten(Thinking, frozen=True):
    """An entry of the lab notebook, which outlives the conversation."""

    text: str
    starts_over: bool = False  # it takes the place of all entries before


class ResearcherWaits(Thinking, frozen=True):
    """It wants to see more results before it plans on; asked again at `until`, or when there is news."""

    reason: str
    until: float


class StandInAsked(Thinking, frozen=True):
    """Another researcher answers until this one can again. Empty `stand_in`: it is back."""

    stand_in: str
    reason: str


class RepairTried(Thinking, frozen=True):
    """The one attempt to mend a crashed experiment: `by` carries it, or it was dropped for `reason`."""

    experiment: ExperimentId
    by: ExperimentId | None = None
    reason: str = ""


class WaveOffered(Thinking, frozen=True):
    """A wave that a client outside has planned; it is the answer to the next question."""

    by: str
    plan: Plan


ThinkingFact = (
    ResearcherSaid
    | ToolUsed
    | ModelCalled
    | NotebookWritten
    | ResearcherWaits
    | StandInAsked
    | RepairTried
    | WaveOffered
)
