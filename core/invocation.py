"""How one engine, not its session, is to behave, and what it says at its start and end. Pure."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import msgspec

from core import events as ev
from core.state import State
from core.verdict import Rules


class Stopped(msgspec.Struct, frozen=True):
    reason: str
    exit_code: int


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    executor: str
    place: str = ""  # where its runs go, if that is elsewhere
    rules: Rules = Rules()
    limits: ev.LimitsSet | None = None  # None: the session's limits stay as they are
    tiers: ev.TiersSet | None = None  # None: they stay as they are
    prices: ev.PricesSet | None = None  # None: they stay as they are
    max_gpus: ev.MaxGpusSet | None = None  # None: they stay as they are
    ready: ev.ReadySet = ev.ReadySet(at=0.0)  # by default nothing waits beyond the free GPUs
    for_s: float | None = None  # this invocation's time
    on_exit: str = "stop"  # or "leave": what happens to running jobs at a signal or when `for_s` is over
    budget_s: float = 0.0  # seconds of training per run; 0: that is not known
    own_budget: bool = False  # it is the trainer's own


def first_facts(state: State, invocation: Invocation, researcher: str, at: float) -> Iterator[ev.Known]:
    """What an engine records before it does anything; what the settings state only where it changes."""
    yield ev.EngineStarted(
        at=at,
        pid=os.getpid(),
        host=socket.gethostname(),
        executor=invocation.executor,
        researcher=researcher,
        version=invocation.version,
        budget_s=invocation.budget_s,
        own_budget=invocation.own_budget,
        place=invocation.place,
    )
    if invocation.limits is not None and invocation.limits != state.limits:
        yield msgspec.structs.replace(invocation.limits, at=at)
    if invocation.tiers is not None and invocation.tiers != msgspec.structs.replace(state.tiers, at=0.0):
        yield msgspec.structs.replace(invocation.tiers, at=at)
    if invocation.prices is not None and invocation.prices.gpu_usd_hour != state.prices:
        yield msgspec.structs.replace(invocation.prices, at=at)
    if invocation.max_gpus is not None and invocation.max_gpus.limits != state.max_gpus:
        yield msgspec.structs.replace(invocation.max_gpus, at=at)
    if msgspec.structs.replace(invocation.ready, at=0.0) != msgspec.structs.replace(state.ready, at=0.0):
        yield msgspec.structs.replace(invocation.ready, at=at)
