"""The facts. Each is a frozen struct with the time it happened; the struct is also its JSON form.

A session is nothing but a sequence of these. Facts are never edited or removed; a kind that this build does not know is
kept as `Unknown`, byte for byte, so that an older build plays a newer recording.
This module knows neither what the facts mean (`core.fold`) nor where they are kept (`core.log`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from core.design import Design
from core.event import Event as Event
from core.ids import ExperimentId, GpuId, RunId, SessionId, WaveId
from core.operated import ApprovalWithdrawn as ApprovalWithdrawn
from core.operated import CommandRefused as CommandRefused
from core.operated import ExperimentPromoted as ExperimentPromoted
from core.operated import ExperimentVetoed as ExperimentVetoed
from core.operated import GateSet as GateSet
from core.operated import MaxGpusSet as MaxGpusSet
from core.operated import NoteAdded as NoteAdded
from core.operated import NoteWithdrawn as NoteWithdrawn
from core.operated import OperatorFact as OperatorFact
from core.operated import PromotionWithdrawn as PromotionWithdrawn
from core.operated import RerunRequested as RerunRequested
from core.operated import RerunWithdrawn as RerunWithdrawn
from core.operated import ResearchPaused as ResearchPaused
from core.operated import ResearchResumed as ResearchResumed
from core.operated import RunStopRequested as RunStopRequested
from core.operated import StopRequested as StopRequested
from core.operated import VetoWithdrawn as VetoWithdrawn
from core.operated import WaveApproved as WaveApproved
from core.patch import Change
from core.stated import LimitsSet as LimitsSet
from core.stated import PricesSet as PricesSet
from core.stated import ReadySet as ReadySet
from core.stated import TiersSet as TiersSet
from core.thinking import ModelCalled as ModelCalled
from core.thinking import NotebookWritten as NotebookWritten
from core.thinking import RepairTried as RepairTried
from core.thinking import ResearcherSaid as ResearcherSaid
from core.thinking import ResearcherWaits as ResearcherWaits
from core.thinking import StandInAsked as StandInAsked
from core.thinking import ThinkingFact as ThinkingFact
from core.thinking import ToolUsed as ToolUsed

Tier = Literal["screen", "validate"]
Purpose = Literal["first", "retest", "replicate"]
Outcome = Literal["finished", "crashed", "cancelled", "lost"]
FinalVerdict = Literal["kept", "discarded", "crashed"]


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    id: GpuId
    type: str  # "H100", "cpu": results are compared within one type only
    memory_mb: int = 0
    held_by: str = ""  # another user or process has it now; "": ours to use
    broken: bool = False  # nothing can start on it now; held_by says why, unless a run of ours is still on it


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a verdict rests on. val_bpb units throughout; delta < 0 is an improvement."""

    against: ExperimentId  # the baseline it was compared with
    gpu_type: str
    delta: float  # mean of the experiment minus mean of the baseline
    standard_error: float  # of delta
    runs: int
    baseline_runs: int
    noise_sd: float  # run-to-run standard deviation in use
    noise_df: float  # its degrees of freedom
    price: float = 0.0  # what its additional memory has to earn, added to delta before it is weighed
    more_gb: float = 0.0  # GPU memory, beyond the baseline's
    log_evidence: float = 0.0  # natural log of the sequential test's likelihood ratio
    needed: float = 0.0  # standard errors at which it passes


# --- the session and its engine ---------------------------------------------------------------------------------------


class SessionStarted(Event, frozen=True):
    session: SessionId
    branch: str
    commit: str  # of the train.py that the session starts from
    source: str  # that train.py
    prepare_digest: str  # sha256 of prepare.py; a run whose prepare.py differs is void
    seed: int
    version: str  # of this program
    simulated: bool = False
    surface: str = ""  # of the simulator; "" where that was not told


class EngineStarted(Event, frozen=True):
    pid: int
    host: str
    executor: str
    researcher: str
    version: str
    budget_s: float = 0.0  # seconds of training per run; 0: not told
    own_budget: bool = False  # it is the trainer's own, which no setting changed
    place: str = ""  # where the executor's runs go: "prod-gpu/ml-team", "box1, box2"; "" on this host, or not told


class EngineStopped(Event, frozen=True):
    reason: str
    exit_code: int = 0


class FleetSeen(Event, frozen=True):
    gpus: tuple[Gpu, ...]
    unseen: str = ""  # what of it cannot be seen, and is guessed; a clause


class ExecutorLost(Event, frozen=True):
    """What runs things cannot be reached: what it reported last may be old. Until it is found, nothing is decided."""

    reason: str


class ExecutorFound(Event, frozen=True):
    pass


# --- the researcher ---------------------------------------------------------------------------------------------------


class WaveAsked(Event, frozen=True):
    slots: int  # how many experiments would fill the GPUs that are or become free


class WavePlanned(Event, frozen=True):
    wave: WaveId
    parent: ExperimentId  # the baseline that the wave starts from
    reason: str
    design: Design | None = None  # None: a list of free edits
    researcher: str = ""
    phase: str = ""  # of the research: "broad sweep", "architecture", …


class ExperimentProposed(Event, frozen=True):
    experiment: ExperimentId
    wave: WaveId
    parent: ExperimentId
    change: Change
    digest: str  # of the resulting train.py, normalised: equal digests are the same experiment
    title: str
    hypothesis: str = ""
    cell: dict[str, str] = msgspec.field(default_factory=dict)  # factor -> level, as written in train.py
    lines: int = 0  # of code, more than the parent
    of: tuple[ExperimentId, ...] = ()  # a merge: the experiments whose changes it puts together


class ProposalRejected(Event, frozen=True):
    wave: WaveId
    title: str
    reason: str
    cell: dict[str, str] = msgspec.field(default_factory=dict)
    twin: ExperimentId | None = None  # set when the same train.py was tried before


