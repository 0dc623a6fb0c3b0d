"""What a request to a model may still cost: every cap asked before it is made, with the worst that could come. Pure.

A day is one of UTC. What is booked is what the facts say; the cap of a wave counts from when it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from core.claude.settings import ClaudeSettings
from core.conversing import DAY_S
from core.money import spent_usd
from core.state import State

NEAR = 0.2  # of a cap: with less than this left the model is told


class Cap(msgspec.Struct, frozen=True):
    name: str  # "this wave"
    limit: float  # US dollars
    spent: float
    ends_at: float | None = None  # when it starts afresh by itself; None: not in this session

    @property
    def left(self) -> float:
        return self.limit - self.spent

    def told(self) -> str:
        """Why nothing more is asked, as a clause."""
        return f"${self.spent:,.2f} of the ${self.limit:,.2f} for {self.name} are spent, too much for one more call"


def caps(state: State, settings: ClaudeSettings, now: float, wave_usd: float) -> tuple[Cap, ...]:
    """All that hold now; `wave_usd`: what the model has cost since the present wave was asked for."""
    return tuple(_caps(state, settings, now, wave_usd))


def _caps(state: State, settings: ClaudeSettings, now: float, wave_usd: float) -> Iterator[Cap]:
    day = int(now // DAY_S)
    if settings.max_usd_wave is not None:
        yield Cap("the model per wave", settings.max_usd_wave, wave_usd, ends_at=now)
    if settings.max_usd_day is not None:
        spent = state.model_usd_days.get(day, 0.0)
        yield Cap("the model per day", settings.max_usd_day, spent, ends_at=(day + 1) * DAY_S)
    if settings.max_usd is not None:
        yield Cap("the model in this session", settings.max_usd, state.model_usd)
    if state.limits.max_usd is not None:
        yield Cap("GPUs and model together", state.limits.max_usd, spent_usd(state, now) or 0.0)


def exceeded(held: tuple[Cap, ...], worst_usd: float) -> Cap | None:
    """The cap that a call of at most so many dollars might exceed, the one with least left first."""
    return min((cap for cap in held if worst_usd > cap.left), key=lambda cap: cap.left, default=None)


def room(held: tuple[Cap, ...]) -> float:
    """US dollars that the next call may cost; inf without caps."""
    return min((cap.left for cap in held), default=float("inf"))


def near(held: tuple[Cap, ...]) -> tuple[Cap, ...]:
    """Those with little left."""
    return tuple(cap for cap in held if cap.left < NEAR * cap.limit)


def notice(held: tuple[Cap, ...]) -> str:
    """What the model is told of its money, in a line or two."""
    told = "; ".join(f"${max(0.0, cap.left):,.2f} of ${cap.limit:,.2f} left for {cap.name}" for cap in held)
    if not near(held):
        return told
    names = " and ".join(cap.name for cap in near(held))
    return f"{told}. The cap for {names} is near: plan now, in one short answer, with as many experiments as fit."
