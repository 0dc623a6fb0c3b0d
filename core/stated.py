"""The facts that an engine states at its start, from its settings: what holds from then on, until another is stated.

Each is recorded only where it differs from what holds already.
"""

from __future__ import annotations

import msgspec

from core.event import Event


class LimitsSet(Event, frozen=True):
    """Limits hold for the whole session, across engines. None: no limit."""

    max_hours: float | None = None
    max_experiments: int | None = None
    target_bpb: float | None = None
    max_usd: float | None = None


class TiersSet(Event, frozen=True):
    """GPU types by tier, as the settings say. Both empty: the plentiful type screens, the others validate."""

    screen: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()


class PricesSet(Event, frozen=True):
    """What a GPU costs while a run of ours holds it, US dollars per hour by GPU type."""

    gpu_usd_hour: dict[str, float]


class ReadySet(Event, frozen=True):
    """How many runs may be launched beyond the free GPUs: they wait at the executor, for the next GPU that frees.

    One per `gpus_each` GPUs of a type, at least one. 0: none, because the executor has no queue of its own.
    """

    gpus_each: int = 0
    by_type: dict[str, int] = msgspec.field(default_factory=dict)  # types that have another number