class ResearchFailed(Event, frozen=True):
    reason: str
    fatal: bool = False


# --- runs -------------------------------------------------------------------------------------------------------------


class RunRequested(Event, frozen=True):
    run: RunId
    experiment: ExperimentId
    gpu_type: str
    seed: int
    tier: Tier = "screen"
    purpose: Purpose = "first"


class RunWaiting(Event, frozen=True):
    """Why it has not started, as the executor sees it; told again when that changes."""

    run: RunId
    reason: str  # completes "e12-1 waits: …"
    needs_a_person: bool = False  # it does not pass by itself


class RunStarted(Event, frozen=True):
    run: RunId
    gpu: GpuId


class RunReported(Event, frozen=True):
    """What the run itself says it computes, in its first second."""

    run: RunId
    fingerprint: str
    exact: bool = True  # false: it covers the model alone (upstream's `Model config:`), not what trains it
    params_m: float | None = None
    step: int | None = None  # of the first loss that it printed, if it has by then
    loss: float | None = None


class RunStopped(Event, frozen=True):
    """It was hopeless and is being stopped; its end follows."""

    run: RunId
    reason: str


class RunProgressed(Event, frozen=True):
    run: RunId
    step: int
    fraction: float | None = None  # of the training budget, 0 to 1
    loss: float | None = None  # training loss, nats per token
    tokens_per_s: float | None = None


class RunEnded(Event, frozen=True):
    run: RunId
    outcome: Outcome
    val_bpb: float | None = None  # validation bits per byte
    training_s: float | None = None
    total_s: float | None = None  # start of the process to its result, as the trainer reports it
    startup_s: float | None = None
    eval_s: float | None = None
    memory_mb: float | None = None
    mfu_percent: float | None = None
    tokens_m: float | None = None  # millions of tokens trained on
    steps: int | None = None
    params_m: float | None = None
    fingerprint: str = ""  # the effective configuration, as the run itself reports it
    corpus: str = ""  # digest of the data; results of different corpora do not compare
    exit_code: int | None = None
    reason: str = ""  # why it did not finish
    tail: str = ""  # last lines of a failed run's log, cleaned


# --- verdicts ---------------------------------------------------------------------------------------------------------


class ExperimentRetested(Event, frozen=True):
    experiment: ExperimentId
    reason: str
    evidence: Evidence | None = None


class ExperimentScreened(Event, frozen=True):
    """Good enough on the screening tier: it goes on to the validation tier."""

    experiment: ExperimentId
    reason: str
    evidence: Evidence | None = None


class ExperimentRebased(Event, frozen=True):
    """Its change is made to the present baseline now: it has not run, or its train.py stays the same with it."""

    experiment: ExperimentId
    on: ExperimentId
    digest: str = ""  # of the resulting train.py; "": it stays as it was, for this reason
    reason: str = ""


class DuplicateFound(Event, frozen=True):
    """The runs of both compute the same: what was measured counts for the twin."""

    experiment: ExperimentId
    twin: ExperimentId
    reason: str


class ExperimentJudged(Event, frozen=True):
    experiment: ExperimentId
    verdict: FinalVerdict
    reason: str
    evidence: Evidence | None = None


class BaselineMoved(Event, frozen=True):
    experiment: ExperimentId
    commit: str
    source: str
    reason: str


class ResultImported(Event, frozen=True):
    """A row of a results.tsv from elsewhere: history to look at, never mixed with what was measured here."""

    commit: str
    status: str
    description: str
    val_bpb: float | None = None
    memory_gb: float | None = None


class Unknown(msgspec.Struct, frozen=True):
    """A fact of a newer build. `body` is its JSON as it was read."""

    at: float
    kind: str
    body: bytes


Known = (
    RunProgressed
    | RunRequested
    | RunWaiting
    | RunStarted
    | RunReported
    | RunStopped
    | RunEnded
    | ExperimentProposed
    | ExperimentRetested
    | ExperimentScreened
    | DuplicateFound
    | ExperimentRebased
    | ExperimentJudged
    | WaveAsked
    | WavePlanned
    | ProposalRejected
    | ResearchFailed
    | BaselineMoved
    | OperatorFact
    | ThinkingFact
    | ResultImported
    | LimitsSet
    | FleetSeen
    | ExecutorLost
    | ExecutorFound
    | TiersSet
    | PricesSet
    | ReadySet
    | EngineStarted
    | EngineStopped
    | SessionStarted
)
Fact = Known | Unknown

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Known] = msgspec.json.Decoder(Known)
_many: msgspec.json.Decoder[list[Known]] = msgspec.json.Decoder(list[Known])


class _Head(msgspec.Struct):
    kind: str = ""
    at: float = 0.0


_head = msgspec.json.Decoder(_Head)


def encode(fact: Fact) -> bytes:
    """One line of JSON, without a newline."""
    return fact.body if isinstance(fact, Unknown) else _encoder.encode(fact)


def decode(body: bytes) -> Fact:
    """The fact in `body`; `Unknown` if this build cannot read it. Raises msgspec.DecodeError if it is not JSON."""
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        return _unknown(body)


def _unknown(body: bytes) -> Unknown:
    try:
        head = _head.decode(body)
    except msgspec.ValidationError:
        head = _Head()
    return Unknown(at=head.at, kind=head.kind, body=body)


def decode_many(bodies: Sequence[bytes]) -> list[Fact]:
    """As `decode`, for many; one call into the codec when every kind is known (3 times faster)."""
    try:
        return [*_many.decode(b"[" + b",".join(bodies) + b"]")]
    except msgspec.ValidationError:
        return [decode(body) for body in bodies]
