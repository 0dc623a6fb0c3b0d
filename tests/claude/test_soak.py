"""Two thousand answers of a model behind a service that fails at random, in virtual time."""

from __future__ import annotations

import resource
from collections import defaultdict
from pathlib import Path
from typing import Any

import imagined
import pytest
from claude.competent import Competent
from claude.faults import Wanderer, faulty
from claude.replies import Reply
from claude.server import Asked, Bill
from claude.sessions import LATENCY_S, Held, held

from core import commands
from core import events as ev
from core import log as logs
from core import thinking as th
from core.claude.prices import cost, price_of
from core.state import Usage

TURNS = 2000
PATIENCE_S = 200.0
DAY_USD, SESSION_USD, WAVE_USD = 30.0, 100.0, 0.8
CENT = 0.01


def usd(bill: Bill) -> float:
    """What the service charges for it."""
    used = Usage(
        input_tokens=bill.usage["input_tokens"],
        cache_read_tokens=bill.usage["cache_read_input_tokens"],
        cache_write_tokens=bill.usage["cache_creation_input_tokens"],
        output_tokens=bill.output_tokens,
    )
    return cost(price_of(bill.model), used)


def longest_question(session: Held) -> float:
    """Seconds from a question to what came of it, the longest of all."""
    asked, longest = None, 0.0
    for fact in session.facts:
        match fact:
            case ev.WaveAsked(at=at):
                asked = at
            case ev.WavePlanned(at=at) | ev.ResearchFailed(at=at) | ev.ResearcherWaits(at=at) if asked is not None:
                longest, asked = max(longest, at - asked), None
    return longest


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# the HTTP client's own generator, collected while a request that was given up is being closed
@pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator object Response.aiter_raw")
@pytest.mark.slow
def test_two_thousand_answers_with_random_faults_stay_within_time_money_and_memory(tmp_path: Path) -> None:
    sizes, memory = list[int](), list[float]()
    script = faulty(Wanderer(1), seed=1)

    def watched(asked: Asked) -> Reply:
        sizes.append(asked.size)
        if asked.number % (TURNS // 4) == 0:
            memory.append(megabytes())
        if asked.number == TURNS:
            logs.send(imagined.file_of(tmp_path / "work"), commands.Stop(now=True))
        return script(asked)

    caps = {"max_usd": SESSION_USD, "max_usd_day": DAY_USD, "max_usd_wave": WAVE_USD, "history_tokens": 10_000}
    wanted: dict[str, Any] = {"fleet": "H100:2", "answer_s": 20.0}
    session = held(
        tmp_path / "work", watched, hours=500, keep=10, claude={**caps, "stand_in_after_s": PATIENCE_S}, **wanted
    )
    print(f"\n{len(sizes)} requests, {len(session.state.experiments)} experiments, ${session.state.model_usd:.2f}")
    print(
        f"largest request {max(sizes):,} bytes; memory {memory} MB; longest question {longest_question(session):.0f} s"
    )
    assert session.stopped.exit_code == 0, session.stopped
    assert len(sizes) >= TURNS
    assert not session.server.refused
    assert max(sizes[len(sizes) // 2 :]) < 1.5 * max(sizes[: len(sizes) // 2]), "a question does not grow for ever"
    assert max(sizes) < 300_000
    assert memory[-1] - memory[0] < 150, memory
    assert longest_question(session) < PATIENCE_S + 2 * LATENCY_S
    charged = sum(map(usd, session.server.bills))
    assert charged <= session.state.model_usd + CENT, "nothing is charged that is not booked"
    assert session.state.model_usd <= SESSION_USD + CENT
    assert max(session.state.model_usd_days.values()) <= DAY_USD + CENT
    assert session.busy > 0.9


def test_no_cap_is_exceeded_by_a_cent_whatever_the_service_does(tmp_path: Path) -> None:
    script = faulty(Competent(), seed=2, share=0.3)
    caps = {"max_usd": 0.5, "max_usd_day": 0.45, "max_usd_wave": 0.3, "max_tokens": 8000}
    session = held(tmp_path / "work", script, hours=6, claude=caps)
    assert session.stopped.exit_code == 0
    assert session.state.model_usd > 0.3, "it was used"
    assert session.state.model_usd <= 0.5
    assert max(session.state.model_usd_days.values()) <= 0.45
    assert sum(map(usd, session.server.bills)) <= session.state.model_usd + 1e-6
    assert any("$" in fact.reason for fact in session.of(th.StandInAsked)), "it says which cap"
    assert session.waves_by[-1] == "designed"
    assert max(_by_wave(session).values()) <= 0.3


def _by_wave(session: Held) -> dict[int, float]:
    """What the model cost from each question to the next."""
    asked, found = 0, defaultdict[int, float](float)
    for fact in session.facts:
        asked += isinstance(fact, ev.WaveAsked)
        if isinstance(fact, th.ModelCalled):
            found[asked] += fact.usd
    return found
