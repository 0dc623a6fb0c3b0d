"""Sessions told as facts, for tests: each method appends what an engine would record."""

from __future__ import annotations

from typing import Any

from core import events as ev
from core.design import Design, Factor
from core.fold import fold
from core.ids import ExperimentId, GpuId, RunId, SessionId, WaveId, run_id
from core.patch import Change, apply, digest
from core.state import State

SOURCE = """\
import os
from prepare import evaluate_bpb

DEPTH = 4  # layers
TOTAL_BATCH_SIZE = 2**14  # tokens per step
MATRIX_LR = 0.04  # of Muon
WARMDOWN_RATIO = 0.5  # share of the budget

seed = int(os.environ.get("AUTORESEARCH_SEED", 1))
print("---")
print("val_bpb:", evaluate_bpb(seed))
"""
E0 = ExperimentId("e0")


class Story:
    def __init__(self, *, gpus: int = 2, gpu_type: str = "cpu", at: float = 1_000_000.0) -> None:
        self.facts: list[ev.Known] = []
        self.at = at
        self.gpu_type = gpu_type
        self.gpus = tuple(ev.Gpu(GpuId(f"{gpu_type}{i}"), gpu_type) for i in range(gpus))
        self.tell(
            ev.SessionStarted,
            session=SessionId("s"),
            branch="autoresearch/2026-11-23",
            commit="abc1234",
            source=SOURCE,
            prepare_digest="d",
            seed=0,
            version="0",
        )
        self.engine()

    @property
    def state(self) -> State:
        return fold(State(), self.facts)

    def tell(self, kind: Any, **fields: Any) -> Story:
        self.facts.append(kind(at=self.at, **fields))
        return self

    def wait(self, seconds: float) -> Story:
        self.at += seconds
        return self

    def engine(self) -> Story:
        self.tell(ev.EngineStarted, pid=1, host="h", executor="local", researcher="designed", version="0")
        return self.tell(ev.FleetSeen, gpus=self.gpus)

    def wave(self, *settings: dict[str, str], factors: dict[str, tuple[str, ...]] | None = None) -> list[ExperimentId]:
        """A wave with one experiment per dict of constants; returns their ids."""
        state = self.state
        wave = WaveId(f"w{len(state.waves) + 1}")
        design = Design("full factorial", tuple(Factor(k, v) for k, v in factors.items())) if factors else None
        self.tell(ev.WavePlanned, wave=wave, parent=state.baseline, reason="because", design=design)
        first = len(state.experiments)
        for i, values in enumerate(settings):
            change = Change(settings=values)
            self.tell(
                ev.ExperimentProposed,
                experiment=ExperimentId(f"e{first + i}"),
                wave=wave,
                parent=state.baseline,
                change=change,
                digest=digest(apply(state.sources[state.baseline], change)),
                title=str(values),
                cell=values,
            )
        return [ExperimentId(f"e{first + i}") for i in range(len(settings))]

    def start(self, name: ExperimentId, *, gpu: int = 0, purpose: ev.Purpose = "first") -> RunId:
        run = run_id(name, len(self.state.experiments[name].runs) + 1)
        self.tell(ev.RunRequested, run=run, experiment=name, gpu_type=self.gpu_type, seed=1, purpose=purpose)
        self.tell(ev.RunStarted, run=run, gpu=self.gpus[gpu].id)
        return run

    def finish(self, run: RunId, val_bpb: float, *, seconds: float = 10.0) -> Story:
        self.wait(seconds)
        return self.tell(ev.RunEnded, run=run, outcome="finished", val_bpb=val_bpb, eval_s=1.0, startup_s=0.5)

    def crash(self, run: RunId, reason: str = "RuntimeError: no") -> Story:
        return self.wait(1.0).tell(ev.RunEnded, run=run, outcome="crashed", reason=reason)

    def score(self, name: ExperimentId, *values: float) -> Story:
        for value in values:
            self.finish(self.start(name), value)
        return self

    def judge(self, name: ExperimentId, verdict: ev.FinalVerdict) -> Story:
        return self.tell(ev.ExperimentJudged, experiment=name, verdict=verdict, reason="so")

    def move(self, name: ExperimentId) -> Story:
        source = apply(self.state.sources[self.state.baseline], self.state.experiments[name].change)
        return self.tell(ev.BaselineMoved, experiment=name, commit="def5678", source=source, reason="better")
