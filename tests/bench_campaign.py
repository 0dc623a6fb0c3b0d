"""8 virtual hours on 13 H100 and 3 H200 through the real engine, log and git, as a table; nothing is asserted.

Run it as `python tests/bench_campaign.py [SEEDS] [HOURS]`; goals stand beside what was measured.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import imagined
import msgspec

from core.ledger import ledger
from core.researcher import Plan
from core.researchers import chosen
from core.researchers.peers import RandomResearcher
from core.settings import Settings
from core.state import State

FLEET, RUN_S = "H100:13,H200:3", 326.0
GPUS = 16
EDIT_S = 31.6  # between submissions of the published agent, which edited one file at a time
PROCESSES = 1  # at a time; more make "seconds of real time" longer
WORTH_A_ROW = 0.001
CEILING = GPUS * 3600 / RUN_S


class Campaign(msgspec.Struct, frozen=True):
    """What one seed came to."""

    real_s: float
    hours: float
    finished_per_hour: float  # runs that finished, within the hours
    ended: int
    facts: int
    replays: bool
    shares: dict[str, float]  # of the ledger


class OneEdit:
    """Random search that answers with a single change, whatever it is asked for."""

    name = "one edit"

    def __init__(self, name: str, settings: Settings) -> None:
        self._random = RandomResearcher()

    async def propose(self, state: State, slots: int) -> Plan:
        return await self._random.propose(state, 1)


def campaign(seed: int, hours: float, **settings: Any) -> Campaign:
    with tempfile.TemporaryDirectory() as folder:
        workspace = imagined.workspace(Path(folder) / "work")
        begun = time.perf_counter()
        one_by_one = (
            patch.object(chosen, "_statistics", OneEdit) if settings.get("answer_s") == EDIT_S else nullcontext()
        )
        with one_by_one:
            _, state = imagined.watched(workspace, fleet=FLEET, max_hours=hours, seed=seed, **settings)
        real_s = time.perf_counter() - begun
        replayed = imagined.state_of(workspace)
    return _measured(state, real_s, hours, replays=replayed == state)


def _measured(state: State, real_s: float, hours: float, *, replays: bool) -> Campaign:
    end = state.started_at + hours * 3600
    results = [run.result for run in state.runs.values() if run.result is not None and run.result.at <= end]
    spent = ledger(state, state.at)
    total = sum(spent.values())
    return Campaign(
        real_s=real_s,
        hours=hours,
        finished_per_hour=sum(result.outcome == "finished" for result in results) / hours,
        ended=state.ended,
        facts=state.seq,
        replays=replays,
        shares={name: seconds / total for name, seconds in spent.items()},
    )


WAYS: dict[str, dict[str, Any]] = {
    "overlapping waves": {},
    "barrier waves": {"overlap": False, "replicates": False},
    "one edit per 31.6 s": {"researcher": "random", "answer_s": EDIT_S, "replicates": False},
}


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    print(f"{hours:g} virtual hours on {FLEET}, {RUN_S:g} s per run, 75 s per answer of a wave, {seeds} seed(s);")
    print(f"median (range); goal: at least 173 finished runs per hour of {CEILING:.1f}, 900 runs in under 20 s\n")
    with ProcessPoolExecutor(PROCESSES) as pool:
        asked = {
            name: [pool.submit(campaign, seed, hours, **settings) for seed in range(seeds)]
            for name, settings in WAYS.items()
        }
        found = {name: [future.result() for future in futures] for name, futures in asked.items()}
    print("| | " + " | ".join(found) + " |\n" + "|---|" + "---|" * len(found))
    _row("finished runs per hour", found, lambda one: one.finished_per_hour, ".1f")
    _row("runs ended in all", found, lambda one: float(one.ended), ".0f")
    _row("facts", found, lambda one: float(one.facts), ".0f")
    _row("seconds of real time", found, lambda one: one.real_s, ".1f")
    _row("ms of real time per run", found, lambda one: 1000 * one.real_s / one.ended, ".1f")
    _row("log replays to the same state (%)", found, lambda one: 100.0 * one.replays, ".0f")
    for name in next(iter(found.values()))[0].shares:
        if any(one.shares[name] >= WORTH_A_ROW for group in found.values() for one in group):
            _row(f"ledger: {name} (%)", found, partial(_percent, name), ".1f")


def _percent(name: str, one: Campaign) -> float:
    return 100 * one.shares[name]


def _row(name: str, found: Mapping[str, Sequence[Campaign]], of: Callable[[Campaign], float], form: str) -> None:
    cells = []
    for group in found.values():
        values = [of(one) for one in group]
        cells.append(f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
