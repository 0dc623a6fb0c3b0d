"""8 virtual hours on 13 H100 and 3 H200 with Claude planning, 60 s per answer, beside the designed researcher.

The model is a script behind a local server that speaks the real protocol; engine, client, log and git are real, GPUs
and time are not. Run it as `python tests/bench_claude.py [SEEDS] [HOURS]`; the goal stands beside what was measured.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import imagined
import msgspec
from claude.competent import Competent
from claude.sessions import LATENCY_S, held, occupancy

from core.state import State, Usage
from core.views import improvement

FLEET = "H100:13,H200:3"


class Campaign(msgspec.Struct, frozen=True):
    """What one seed came to; `requests` and the like are 0 without a model."""

    real_s: float
    hours: float
    busy: float  # share of GPU-seconds in which something ran
    useful: float  # share that trained something new or confirmed it
    finished: int
    experiments: int
    kept: int
    gain: float  # percent of val_bpb
    usd: float
    usage: Usage
    largest: int = 0  # request, in bytes


def designed(seed: int, hours: float) -> Campaign:
    with tempfile.TemporaryDirectory() as folder:
        workspace = imagined.workspace(Path(folder) / "work")
        begun = time.perf_counter()
        wanted: dict[str, Any] = {"fleet": FLEET, "max_hours": hours, "answer_s": LATENCY_S, "seed": seed}
        _, state = imagined.watched(workspace, **wanted)
        return _measured(state, hours, time.perf_counter() - begun)


def asked(seed: int, hours: float) -> Campaign:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        session = held(Path(folder) / "work", Competent(seed), hours=hours, fleet=FLEET, seed=seed)
        found = _measured(session.state, hours, time.perf_counter() - begun)
        assert not session.errors, session.errors[:3]
        assert not session.server.refused
        return msgspec.structs.replace(found, largest=max(each.size for each in session.server.asked))


def _measured(state: State, hours: float, real_s: float) -> Campaign:
    gain, spent = improvement(state), occupancy(state)
    usage = list(state.usage.values())
    sums = {name: sum(getattr(each, name) for each in usage) for name in Usage.__struct_fields__}
    return Campaign(
        real_s=real_s,
        hours=hours,
        busy=1 - spent["no run"],
        useful=spent["useful"],
        finished=sum(run.result is not None and run.result.outcome == "finished" for run in state.runs.values()),
        experiments=len(state.experiments) - 1,
        kept=state.counts.get("kept", 0),
        gain=gain.percent if gain is not None else 0.0,
        usd=state.model_usd,
        usage=Usage(**sums),
    )


def _cached(one: Campaign) -> float:
    read = one.usage.input_tokens + one.usage.cache_read_tokens + one.usage.cache_write_tokens
    return 100 * one.usage.cache_read_tokens / read if read else 0.0


ROWS: tuple[tuple[str, Callable[[Campaign], float], str], ...] = (
    ("GPU time in which something ran (%)", lambda one: 100 * one.busy, ".2f"),
    ("GPU time that trained (%)", lambda one: 100 * one.useful, ".2f"),
    ("finished runs per hour", lambda one: one.finished / one.hours, ".1f"),
    ("experiments", lambda one: float(one.experiments), ".0f"),
    ("kept", lambda one: float(one.kept), ".0f"),
    ("val_bpb (%)", lambda one: one.gain, "+.2f"),
    ("requests to the model", lambda one: float(one.usage.calls), ".0f"),
    ("tokens read in all (thousands)", lambda one: _read(one) / 1e3, ",.0f"),
    ("of these from the cache (%)", _cached, ".1f"),
    ("tokens written (thousands)", lambda one: one.usage.output_tokens / 1e3, ",.1f"),
    ("cost of the model ($)", lambda one: one.usd, ".2f"),
    ("cost of the model per hour ($)", lambda one: one.usd / one.hours, ".2f"),
    ("largest request (kB)", lambda one: one.largest / 1e3, ".0f"),
    ("seconds of real time", lambda one: one.real_s, ".1f"),
)


def _read(one: Campaign) -> int:
    return one.usage.input_tokens + one.usage.cache_read_tokens + one.usage.cache_write_tokens


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    print(f"{hours:g} virtual hours on {FLEET}, {LATENCY_S:g} s per answer, {seeds} seed(s), median (range);")
    print("goal: GPU time in which something ran within 2 % of the designed researcher's\n")
    ways = {"designed": designed, "claude (scripted)": asked}
    found = {name: [way(seed, hours) for seed in range(seeds)] for name, way in ways.items()}
    print("| | " + " | ".join(found) + " |\n" + "|---|" + "---|" * len(found))
    for name, of, form in ROWS:
        cells = [_cell([of(one) for one in group], form) for group in found.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _cell(values: Sequence[float], form: str) -> str:
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


if __name__ == "__main__":
    main()
