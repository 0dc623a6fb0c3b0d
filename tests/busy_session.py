"""A synthetic session of any size, and its going on: runs report, end, are judged, and others start in their place.

    PYTHONPATH=. python tests/busy_session.py FOLDER EXPERIMENTS GPUS EVENTS_PER_S [RUN_S]

writes FOLDER/.autoresearch/session.db, prints "ready", and goes on writing like an engine until it is ended. With 0
events a second it only holds the session. Nothing runs; the figures are made up.
"""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec
from story import E0, Story

from core import events as ev
from core import log as logs
from core.design import Design, Factor
from core.ids import ExperimentId, GpuId, RunId, WaveId, run_id
from core.patch import Change

DEPTHS, RATES = ("2", "3", "4", "6"), ("0.02", "0.04", "0.08")
WAVE = len(DEPTHS) * len(RATES)
TICK_S = 0.05


class Busy:
    """Facts in the order of their times; `facts` is what has not been taken yet."""

    def __init__(self, gpus: int, at: float, seed: int = 0) -> None:
        story = Story(at=at)
        story.fleet(H100=gpus - gpus // 5, H200=gpus // 5)
        self.at, self.facts = at, list[ev.Known](story.facts)
        self.random = random.Random(seed)
        self.gpus = {gpu.id: gpu.type for gpu in story.gpus}
        self.running: dict[RunId, tuple[GpuId, int]] = {}  # its GPU and its step
        self.free = list(self.gpus)
        self.open: deque[ExperimentId] = deque()
        self.experiments = self.waves = 0
        for seed_number in range(3):
            self.launch(E0, seed_number + 1)

    def wave(self) -> None:
        self.waves += 1
        name, designed = WaveId(f"w{self.waves}"), self.waves % 2 == 1
        design = Design("full factorial", (Factor("DEPTH", DEPTHS), Factor("MATRIX_LR", RATES))) if designed else None
        self.tell(
            ev.WavePlanned(at=self.at, wave=name, parent=E0, reason="Depth may want a rate of its own.", design=design)
        )
        for index in range(WAVE):
            cell = {"DEPTH": DEPTHS[index % len(DEPTHS)], "MATRIX_LR": RATES[index // len(DEPTHS)]}
            self.experiments += 1
            experiment = ExperimentId(f"e{self.experiments}")
            title = ", ".join(f"{key} {value}" for key, value in cell.items())
            self.tell(
                ev.ExperimentProposed(
                    at=self.at, experiment=experiment, wave=name, parent=E0, change=Change(settings=cell),
                    digest=experiment, title=title, hypothesis="It should help.", cell=cell if designed else {},
                )
            )  # fmt: skip
            self.open.append(experiment)

    def launch(self, experiment: ExperimentId, number: int = 1) -> None:
        gpu, run = self.free.pop(), run_id(experiment, number)
        self.tell(ev.RunRequested(at=self.at, run=run, experiment=experiment, gpu_type=self.gpus[gpu], seed=number))
        self.tell(ev.RunStarted(at=self.at, run=run, gpu=gpu))
        self.running[run] = (gpu, 0)

    def fill(self) -> None:
        """Every free GPU gets an experiment."""
        while self.free:
            if not self.open:
                self.wave()
            self.launch(self.open.popleft())

    def progress(self, run: RunId) -> None:
        gpu, step = self.running[run]
        self.running[run] = (gpu, step + 1)
        share = min(0.99, step / 300)
        self.tell(
            ev.RunProgressed(at=self.at, run=run, step=step, fraction=share, loss=6 - 3 * share, tokens_per_s=1e6)
        )

    def finish(self, run: RunId) -> None:
        gpu, _ = self.running.pop(run)
        self.free.append(gpu)
        experiment = ExperimentId(run.rpartition("-")[0])
        if crashed := self.random.random() < 0.03:
            self.tell(ev.RunEnded(at=self.at, run=run, outcome="crashed", exit_code=1, reason="CUDA out of memory"))
        else:
            bpb = 1.0 + self.random.gauss(0, 0.005) - 2e-6 * self.experiments
            self.tell(
                ev.RunEnded(
                    at=self.at, run=run, outcome="finished", val_bpb=bpb, startup_s=8.0, eval_s=9.0, training_s=280.0,
                    memory_mb=40_000.0, steps=300,
                )
            )  # fmt: skip
        if experiment != E0:
            self.tell(
                ev.ExperimentJudged(
                    at=self.at, experiment=experiment, verdict="crashed" if crashed else "discarded", reason="Noise."
                )
            )

    def tell(self, fact: ev.Known) -> None:
        self.facts.append(fact)

    def grow(self, experiments: int) -> None:
        """Until so many were proposed; a few reports per run."""
        while self.experiments < experiments:
            self.fill()
            self.at += 300.0 / len(self.gpus) * min(len(self.gpus), 8)
            for run in list(self.running)[:8]:
                self.progress(run)
                self.finish(run)
        self.fill()

    def live(self, rate: float, run_s: float) -> Iterator[list[ev.Known]]:
        """Facts of each twentieth of a second, for ever."""
        owed, begun = 0.0, time.time()
        while True:
            self.at = time.time()
            owed += rate * TICK_S
            ends = self.random.random() < len(self.gpus) / run_s * TICK_S
            if ends:
                self.finish(next(iter(self.running)))
                self.fill()
            runs = list(self.running)
            while len(self.facts) < owed:
                self.progress(self.random.choice(runs))
            taken, self.facts = self.facts, []
            owed -= len(taken)
            yield taken
            begun += TICK_S
            time.sleep(max(0.0, begun - time.time()))


def main(folder: Path, experiments: int, gpus: int, rate: float, run_s: float = 300.0) -> None:
    path = folder / ".autoresearch" / logs.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    busy = Busy(gpus, 0.0)
    busy.grow(experiments)
    late = time.time() - busy.at
    logs.create(path)
    logs.append_all(path, [_later(fact, late) for fact in busy.facts])
    busy.facts.clear()
    with logs.hold(path):
        print("ready", flush=True)
        if not rate:
            time.sleep(1e6)
        for facts in busy.live(rate, run_s):
            if facts:
                logs.append_all(path, facts)


def _later(fact: ev.Known, seconds: float) -> ev.Known:
    return msgspec.structs.replace(fact, at=fact.at + seconds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), *map(float, sys.argv[5:6]))
