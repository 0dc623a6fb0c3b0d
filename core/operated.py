"""The facts that operators bring about: what was wished for and granted, and what was taken back.

A wish that was taken back leaves both facts in the log. What they mean is known to `core.operating`.
"""

from __future__ import annotations

from core.event import Event
from core.ids import ExperimentId, RunId, WaveId


class ResearchPaused(Event, frozen=True):
    by: str
    reason: str = ""
    undoes: bool = False  # it takes a resumption back


class ResearchResumed(Event, frozen=True):
    by: str
    undoes: bool = False  # it takes a pause back


class StopRequested(Event, frozen=True):
    by: str
    now: bool = False  # true: running jobs are cancelled; false: they finish first


class NoteAdded(Event, frozen=True):
    by: str
    text: str


class NoteWithdrawn(Event, frozen=True):
    """The latest note with this text, before the researcher was asked again."""

    by: str
    text: str


class ExperimentVetoed(Event, frozen=True):
    experiment: ExperimentId
    by: str
    reason: str = ""
    run: RunId | None = None  # set where it follows from stopping the only run there was


class VetoWithdrawn(Event, frozen=True):
    """The experiment is open again."""

    experiment: ExperimentId
    by: str


class ExperimentPromoted(Event, frozen=True):
    experiment: ExperimentId
    by: str
    reason: str = ""


class PromotionWithdrawn(Event, frozen=True):
    experiment: ExperimentId
    by: str


class RerunRequested(Event, frozen=True):
    """One more run with another seed. It opens an experiment again that crashed or whose run was stopped."""

    experiment: ExperimentId
    by: str


class RerunWithdrawn(Event, frozen=True):
    experiment: ExperimentId
    by: str


class RunStopRequested(Event, frozen=True):
    """It is being stopped for an operator; its end follows."""

    run: RunId
    by: str
    reason: str = ""


class GateSet(Event, frozen=True):
    """While on, waves that are planned wait for approval. Turned off, it approves what waits."""

    on: bool
    by: str
    undoes: bool = False  # it takes the setting before back
    holds: tuple[WaveId, ...] = ()  # waves that wait again, because turning it off is taken back


class WaveApproved(Event, frozen=True):
    wave: WaveId
    by: str


class ApprovalWithdrawn(Event, frozen=True):
    wave: WaveId
    by: str


class MaxGpusSet(Event, frozen=True):
    """How many GPUs of a type runs of ours may have or wait for, all together; others have no limit."""

    limits: dict[str, int]
    gpu_type: str = ""  # the one that an operator changed
    by: str = ""  # "": the settings
    undoes: bool = False  # it takes the change before back


class CommandRefused(Event, frozen=True):
    by: str
    command: str
    reason: str


OperatorFact = (
    ResearchPaused
    | ResearchResumed
    | StopRequested
    | NoteAdded
    | NoteWithdrawn
    | ExperimentVetoed
    | VetoWithdrawn
    | ExperimentPromoted
    | PromotionWithdrawn
    | RerunRequested
    | RerunWithdrawn
    | RunStopRequested
    | GateSet
    | WaveApproved
    | ApprovalWithdrawn
    | MaxGpusSet
    | CommandRefused
)
