"""Methods of search on the real CPU trainer: equal numbers of runs, then what each chose measured on fresh seeds.

The designed researcher works through the real engine, where every run counts, replicates of the baseline included;
greedy, random search and Optuna's TPE start train.py themselves, one run at a time. Every run and choice is a line of
JSON in a file, and a comparison that was interrupted goes on from there. Knows no surfaces.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from compare_surfaces import PENALTY, suggested, tpe_study

from core import events as ev
from core import knobs, log
from core.axes import Axis, axes_of
from core.fold import fold
from core.researchers.measured import NOT_TUNABLE, Place
from core.researchers.peers import anywhere, spot, walked
from core.researchers.screening import settings_of
from core.state import State

ROOT = Path(__file__).resolve().parents[1]
FRESH = 3  # runs of each method's choice with seeds that nobody has seen
FRESH_SEED = 900_000
POLL_S = 1.0
TIMEOUT_S = 130.0  # of one run
CRASHED = 3.0  # val_bpb that TPE is told of a start that crashed; of other crashes, worse than the start
RESULT = re.compile(r"^val_bpb:\s*([0-9.]+)", re.MULTILINE)
CLI = "from tui.cli import main; main()"


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of a method (`what` "run") or of what it chose ("choice"). `val_bpb` None: it crashed."""

    method: str
    seed: int
    number: int
    what: str
    val_bpb: float | None
    source: str


class Bench:
    """One folder with the template's files, the seed of a repetition and the lines known so far."""

    def __init__(self, folder: Path, out: Path | None, budget: float | None) -> None:
        self.folder, self.out = folder, out
        self.environment = {**os.environ, "AUTORESEARCH_DEVICE": "cpu", "PYTHONPATH": str(ROOT)}
        if budget is not None:
            self.environment["AUTORESEARCH_TIME_BUDGET"] = str(budget)
        self.lines = [msgspec.json.decode(text, type=Line) for text in _texts(out)]
        for name in ("train.py", "prepare.py", "corpus.py"):
            shutil.copy(ROOT / "trainer" / name, folder)
        self.start = (folder / "train.py").read_text()
        self.place = _place(self.start)

    @property
    def axes(self) -> Sequence[Axis]:
        return self.place.axes

    def measured(self, method: str, seed: int, number: int, what: str, source: str, run_seed: int) -> float | None:
        """One run; known ones are not repeated."""
        for line in self.lines:
            if (line.method, line.seed, line.number, line.what, line.source) == (method, seed, number, what, source):
                return line.val_bpb
        value = self._run(source, run_seed)
        self.told(Line(method, seed, number, what, value, source))
        return value

    def told(self, line: Line) -> None:
        self.lines.append(line)
        shown = "crashed" if line.val_bpb is None else f"{line.val_bpb:.4f}"
        print(f"{line.method} seed {line.seed} {line.what} {line.number}: {shown}", flush=True)
        if self.out is not None:
            with self.out.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")

    def _run(self, source: str, run_seed: int) -> float | None:
        (self.folder / "train.py").write_text(source)
        environment = {**self.environment, "AUTORESEARCH_SEED": str(run_seed)}
        command = [sys.executable, "train.py"]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return None
        found = RESULT.findall(done.stdout.decode(errors="replace"))
        return float(found[-1]) if found and done.returncode == 0 else None


def _texts(out: Path | None) -> list[bytes]:
    return out.read_bytes().splitlines() if out is not None and out.exists() else []


def _place(source: str) -> Place:
    found = {knob.name: knob for knob in knobs.find(source) if not NOT_TUNABLE.search(knob.name)}
    powers = [name for name, knob in found.items() if "**" in knob.text]
    axes = axes_of({name: knob.value for name, knob in found.items()}, powers)
    return Place(found, axes, np.zeros(len(axes)))


# --- methods: each yields what it would choose after every run --------------------------------------------------------


def greedy(bench: Bench, seed: int, runs: int) -> Iterator[str]:
    """One change at a time, kept if it was lower once."""
    dice = np.random.default_rng([1, seed])
    at, best, last = bench.place.at, float("inf"), None
    known, wanted = {spot(at)}, bench.place.at
    for number in range(1, runs + 1):
        value = bench.measured("greedy", seed, number, "run", _source(bench, wanted), 1000 * seed + number)
        last = None
        if value is not None and value < best:
            last = wanted - at if number > 1 else None
            at, best = wanted, value
        yield _source(bench, at)
        known.add(spot(wanted))
        following = walked(bench.axes, at, known, last, dice)
        if following is None:
            return
        wanted = following


def random(bench: Bench, seed: int, runs: int) -> Iterator[str]:
    dice = np.random.default_rng([2, seed])
    at, best, wanted = bench.place.at, float("inf"), bench.place.at
    for number in range(1, runs + 1):
        value = bench.measured("random", seed, number, "run", _source(bench, wanted), 1000 * seed + number)
        if value is not None and value < best:
            at, best = wanted, value
        yield _source(bench, at)
        wanted = anywhere(bench.axes, dice)


