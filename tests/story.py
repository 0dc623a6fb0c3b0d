"""Sessions told as facts, for tests: each method appends what an engine would record."""

from __future__ import annotations

from typing import Any

import msgspec

from core import commands, noted, policy
from core import events as ev
from core.design import Design, Factor
from core.fold import fold
from core.ids import ExperimentId, GpuId, RunId, SessionId, WaveId, run_id
from core.patch import Change, Edit, apply, digest
from core.state import CURVE_POINTS, State
from core.verdict import Rules

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
    def __init__(self, *, gpus: int = 2, gpu_type: str = "cpu", at: float = 1_000_000.0, source: str = SOURCE) -> None:
        self.facts: list[ev.Known] = []
        self._state, self._folded = State(), 0
        self.at = at
        self.gpu_type = gpu_type
        self.gpus = tuple(ev.Gpu(GpuId(f"{gpu_type}{i}"), gpu_type) for i in range(gpus))
        self.tell(
            ev.SessionStarted,
            session=SessionId("s"),
            branch="autoresearch/2026-11-23",
            commit="abc1234",
            source=source,
            prepare_digest="d",
            seed=0,
            version="0",
        )
        self.engine()

    @property
    def state(self) -> State:
        self._state = fold(self._state, self.facts[self._folded :])
        self._folded = len(self.facts)
        return self._state

    def tell(self, kind: Any, **fields: Any) -> Story:
        self.facts.append(kind(at=self.at, **fields))
        return self

    def wait(self, seconds: float) -> Story:
        self.at += seconds
        return self

    def engine(self, **more: Any) -> Story:
        self.tell(ev.EngineStarted, pid=1, host="h", executor="local", researcher="designed", version="0", **more)
        return self.tell(ev.FleetSeen, gpus=self.gpus)

    def fleet(self, **gpus: int) -> Story:
        """From now on, GPUs by type; runs go to the first type unless they say otherwise."""
        self.gpus = tuple(ev.Gpu(GpuId(f"{kind}-{i}"), kind) for kind, count in gpus.items() for i in range(count))
        self.gpu_type = next(iter(gpus), self.gpu_type)
        return self.tell(ev.FleetSeen, gpus=self.gpus)

    def wave(
        self, *settings: dict[str, str], factors: dict[str, tuple[str, ...]] | None = None, lines: int = 0
    ) -> list[ExperimentId]:
        """A wave with one experiment per dict of constants, `lines` longer than its parent; returns their ids."""
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
                lines=lines,
            )
        return [ExperimentId(f"e{first + i}") for i in range(len(settings))]

    def edit(self, edit: Edit, title: str) -> ExperimentId:
        """An experiment in the latest wave that changes text instead of constants."""
        state = self.state
        name, change = ExperimentId(f"e{len(state.experiments)}"), Change(edits=(edit,))
        self.tell(
            ev.ExperimentProposed,
            experiment=name,
            wave=next(reversed(state.waves)),
            parent=state.baseline,
            change=change,
            digest=digest(apply(state.sources[state.baseline], change)),
            title=title,
        )
        return name

    def start(self, name: ExperimentId, *, gpu: int = 0, on: str = "", purpose: ev.Purpose = "first") -> RunId:
        """`on`: another GPU type than the story's own."""
        kind = on or self.gpu_type
        run = run_id(name, len(self.state.experiments[name].runs) + 1)
        self.tell(ev.RunRequested, run=run, experiment=name, gpu_type=kind, seed=1, purpose=purpose)
        self.tell(ev.RunStarted, run=run, gpu=[each.id for each in self.gpus if each.type == kind][gpu])
        return run

    def report(self, run: RunId, fingerprint: str, *, exact: bool = True, **more: Any) -> Story:
        return self.tell(ev.RunReported, run=run, fingerprint=fingerprint, exact=exact, **more)

    def progress(self, run: RunId, *losses: float) -> Story:
        """One loss per twentieth of the budget."""
        for point, loss in enumerate(losses):
            self.wait(1).tell(ev.RunProgressed, run=run, step=point, fraction=(point + 0.5) / CURVE_POINTS, loss=loss)
        return self

    def cancel(self, run: RunId) -> Story:
        return self.wait(1.0).tell(ev.RunEnded, run=run, outcome="cancelled")

    def finish(self, run: RunId, val_bpb: float, *, seconds: float = 10.0) -> Story:
        self.wait(seconds)
        return self.tell(ev.RunEnded, run=run, outcome="finished", val_bpb=val_bpb, eval_s=1.0, startup_s=0.5)

    def crash(self, run: RunId, reason: str = "RuntimeError: no") -> Story:
        return self.wait(1.0).tell(ev.RunEnded, run=run, outcome="crashed", reason=reason)

    def score(self, name: ExperimentId, *values: float, on: str = "") -> Story:
        for value in values:
            self.finish(self.start(name, on=on), value)
        return self

    def settle(self, rules: Rules | None = None) -> tuple[policy.Move, ...]:
        """Writes down what the plan decides, commits included, and returns the rest of it: launches and the like."""
        for _ in range(100):
            moves = policy.plan(self.state, rules or Rules(), self.at)
            before = len(self.facts)
            for move in moves:
                self._write(move)
            if len(self.facts) == before:
                return moves
        raise AssertionError("the plan never settles")

    def _write(self, move: policy.Move) -> None:
        match move:
            case policy.StopRun(run, reason):
                self.tell(ev.RunStopped, run=run, reason=reason)
            case policy.Commit(name):
                self.move(name)
            case policy.Launch() | policy.Ask() | policy.Cancel() | policy.Finish():
                pass
            case _:
                self.facts += noted.decided(self.state, move, self.at)

    def order(self, command: commands.Command, by: str = "ada") -> Story:
        """An operator's command, carried out. Raises Refused."""
        command = msgspec.structs.replace(command, at=self.at, by=by)
        self.facts += commands.decide(self.state, command)
        return self

    def judge(self, name: ExperimentId, verdict: ev.FinalVerdict) -> Story:
        return self.tell(ev.ExperimentJudged, experiment=name, verdict=verdict, reason="so")

    def move(self, name: ExperimentId) -> Story:
        source = apply(self.state.sources[self.state.baseline], self.state.experiments[name].change)
        return self.tell(ev.BaselineMoved, experiment=name, commit="def5678", source=source, reason="better")
