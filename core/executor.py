"""The seam between deciding and running: what an executor is told and what it reports back.

An executor runs jobs somewhere and observes them. It knows nothing of verdicts or the log, and of waves their names.
`launch` and `cancel` are idempotent by run id: after a crash the engine says everything again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import msgspec

from core.events import Gpu, Outcome, ReadySet, Tier
from core.ids import ExperimentId, GpuId, RunId, WaveId
from core.transcript import Progress, Reader, Summary


class Job(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId
    source: str  # the whole train.py
    seed: int
    gpu_type: str
    experiment: ExperimentId = ExperimentId("")  # this and what follows: for people who look where it runs; "": none
    wave: WaveId = WaveId("")
    tier: Tier = "screen"


class FleetObserved(msgspec.Struct, frozen=True):
    """All GPUs that runs can be placed on, whoever uses them now."""

    gpus: tuple[Gpu, ...]
    unseen: str = ""  # what of it cannot be seen, and is guessed; a clause


class Started(msgspec.Struct, frozen=True):
    run: RunId
    gpu: GpuId
    at: float


class Waiting(msgspec.Struct, frozen=True):
    """Why a run has not started yet, when that changes: at most every few seconds per run, or not at all."""

    run: RunId
    at: float
    reason: str  # completes "e12-1 waits: …"
    needs_a_person: bool = False  # it does not pass by itself


class Reported(msgspec.Struct, frozen=True):
    """What a run says it computes, as soon as it says so; once per run, or not at all."""

    run: RunId
    at: float
    fingerprint: str
    exact: bool = True  # false: it covers the model alone, not what trains it
    params_m: float | None = None
    step: int | None = None  # of the first loss that it printed, if it has
    loss: float | None = None


def reported(run: RunId, at: float, said: Reader) -> Reported:
    """As its log has it."""
    first = said.first
    return Reported(
        run,
        at,
        said.fingerprint,
        exact=said.is_exact,
        params_m=said.params_m,
        step=first.step if first else None,
        loss=first.loss if first else None,
    )


class Progressed(msgspec.Struct, frozen=True):
    """At most one per run and second."""

    run: RunId
    at: float
    progress: Progress


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome` is "finished" only with a complete result block; `reason` says why otherwise."""

    run: RunId
    at: float
    outcome: Outcome
    summary: Summary | None = None
    fingerprint: str = ""
    corpus: str = ""
    exit_code: int | None = None
    reason: str = ""
    tail: str = ""


class Absent(msgspec.Struct, frozen=True):
    """There is no trace of this run here: it was never launched, or it was cleaned away."""

    run: RunId


class Synced(msgspec.Struct, frozen=True):
    """Everything that was known at the start has been reported; what follows is news."""


class Lost(msgspec.Struct, frozen=True):
    """What runs things cannot be reached. Runs go on as far as anybody knows; until `Found`, nothing is decided."""

    reason: str


class Found(msgspec.Struct, frozen=True):
    """It can be reached again: what happened meanwhile is reported now, or was before. A fleet that is observed says
    the same only if it changed, so say this too."""


Observation = FleetObserved | Waiting | Started | Reported | Progressed | Ended | Absent | Synced | Lost | Found


@runtime_checkable
class Queueing(Protocol):
    """An executor that may be given more runs than there are free GPUs: they wait there and cost nothing until then,
    the first GPU that frees takes one, and one that is cancelled before that was never run."""

    @property
    def ready(self) -> ReadySet:
        """How many are to wait. Its time says nothing."""
        ...


@runtime_checkable
class Placed(Protocol):
    """An executor whose runs go elsewhere."""

    @property
    def place(self) -> str:
        """Where, for people: "prod-gpu/ml-team", "box1, box2"."""
        ...


class Executor(Protocol):
    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets go of running jobs; it does not stop them."""
        ...

    async def launch(self, job: Job) -> None:
        """Start it, or do nothing if this run id was ever launched. Raises NothingRuns if it never can."""
        ...

    async def cancel(self, run: RunId) -> None:
        """Stop it if it runs. An `Ended` with outcome "cancelled" follows; never raises for an unknown run."""
        ...

    def watch(self, open_runs: Collection[RunId]) -> AsyncIterator[Observation]:
        """First the fleet and one of Started, Ended or Absent for each of `open_runs`, then Synced, then news."""
        ...