def tpe(bench: Bench, seed: int, runs: int) -> Iterator[str]:
    """Optuna's tree-structured Parzen estimator, told every result before it is asked again; the start comes first."""
    study = tpe_study(seed, bench.axes)
    at, best, first = bench.place.at, float("inf"), None
    for number in range(1, runs + 1):
        trial = study.ask()
        wanted = suggested(trial, bench.axes)
        value = bench.measured("TPE", seed, number, "run", _source(bench, wanted), 1000 * seed + number)
        if value is not None and value < best:
            at, best = wanted, value
        first = first or value or CRASHED
        study.tell(trial, PENALTY * first if value is None else value)
        yield _source(bench, at)


def designed(bench: Bench, seed: int, runs: int) -> Iterator[str]:
    """The real engine with two slots, stopped when so many runs have ended; the baseline is its choice."""
    if not any(line.method == "designed" and line.seed == seed and line.number >= runs for line in bench.lines):
        _campaign(bench, seed, runs)
    yield from (line.source for line in bench.lines if (line.method, line.seed, line.what) == ("designed", seed, "run"))


METHODS: dict[str, Callable[[Bench, int, int], Iterator[str]]] = {
    "designed": designed,
    "greedy": greedy,
    "random": random,
    "TPE": tpe,
}


def _source(bench: Bench, at: Any) -> str:
    return knobs.settings(bench.start, settings_of(bench.place, at))


def _campaign(bench: Bench, seed: int, runs: int) -> None:
    workspace = bench.folder / f"designed-{seed}"
    shutil.rmtree(workspace, ignore_errors=True)
    _cli(bench, "-C", str(workspace), "init")
    command = [sys.executable, "-c", CLI, "-C", str(workspace), "--no-ui", "--slots", "2", "--seed", str(seed)]
    with subprocess.Popen(command, env=bench.environment, stdout=subprocess.DEVNULL) as engine:
        while engine.poll() is None and _ended(bench, workspace) < runs:
            time.sleep(POLL_S)
        if engine.poll() is None:
            _cli(bench, "-C", str(workspace), "stop", "--now")
    facts = log.read_all(workspace / ".autoresearch" / log.FILE)
    for number, value, source in _history(facts, runs):
        bench.told(Line("designed", seed, number, "run", value, source))


def _ended(bench: Bench, workspace: Path) -> int:
    done = _cli(bench, "-C", str(workspace), "status", "--json", check=False)
    try:
        return int(json.loads(done.stdout)["runs"]["finished"])
    except (ValueError, KeyError):
        return 0


def _cli(bench: Bench, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", CLI, *arguments]
    return subprocess.run(command, env=bench.environment, capture_output=True, check=check)


def _history(facts: Sequence[ev.Fact], runs: int) -> list[tuple[int, float | None, str]]:
    """After every run: its number, its result and the train.py that is the baseline when the next one ends."""
    state, found = State(), list[tuple[int, float | None, str]]()
    for fact in facts:
        if isinstance(fact, ev.RunEnded) and fact.outcome in ("finished", "crashed"):
            found.append((len(found) + 1, fact.val_bpb, ""))
        state = fold(state, [fact])
        if found:
            found[-1] = (*found[-1][:2], state.sources[state.baseline])
    return found[:runs]


# --- the comparison ---------------------------------------------------------------------------------------------------


def compare(seeds: Sequence[int], runs: int, out: Path | None, budget: float | None, only: str = "") -> None:
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), out, budget)
        chosen: dict[str, list[float]] = {"start": []}
        for seed in seeds:
            sources = {"start": bench.start}
            for method, search in METHODS.items():
                if not only or method in only.split(";"):
                    sources[method] = list(search(bench, seed, runs))[-1]
            for method, source in sources.items():
                chosen.setdefault(method, []).append(_fresh(bench, method, seed, source))
        print("\n".join(_table(chosen, runs, budget)))


def _fresh(bench: Bench, method: str, seed: int, source: str) -> float:
    numbers = range(1, FRESH + 1)
    found = [bench.measured(method, seed, n, "choice", source, FRESH_SEED + 100 * seed + n) for n in numbers]
    return fmean([value for value in found if value is not None] or [float("inf")])


def _table(chosen: dict[str, list[float]], runs: int, budget: float | None) -> list[str]:
    start = fmean(chosen["start"])
    lines = ["| method | val_bpb of its choice | against the start |", "|---|---|---|"]
    for method, values in chosen.items():
        middle = median(values)
        span = f"{middle:.4f} ({min(values):.4f}–{max(values):.4f})"
        lines.append(f"| {method} | {span} | {100 * (middle / start - 1):+.1f} % |".replace("-", "−"))
    short = f", {budget:g} s of training each" if budget is not None else ""
    return [*lines, "", f"{runs} runs each{short}; every choice measured on {FRESH} fresh seeds; medians and ranges."]
