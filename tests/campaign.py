"""A whole campaign in memory: the real policy, fold and verdicts, on simulated jobs, without an engine, log or git.

Milliseconds per run, so that benches can repeat campaigns over many seeds. Time is virtual; a researcher is a plain
function here, and its answer comes `answer_s` after it was asked, made from what was known when it was asked.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from core import events as ev
from core import knobs, noted, patch, policy, waves
from core.executors.fate import Fate, Physics, fate
from core.fold import fold
from core.ids import GpuId, RunId, SessionId
from core.knobs import Value
from core.researcher import Plan
from core.state import State
from core.verdict import Rules
from core.views import source_of

if TYPE_CHECKING:
    from core.surfaces import Surface

Propose = Callable[[State, int], Plan]
PROGRESS = 20  # reports per run

UPSTREAM = """\
from prepare import evaluate_bpb

ASPECT_RATIO = 64
HEAD_DIM = 128
WINDOW_PATTERN = "SSSL"
TOTAL_BATCH_SIZE = 2**19
EMBEDDING_LR = 0.6
UNEMBEDDING_LR = 0.004
MATRIX_LR = 0.04
SCALAR_LR = 0.5
WEIGHT_DECAY = 0.2
ADAM_BETAS = (0.8, 0.95)
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5
FINAL_LR_FRAC = 0.0
DEPTH = 8
DEVICE_BATCH_SIZE = 128

