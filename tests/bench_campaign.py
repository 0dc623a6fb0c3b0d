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
import numpy as np

from core.events import RunEnded
from core.ids import BASELINE
from core.ledger import ledger
from core.patch import Change
from core.researcher import Idea, Plan
from core.researchers import chosen
from core.researchers.measured import config_of, place_of, settled, tried, values_of
from core.researchers.screening import settings_of
from core.settings import Settings
from core.state import State

FLEET, RUN_S = "H100:13,H200:3", 326.0
GPUS = 16
NEAR = 1.0  # units that an edit changes its constant at most
EDIT_S = 31.6  # between submissions of the published agent, which edited one file at a time
PROCESSES = 1  # at a time; more make "seconds of real time" longer
WORTH_A_ROW = 0.001
CEILING = GPUS * 3600 / RUN_S


class Campaign(msgspec.Struct, frozen=True):
    """What one seed came to."""

    real_s: float
    hours: float
    finished_per_hour: float  # runs that finished, within the hours
    ideas_per_hour: float  # of them the first ones of new ideas
    ended: int
    facts: int
    replays: bool
    shares: dict[str, float]  # of the ledger


class OneEdit:
    """Answers with one constant of the baseline changed a little, whatever it is asked for.

    Such ideas are neither clever nor harmful and never run out, so what they cost in GPU time is their pace alone.
    """

    name = "one edit"

    def __init__(self, name: str, settings: Settings) -> None:
        pass

    async def propose(self, state: State, slots: int) -> Plan:
        place, known = place_of(state, frozenset(), frozenset()), tried(state)
        dice = np.random.default_rng([state.seed, len(state.waves)])
        while True:
            at = place.at.copy()
            i = dice.integers(len(at))
            at[i] = place.axes[i].nearest(at[i] + dice.uniform(-NEAR, NEAR))
            settings = settings_of(place, at)
            if settings and config_of(settled(values_of(state.sources[state.baseline]), settings)) not in known:
                change = Change(settings=settings)
                return Plan(reason="one edit", ideas=(Idea(title=f"{state.baseline}, edited", change=change),))


def campaign(seed: int, hours: float, *, one_edit: bool = False, **settings: Any) -> Campaign:
    """Through the real engine, log and git, in virtual time. `settings` as on the command line."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = imagined.workspace(Path(folder) / "work")
        begun = time.perf_counter()
        settings = {"fleet": FLEET, **settings}
        with patch.object(chosen, "_statistics", OneEdit) if one_edit else nullcontext():
            _, state = imagined.watched(workspace, max_hours=hours, seed=seed, **settings)
        real_s = time.perf_counter() - begun
        replayed = imagined.state_of(workspace)
    return _measured(state, real_s, hours, replays=replayed == state)


def _measured(state: State, real_s: float, hours: float, *, replays: bool) -> Campaign:
    end = state.started_at + hours * 3600
    finished = [run for run in state.runs.values() if _finished_by(run.result, end)]
    spent = ledger(state, state.at)
    total = sum(spent.values())
    return Campaign(
        real_s=real_s,
        hours=hours,
        finished_per_hour=len(finished) / hours,
        ideas_per_hour=sum(run.purpose == "first" and run.experiment != BASELINE for run in finished) / hours,
        ended=state.ended,
        facts=state.seq,
        replays=replays,
        shares={name: seconds / total for name, seconds in spent.items()},
    )


def _finished_by(result: RunEnded | None, end: float) -> bool:
    return result is not None and result.outcome == "finished" and result.at <= end


WAYS: dict[str, dict[str, Any]] = {
    "overlapping waves": {},
    "barrier waves": {"overlap": False, "replicates": False},
    "one edit per 31.6 s": {"one_edit": True, "answer_s": EDIT_S, "replicates": False},
}


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    print(f"{hours:g} virtual hours on {FLEET}, {RUN_S:g} s per run, 75 s per answer of a wave, {seeds} seed(s);")
    print(f"median (range); goal: at least 173 finished runs per hour of {CEILING:.1f}, 900 runs in under 20 s;")
    print(
        f"one edit per {EDIT_S:g} s: {3600 / EDIT_S:.1f} new ideas per hour at most, each a constant moved a little\n"
    )
    with ProcessPoolExecutor(PROCESSES) as pool:
        asked = {
            name: [pool.submit(campaign, seed, hours, **settings) for seed in range(seeds)]
            for name, settings in WAYS.items()
        }
        found = {name: [future.result() for future in futures] for name, futures in asked.items()}
    print("| | " + " | ".join(found) + " |\n" + "|---|" + "---|" * len(found))
    _row("finished runs per hour", found, lambda one: one.finished_per_hour, ".1f")
    _row("first runs of new ideas per hour", found, lambda one: one.ideas_per_hour, ".1f")
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
