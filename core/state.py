"""The shapes that the facts fold into. Everything here is frozen; `core.fold` makes new ones.

A `State` holds what decisions and screens need: experiments, runs, waves and running totals. It holds no clock: where a
question depends on now, `core.views` takes the time as an argument.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from core.design import Design
from core.events import (
    EngineStarted,
    EngineStopped,
    Evidence,
    Gpu,
    LimitsSet,
    NoteAdded,
    ProposalRejected,
    Purpose,
    ReadySet,
    ResultImported,
    RunEnded,
    RunProgressed,
    RunWaiting,
    StopRequested,
    Tier,
    TiersSet,
    WaveAsked,
)
from core.ids import BASELINE, ExperimentId, GpuId, RunId, SessionId, WaveId
from core.patch import Change
from core.thinking import NotebookWritten, RepairTried, ResearcherWaits, ThinkingFact, WaveOffered

Status = Literal["proposed", "running", "retest", "kept", "discarded", "crashed", "vetoed", "duplicate", "merged"]
OPEN: frozenset[str] = frozenset({"proposed", "running", "retest"})


CURVE_POINTS = 20
Curve = tuple[float | None, ...]  # training loss seen first at or after each twentieth of the budget


class Run(msgspec.Struct, frozen=True, kw_only=True):
    id: RunId
    experiment: ExperimentId
    gpu_type: str
    seed: int
    tier: Tier
    purpose: Purpose
    requested_at: float
    waiting: RunWaiting | None = None  # why it has not started, if that was told
    started_at: float | None = None
    gpu: GpuId | None = None
    held_from: float = 0.0  # once started: `State.alive_s` then
    spent_s: float = 0.0  # once ended: GPU-seconds that it held
    training_at: float | None = None  # first progress seen: start-up is over
    fingerprint: str = ""  # what it says it computes
    exact: bool = True  # whether that covers everything that decides its result
    params_m: float | None = None  # as it says itself
    first: tuple[int, float] | None = None  # step and training loss of the first progress that it printed
    stopped: str = ""  # why it was stopped early, if it was
    stopped_by: str = ""  # the operator for whom it was stopped, if it was
    curve: Curve = ()  # once it has ended
    ended_at: float | None = None
    result: RunEnded | None = None
    parent_bpb: float | None = None  # once finished: what its experiment was made from, the mean there by then


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    id: ExperimentId
    wave: WaveId | None
    parent: ExperimentId | None  # None: the train.py that the session started from
    change: Change
    digest: str
    title: str
    hypothesis: str
    cell: dict[str, str]
    proposed_at: float
    status: Status = "proposed"
    reason: str = ""  # of the verdict or veto
    evidence: Evidence | None = None
    runs: tuple[RunId, ...] = ()
    ended: int = 0  # of its runs, and of those of its duplicates: another number, another object
    promoted: bool = False
    lines: int = 0  # of code, more than the parent
    screening: Evidence | None = None  # on which it passed the screening tier
    rebased: ExperimentId | None = None  # the baseline for which that was tried last
    of: tuple[ExperimentId, ...] = ()  # a merge: the experiments that it puts together
    alone: bool = False  # it clashes with others, or the merge that it was part of did not hold: it is tried alone
    twin: ExperimentId | None = None  # of a duplicate: the experiment that it repeats
    repeated_by: tuple[ExperimentId, ...] = ()  # its duplicates: what they measured counts for it
    wanted: int = 1  # finished runs before a verdict; more after an operator asked for another look
    cut: tuple[RunId, ...] = ()  # of a vetoed one: the runs that were going on
    vetoed_by: str = ""  # who did
    stopped: bool = False  # vetoed only because its run was stopped: a rerun opens it again
    commit: str = ""  # set once the workspace has it

    @property
    def screened(self) -> bool:
        return self.screening is not None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


class Wave(msgspec.Struct, frozen=True, kw_only=True):
    id: WaveId
    parent: ExperimentId
    reason: str
    design: Design | None
    researcher: str
    planned_at: float
    experiments: tuple[ExperimentId, ...] = ()
    rejected: int = 0
    refusals: tuple[ProposalRejected, ...] = ()  # the latest of them, with their reasons
    held: bool = False  # it waits for an operator's approval
    phase: str = ""  # of the research, as its researcher calls it


class Spread(msgspec.Struct, frozen=True):
    """Replicates pooled: the sum of squared deviations from each experiment's own mean, and its degrees of freedom."""

    squares: float = 0.0
    df: int = 0


class Holders(msgspec.Struct, frozen=True):
    """Who has the GPUs of one type, as numbers."""

    gpus: int = 0  # there
    others: int = 0  # of them held by other users
    broken: int = 0  # of them, such that nothing can start there
    runs: int = 0  # of ours, started and not ended
    queued: int = 0  # runs of ours, requested and not started

    @property
    def usable(self) -> int:
        """What could be ours."""
        return max(self.runs, self.gpus - self.others - self.broken)


class Setback(msgspec.Struct, frozen=True):
    """Runs on a GPU type that were lost as soon as they were launched, with no work done there since."""

    attempts: int  # in a row; runs that were launched together count once
    at: float  # of the latest loss
    reason: str = ""


class Usage(msgspec.Struct, frozen=True):
    """What one model has been asked and what that cost. Input tokens do not count what was read from a cache."""

    calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0


class Pause(msgspec.Struct, frozen=True):
    at: float
    by: str
    reason: str


class Lost(msgspec.Struct, frozen=True):
    """The executor cannot be reached."""

    at: float
    reason: str


