"""When to look again although nothing happens: the next moment at which time alone may change the plan.

It has to know of every comparison with the time that `core.policy` and what it asks make. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from core.money import HOUR_S, spent_usd, usd_hour
from core.placement import PATIENCE_S
from core.policy import EARLY, EARLY_S
from core.setbacks import moments
from core.state import State
from core.views import elapsed

AFTER_S = 0.001  # behind the moment itself, so that rounding does not make it a moment too early


def next_look(state: State, now: float) -> float:
    """Seconds from now; inf if only news can change the plan."""
    later = [moment + AFTER_S - now for moment in _moments(state, now)]
    return min((seconds for seconds in later if seconds > 0), default=math.inf)


def _moments(state: State, now: float) -> Iterator[float]:
    if state.limits.max_hours is not None:
        yield now + state.limits.max_hours * 3600 - elapsed(state, now)
    limit, spent, rate = state.limits.max_usd, spent_usd(state, now), usd_hour(state)
    if limit is not None and spent is not None and rate:
        yield now + (limit - spent) / rate * HOUR_S
    yield from moments(state)
    if state.waits is not None:
        yield state.waits.until
    if state.asked is not None:
        yield state.asked.at + PATIENCE_S
    elif state.duration_s:
        early = state.duration_s - state.think_s * EARLY - EARLY_S  # into a run, the researcher may be asked
        yield from (started + early for run in state.active if (started := state.runs[run].started_at) is not None)
