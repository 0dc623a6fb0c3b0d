"""The researcher's half of the fold: what it said lately, its notebook, and what its model has cost.

The latest of its talk is kept for windows; the whole is in the log. Totals are exact.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core import booking
from core import thinking as th
from core.draft import Draft
from core.state import Usage

TALK = 200  # facts of its talk that a state remembers
DAY_S = 86_400.0


def thought(s: Draft, fact: th.ThinkingFact) -> None:
    match fact:
        case th.ModelCalled():
            _called(s, fact)
        case th.NotebookWritten():
            s.notebook = (*(() if fact.starts_over else s.notebook), fact)
        case th.ResearcherWaits():
            booking.accrue(s, fact.at)
            s.asked, s.waits, s.failures = None, fact, 0
        case th.StandInAsked():
            s.stand_in = fact.stand_in
        case th.RepairTried():
            s.own("repairs")[fact.experiment] = fact
        case th.WaveOffered():
            s.offered = (*s.offered, fact)
        case th.ResearcherSaid() | th.ToolUsed():
            pass
    s.talk = (*s.talk, fact)[-TALK:]


def _called(s: Draft, fact: th.ModelCalled) -> None:
    used = s.usage.get(fact.model, Usage())
    tokens: dict[str, Any] = {
        name: getattr(used, name) + getattr(fact, name)
        for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "usd", "seconds")
    }
    s.own("usage")[fact.model] = msgspec.structs.replace(used, calls=used.calls + 1, **tokens)
    s.model_usd += fact.usd
    day = int(fact.at // DAY_S)
    s.own("model_usd_days")[day] = s.model_usd_days.get(day, 0.0) + fact.usd
    s.calls = max(s.calls, fact.call)