print("val_bpb:", evaluate_bpb(0))
"""


@lru_cache(maxsize=4096)
def config(source: str) -> dict[str, Value]:
    return {knob.name: knob.value for knob in knobs.find(source)}


class Campaign:
    """`fleet`: GPUs by type. `state` is the fold of `facts` at all times."""

    def __init__(
        self,
        surface: Surface,
        propose: Propose,
        *,
        source: str = UPSTREAM,
        fleet: Mapping[str, int] | None = None,
        rules: Rules | None = None,
        seed: int = 0,
        answer_s: float = 75.0,
        physics: Physics | None = None,
        max_experiments: int | None = None,
        progress: bool = False,
    ) -> None:
        self.surface, self.propose, self.rules = surface, propose, rules or Rules()
        self.answer_s, self.physics, self.seed, self.progress = answer_s, physics or Physics(), seed, progress
        self.facts: list[ev.Known] = []
        self.state, self.now = State(), 0.0
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free = {
            kind: [GpuId(f"{kind}-{i}") for i in range(n)] for kind, n in (fleet or {"H100": 13, "H200": 3}).items()
        }
        gpus = tuple(ev.Gpu(gpu, kind) for kind, names in self._free.items() for gpu in names)
        self._held: dict[RunId, tuple[str, GpuId]] = {}
        self.stopped = ""
        start: dict[str, Any] = {"session": SessionId("simulated"), "branch": "b", "commit": "c", "version": "0"}
        self.record(
            ev.SessionStarted(at=0.0, source=source, prepare_digest="p", seed=seed, simulated=True, **start),
            ev.EngineStarted(at=0.0, pid=1, host="h", executor="simulator", researcher="r", version="0"),
            ev.LimitsSet(at=0.0, max_experiments=max_experiments),
            ev.FleetSeen(at=0.0, gpus=gpus),
        )

    def run(self, *, hours: float = 1e9, runs: int = 10**9) -> State:
        """Until the time is over, so many runs have ended, or the session is done."""
        self._act()
        while self._later and not self.stopped and self.state.ended < runs:
            when, _, happens = heapq.heappop(self._later)
            if when > hours * 3600:
                self.now = hours * 3600
                break
            self.now = when
            happens()
            self._act()
        return self.state

    def record(self, *facts: ev.Known) -> None:
        self.facts += facts
        self.state = fold(self.state, facts)

    def _at(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self.now + seconds, next(self._order), happens))

    # --- moves ---

    def _act(self) -> None:
        while not self.stopped:
            moves = policy.plan(self.state, self.rules, self.now)
            changed = [self._carry_out(move) for move in moves]
            if not any(changed):
                return

    def _carry_out(self, move: policy.Move) -> bool:
        facts = list(self._facts(move))
        self.record(*facts)
        return bool(facts)

    def _facts(self, move: policy.Move) -> Iterator[ev.Known]:
        at = self.now
        match move:
            case (
                policy.Judge()
                | policy.Screen()
                | policy.AskAgain()
                | policy.Duplicate()
                | policy.Rebase()
                | policy.Merge()
            ):
                yield from noted.decided(self.state, move, at)
            case policy.StopRun(run, reason):
                yield ev.RunStopped(at=at, run=run, reason=reason)
            case policy.Commit(experiment):
                source = source_of(self.state, experiment)
                yield ev.BaselineMoved(at=at, experiment=experiment, commit="c", source=source, reason="kept")
            case policy.Ask(slots):
                yield ev.WaveAsked(at=at, slots=slots)
                self._ask(slots)
            case policy.Cancel(run):
                yield from self._end(run, ev.RunEnded(at=at, run=run, outcome="cancelled"))
            case policy.Launch():
                yield from self._launch(move)
            case policy.Finish(reason):
                self.stopped = reason

    def _ask(self, slots: int) -> None:
        answer, parent = self.propose(self.state, slots), self.state.baseline

        def answered() -> None:
            for fact in waves.proposals(self.state, answer, parent=parent, by="r", at=self.now):
                self.record(fact)

        if not answer.ideas:
            self.record(ev.ResearchFailed(at=self.now, reason=answer.reason, fatal=True))
        else:
            self._at(self.answer_s, answered)

    # --- runs ---

    def _launch(self, move: policy.Launch) -> Iterator[ev.Known]:
        gpu = self._free[move.gpu_type].pop(0)
        self._held[move.run] = (move.gpu_type, gpu)
        source = source_of(self.state, move.experiment)
        lot = self.lot(source, move.gpu_type, move.seed, move.run)
        yield ev.RunRequested(
            at=self.now,
            run=move.run,
            experiment=move.experiment,
            gpu_type=move.gpu_type,
            seed=move.seed,
            tier=move.tier,
            purpose=move.purpose,
        )
        yield ev.RunStarted(at=self.now, run=move.run, gpu=gpu)
        yield ev.RunReported(at=self.now, run=move.run, fingerprint=lot.fingerprint, params_m=lot.params_m)
        self._at(lot.seconds, lambda: self.record(*self._end(move.run, self._ended(move.run, lot))))
        if self.progress and lot.crash is None:
            for step in range(1, PROGRESS):
                self._report(move.run, lot, step / PROGRESS)

    def _report(self, run: RunId, lot: Fate, fraction: float) -> None:
        def reported() -> None:
            if run in self.state.active:
                step, loss = int(fraction * lot.steps), lot.loss(fraction)
                self.record(ev.RunProgressed(at=self.now, run=run, step=step, fraction=fraction, loss=loss))

        self._at(lot.startup_s + fraction * lot.training_s, reported)

    def lot(self, source: str, gpu_type: str, seed: int, run: str) -> Fate:
        """What becomes of a run; overridden by benches with other truths."""
        return fate(
            config(source),
            self.surface,
            gpu_type=gpu_type,
            seed=seed,
            physics=self.physics,
            session_seed=self.seed,
            run=run,
            code=patch.digest(source) if "EDIT" in source else "",
        )

    def _ended(self, run: RunId, lot: Fate) -> ev.RunEnded:
        if lot.crash is not None:
            return ev.RunEnded(at=self.now, run=run, outcome="crashed", reason=lot.crash.reason)
        return ev.RunEnded(
            at=self.now,
            run=run,
            outcome="finished",
            val_bpb=lot.val_bpb,
            training_s=lot.training_s,
            startup_s=lot.startup_s,
            eval_s=lot.evaluation_s,
            memory_mb=lot.memory_mb,
            fingerprint=lot.fingerprint,
        )

    def _end(self, run: RunId, fact: ev.RunEnded) -> Iterator[ev.Known]:
        held = self._held.pop(run, None)
        if held is not None:
            self._free[held[0]].append(held[1])
            yield fact

    # --- the truth ---

    def truth(self) -> float:
        """The true mean of the present baseline's val_bpb on the reference GPU type."""
        return self.surface.truth(config(source_of(self.state, self.state.baseline))).val_bpb
