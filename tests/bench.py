"""The figures of this machine, as a table: `make bench`. Nothing is asserted; goals stand beside what was measured."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import stub
from story import E0, Story

from core import events as ev
from core import log as logs
from core.fold import fold
from core.ids import ExperimentId, RunId, WaveId, run_id
from core.patch import Change
from core.state import State

ROOT = Path(__file__).parents[1]
PROGRESS = 26  # reports per run; with the other facts of an experiment this makes 30


def session(events: int) -> list[ev.Known]:
    """A long session: one run per experiment, most facts are progress, as in real ones."""
    story = Story(gpus=16, gpu_type="H100")
    facts, at, number = list(story.facts), story.at, 0
    gpus = [gpu.id for gpu in story.gpus]
    facts.append(ev.WavePlanned(at=at, wave=WaveId("w1"), parent=E0, reason="bench"))
    while len(facts) < events:
        number, at = number + 1, at + 1.0
        name = ExperimentId(f"e{number}")
        run = run_id(name, 1)
        wave = WaveId(f"w{number // 12 + 1}")
        if number % 12 == 0:
            facts.append(ev.WavePlanned(at=at, wave=wave, parent=E0, reason="bench"))
        change = Change(settings={"DEPTH": str(number)})
        facts.append(
            ev.ExperimentProposed(
                at=at, experiment=name, wave=wave, parent=E0, change=change, digest=str(number), title="DEPTH"
            )
        )
        facts.append(ev.RunRequested(at=at, run=run, experiment=name, gpu_type="H100", seed=number))
        facts.append(ev.RunStarted(at=at, run=run, gpu=gpus[number % 16]))
        facts += progress(run, at)
        facts.append(ev.RunEnded(at=at + 300, run=run, outcome="finished", val_bpb=1.0 + number * 1e-6, eval_s=20.0))
        facts.append(ev.ExperimentJudged(at=at + 300, experiment=name, verdict="discarded", reason="bench"))
    return facts[:events]


def progress(run: RunId, at: float) -> Iterator[ev.RunProgressed]:
    for step in range(PROGRESS):
        yield ev.RunProgressed(at=at + step, run=run, step=step, fraction=step / PROGRESS, loss=3.0, tokens_per_s=1e6)


def bench_fold() -> str:
    facts = session(300_000)
    times = [_timed(lambda: fold(State(), facts)) / len(facts) * 1e6 for _ in range(5)]
    return f"{_spread(times)} µs/event"


def bench_live_fold() -> str:
    """One fact at a time, as the engine does, at the end of a long session."""
    facts = session(300_000)
    state = fold(State(), facts[:299_000])
    begun = time.perf_counter()
    for fact in facts[299_000:]:
        state = fold(state, (fact,))
    return f"{(time.perf_counter() - begun) / 1000 * 1e6:.0f} µs/event"


def bench_append(folder: Path) -> str:
    async def append() -> float:
        path = folder / "append.db"
        logs.create(path)
        log = logs.Log(path)
        await log.open()
        committer = asyncio.create_task(log.committer())
        facts = session(20_000)
        begun = time.perf_counter()
        for start in range(0, len(facts), 50):
            await asyncio.gather(*[log.append(fact) for fact in facts[start : start + 50]])
        spent = time.perf_counter() - begun
        log.close()
        await committer
        await log.disconnect()
        path.unlink()
        return len(facts) / spent

    rates = [asyncio.run(append()) for _ in range(3)]
    return f"{_spread(rates, 0)} events/s (batches of 50, each awaited on the disk)"


def bench_open(folder: Path) -> str:
    path = folder / "million.db"
    logs.create(path)
    logs.append_all(path, session(1_000_000))
    times = [_timed(lambda: fold(State(), logs.read_all(path))) for _ in range(3)]
    path.unlink()
    return f"{_spread(times)} s"


def bench_help() -> str:
    command = [sys.executable, "-c", "from tui.cli import main; main()", "--help"]
    entry = Path(sys.executable).with_name("autoresearch-tui")
    command = [str(entry), "--help"] if entry.exists() else command
    times = [_timed(lambda: subprocess.run(command, capture_output=True, check=True, cwd=ROOT)) for _ in range(11)]
    return f"{_spread([t * 1e3 for t in times[1:]], 0)} ms"


def bench_gap(folder: Path) -> str:
    """From a process's end to the start of the next on the same slot; both times are the supervisor's."""
    workspace = stub.make_stub(folder / "gap")
    stub.run(workspace, "--no-ui", "--max-experiments", "150", timeout=300)
    facts = logs.read_all(workspace / ".autoresearch" / logs.FILE)
    ends: dict[str, float] = {}
    gaps, at = list[float](), dict[RunId, str]()
    for fact in facts:
        if isinstance(fact, ev.RunStarted):
            at[fact.run] = fact.gpu
            if fact.gpu in ends:
                gaps.append((fact.at - ends[fact.gpu]) * 1e3)
        elif isinstance(fact, ev.RunEnded):
            ends[at[fact.run]] = fact.at
    gaps.sort()
    return f"median {statistics.median(gaps):.0f}, p99 {gaps[int(len(gaps) * 0.99)]:.0f} ms of {len(gaps)} launches"


def bench_demo(folder: Path) -> tuple[str, str]:
    """Real runs: seconds from the start of a warm process to its first training step, and the trainer's tokens/s."""
    workspace = folder / "demo"
    command = ["-c", "from tui.cli import main; main()", "demo", str(workspace), "--no-ui", "--max-experiments", "4"]
    subprocess.run([sys.executable, *command, "--slots", "1"], check=True, capture_output=True, cwd=ROOT)
    state = fold(State(), logs.read_all(workspace / ".autoresearch" / logs.FILE))
    results = [run.result for run in state.runs.values() if run.result is not None and run.experiment == E0]
    starts = [result.startup_s * 1e3 for result in results if result.startup_s is not None]
    speeds = [result.tokens_m * 1e6 / result.training_s for result in results if result.tokens_m and result.training_s]
    first = f"{_spread(starts, 0)} ms of {len(starts)} baseline runs"
    return first, f"{_spread(speeds, 0)} tokens/s on one core ({len(speeds)} baseline runs)"