DeedKind = Literal["veto", "promote", "rerun", "pause", "resume", "gate", "approve", "note", "limit"]


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was carried out, with what it takes to undo it."""

    at: float
    by: str
    kind: DeedKind
    subject: str = ""  # "e42", "w3"
    before: Experiment | None = None  # as it was
    text: str = ""  # of a note; the reason of a pause that was ended
    waves: tuple[WaveId, ...] = ()  # that waited for approval
    limit: int | None = None  # of the GPUs of a type, before


class State(msgspec.Struct, frozen=True, kw_only=True):
    seq: int = 0  # facts folded so far
    at: float = 0.0  # time of the latest
    session: SessionId = SessionId("")
    branch: str = ""
    started_at: float = 0.0
    commit: str = ""
    prepare_digest: str = ""
    seed: int = 0
    simulated: bool = False
    surface: str = ""  # of a simulated session: how constants decide val_bpb; "" if that was not told
    corpus: str = ""  # as reported by the first finished run
    budget_s: float = 0.0  # seconds of training per run, the same for all of them; 0: not told
    own_budget: bool = False  # it is the trainer's own, which no setting changed

    engine: EngineStarted | None = None  # None: no engine has the session, as far as the facts say
    last_stop: EngineStopped | None = None
    alive_s: float = 0.0  # time with an engine, up to `span_at`
    span_at: float = 0.0  # up to here time is booked
    capacity_s: float = 0.0  # GPU-seconds that were there, up to `span_at`
    booked: dict[str, float] = {}  # GPU-seconds by ledger column, up to `span_at`; of runs, those that have ended
    holders: dict[str, Holders] = {}  # per GPU type
    fleet_seen: bool = False  # by the present engine
    gaps: tuple[tuple[float, float], ...] = ()  # times without an engine, from and to
    limits: LimitsSet = LimitsSet(at=0.0)
    pause: Pause | None = None
    stop: StopRequested | None = None
    gate: bool = False  # waves that are planned wait for approval
    lost: Lost | None = None  # the executor cannot be reached: what it said last may be old
    deeds: tuple[Deed, ...] = ()  # the latest commands of operators that may still be undone, oldest first
    reruns: dict[ExperimentId, int] = {}  # runs that operators wished for and that are not launched yet
    prices: dict[str, float] = {}  # US dollars per hour that a GPU of a type is held
    usable_s: dict[str, float] = {}  # GPU-seconds by type that could be ours, up to `span_at`
    held_s: dict[str, float] = {}  # GPU-seconds by type that ended runs of ours held
    model_usd: float = 0.0  # what the researcher's model has cost
    model_usd_days: dict[int, float] = {}  # the same by day (UTC, days since the epoch)
    usage: dict[str, Usage] = {}  # by model
    calls: int = 0  # number of the model's latest answer
    gpus: tuple[Gpu, ...] = ()
    unseen: str = ""  # what of the fleet cannot be seen, and is guessed
    tiers: TiersSet = TiersSet(at=0.0)
    ready: ReadySet = ReadySet(at=0.0)  # runs that may wait beyond the free GPUs
    max_gpus: dict[str, int] = {}  # by type: GPUs that runs of ours may have or wait for
    max_gpus_given: dict[str, int] = {}  # what the settings said last, whatever operators changed since

    baseline: ExperimentId = BASELINE
    sources: dict[ExperimentId, str] = {}  # train.py of every baseline there was
    lineage: tuple[ExperimentId, ...] = ()  # baselines in order, e0 first
    experiments: dict[ExperimentId, Experiment] = {}
    open: dict[ExperimentId, None] = {}  # an ordered set: experiments without a verdict
    uncommitted: dict[ExperimentId, None] = {}  # kept, not in the workspace yet
    merges: int = 0  # experiments that nobody proposed: they put proven ideas together
    digests: dict[str, ExperimentId] = {}
    fingerprints: dict[str, tuple[ExperimentId, ...]] = {}  # who reported it, in order
    counts: dict[str, int] = {}  # finished experiments by verdict
    runs: dict[RunId, Run] = {}
    active: dict[RunId, None] = {}  # an ordered set: requested or started, not ended
    ended: int = 0
    progress: dict[RunId, RunProgressed] = {}
    curves: dict[RunId, Curve] = {}  # of active runs
    scores: dict[tuple[ExperimentId, str], tuple[float, ...]] = {}  # val_bpb of finished runs, per GPU type
    spread: dict[str, Spread] = {}  # per GPU type
    setbacks: dict[str, Setback] = {}  # per GPU type: where runs are lost at once
    duration_s: float = 0.0  # of a finished run, start to end: exponential mean

    waves: dict[WaveId, Wave] = {}
    asked: WaveAsked | None = None  # the researcher is thinking
    think_s: float = 0.0  # how long its last answer took
    failures: int = 0  # of the researcher, in a row
    failure: str = ""
    gave_up: str = ""  # why the researcher cannot go on
    notes: tuple[NoteAdded, ...] = ()
    waits: ResearcherWaits | None = None  # it wants more results first; None again once there is news
    stand_in: str = ""  # who answers in its place
    offered: tuple[WaveOffered, ...] = ()  # by a client outside, and not planned yet
    notebook: tuple[NotebookWritten, ...] = ()
    repairs: dict[ExperimentId, RepairTried] = {}  # of crashed experiments
    talk: tuple[ThinkingFact, ...] = ()  # the latest of what it said and did
    imported: dict[int, ResultImported] = {}  # by number

    @property
    def is_live(self) -> bool:
        return self.engine is not None