def _timed(act: object) -> float:
    begun = time.perf_counter()
    act()  # type: ignore[operator]
    return time.perf_counter() - begun


def _spread(values: list[float], digits: int = 2) -> str:
    middle = statistics.median(values)
    return f"{middle:,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def main() -> None:
    from bench_playback import rows as playback  # it borrows from this file

    folder = Path(tempfile.mkdtemp())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{cores} cores, Python {sys.version.split()[0]}; median (lowest–highest)\n")
    try:
        rows: list[tuple[str, str, str]] = []
        for name, goal, bench in (
            ("fold, 300,000 events", "2 µs", bench_fold),
            ("fold, one by one at 300,000", "", bench_live_fold),
            ("append", "", lambda: bench_append(folder)),
            ("open a log of 1,000,000 events", "≤ 3 s", lambda: bench_open(folder)),
            ("autoresearch-tui --help", "≤ 150 ms", bench_help),
            ("a run's end → next start", "p99 ≤ 50 ms", lambda: bench_gap(folder)),
        ):
            rows.append((name, bench(), goal))
            print(f"{rows[-1][0]:<34} {rows[-1][1]:<60} {rows[-1][2]}", flush=True)
        for row in playback(folder / "playback.db"):
            rows.append(row)
            print(f"{row[0]:<34} {row[1]:<60} {row[2]}", flush=True)
        first, speed = bench_demo(folder)
        for row in (("start → first training step", first, "≤ 300 ms"), ("trainer", speed, "")):
            rows.append(row)
            print(f"{row[0]:<34} {row[1]:<60} {row[2]}", flush=True)
        (folder / "rows.json").write_text(json.dumps(rows))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
