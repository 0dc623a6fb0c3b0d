"""Questions about a state, asked by screens and reports. Pure; time comes in as an argument where it matters."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean
from typing import Any

import msgspec

from core.events import EngineStarted
from core.ids import BASELINE, ExperimentId, WaveId
from core.known import Known
from core.ledger import capacity, ledger
from core.money import spent_usd as spent_usd
from core.patch import apply
from core.results import Row
from core.state import Experiment, State
from core.tiers import MIN_RUNS, agreement, tiers
from core.verdict import Noise, fresh, fresh_start, measured_on, noise, student_t

STATUS_VERSION = 2
ALL_DONE = "experiments of this session are done"  # how the reason ends where `remaining` is 0
VERDICTS = ("kept", "discarded", "crashed", "vetoed", "duplicate", "merged")


class Estimate(msgspec.Struct, frozen=True):
    """Mean val_bpb of an experiment on one GPU type, with its 95 % interval."""

    experiment: ExperimentId
    gpu_type: str
    mean: float
    low: float
    high: float
    sd: float  # run-to-run
    runs: int


def elapsed(state: State, now: float) -> float:
    """Seconds that an engine has worked on this session."""
    return state.alive_s + (max(0.0, now - state.span_at) if state.is_live else 0.0)


def proposed(state: State) -> int:
    """Experiments so far; the train.py as found and merges of proven ideas do not count."""
    return max(0, len(state.experiments) - 1 - state.merges)


def remaining(state: State) -> int | None:
    """How many more experiments the session's limit allows; None without a limit."""
    limit = state.limits.max_experiments
    return None if limit is None else max(0, limit - proposed(state))


def queued(state: State) -> tuple[ExperimentId, ...]:
    """Experiments that wait for a first run on the present GPUs, in the order they will get it."""
    levels = tiers(state)
    parts = (state.open, state.experiments, levels.screen, levels.validate)
    return _queues("", parts, lambda: _queued(state))


_queues = Known[tuple[ExperimentId, ...]](1)


def _queued(state: State) -> tuple[ExperimentId, ...]:
    waiting = [name for name in state.open if not measured_on(state, name)]
    return tuple(sorted(waiting, key=lambda name: not state.experiments[name].promoted))


def held(state: State) -> tuple[WaveId, ...]:
    """Waves that wait for an operator's approval, the oldest first."""
    if not state.gate:
        return ()
    waiting = (wave for wave in state.waves.values() if wave.held)
    return tuple(wave.id for wave in waiting if any(is_held(state, name) for name in wave.experiments))


def is_held(state: State, name: ExperimentId) -> bool:
    """Whether it waits for approval with its wave. What has run goes on, and so do merges of what has proved itself."""
    experiment = state.experiments[name]
    wave = state.waves.get(experiment.wave) if experiment.wave else None
    return wave is not None and wave.held and experiment.is_open and not experiment.runs and not experiment.of


def free(state: State) -> Counter[str]:
    """GPUs by type that nobody holds and on which no run of ours is or will be."""
    counts = Counter(gpu.type for gpu in state.gpus if not gpu.held_by)
    counts.subtract(state.runs[run].gpu_type for run in state.active)
    return +counts


def is_without_gpus(state: State) -> bool:
    """The engine has looked, and there is none now: nothing is launched, and nothing decided, until one comes."""
    return state.is_live and state.fleet_seen and not state.gpus and state.lost is None


def estimate(state: State, name: ExperimentId, *, on: str = "") -> Estimate | None:
    """On GPU type `on`, or else on the one with the most runs. None before the first result."""
    experiment = state.experiments.get(name)
    types = {state.runs[run].gpu_type for run in experiment.runs} if experiment else set()
    scored = [gpu_type for gpu_type in sorted(types) if (name, gpu_type) in state.scores]
    gpu_type = max(scored, key=lambda kind: (kind == on, len(state.scores[name, kind])), default=None)
    if gpu_type is None:
        return None
    scores, measured = state.scores[name, gpu_type], noise(state, gpu_type)
    mean, half = fmean(scores), student_t(measured.df) * measured.sd / math.sqrt(len(scores))
    return Estimate(name, gpu_type, mean, mean - half, mean + half, measured.sd, len(scores))


class Improvement(msgspec.Struct, frozen=True):
    """The champion against the train.py as found, on one GPU type, with the half width of the 95 % interval.

    `is_fresh`: no run counts on which the champion was chosen, so that luck in choosing does not flatter it;
    `start_is_fresh`: nor any of the start that a kept change had to beat.
    """

    champion: ExperimentId
    gpu_type: str
    start: float  # val_bpb
    end: float
    half: float  # of start − end
    runs: int
    start_runs: int
    is_fresh: bool
    start_is_fresh: bool

    @property
    def percent(self) -> float:
        """Negative is better."""
        return 100 * (self.end - self.start) / self.start

    @property
    def half_percent(self) -> float:
        return 100 * self.half / self.start


def improvement(state: State) -> Improvement | None:
    """Of the present champion, on the type with most fresh runs of both ends. None while it is the start itself."""
    name = state.baseline
    if name == BASELINE:
        return None
    types = [kind for (who, kind) in state.scores if who == name and (BASELINE, kind) in state.scores]
    ends = {kind: fresh(state, name, kind) for kind in types}
    starts = {kind: fresh_start(state, kind) for kind in types}
    gpu_type = max(types, key=lambda kind: (min(len(ends[kind]), len(starts[kind])), len(ends[kind])), default=None)
    if gpu_type is None:
        return None
    is_fresh, start_is_fresh = len(ends[gpu_type]) >= MIN_RUNS, len(starts[gpu_type]) >= MIN_RUNS
    end = ends[gpu_type] if is_fresh else state.scores[name, gpu_type]
    start = starts[gpu_type] if start_is_fresh else state.scores[BASELINE, gpu_type]
    measured = noise(state, gpu_type)
    half = student_t(measured.df) * measured.sd * math.sqrt(1 / len(end) + 1 / len(start))
    runs = (len(end), len(start), is_fresh, start_is_fresh)
    return Improvement(name, gpu_type, fmean(start), fmean(end), half, *runs)


def best(state: State) -> Estimate | None:
    """The champion: the current baseline, on the GPU type that its improvement is told on. Each beat the one before."""
    gain = improvement(state)
    return estimate(state, state.baseline, on=gain.gpu_type if gain else "")


def noises(state: State) -> dict[str, Noise]:
    """Run to run, per GPU type: of the fleet's types, and of others that were measured."""
    types = [*dict.fromkeys(gpu.type for gpu in state.gpus), *state.spread]
    return {gpu_type: noise(state, gpu_type) for gpu_type in types}


def source_of(state: State, name: ExperimentId) -> str:
    """The whole train.py of an experiment. Raises KeyError for an unknown one, PatchError if it does not apply."""
    if name in state.sources:
        return state.sources[name]
    experiment = state.experiments[name]
    return apply(source_of(state, experiment.parent or name), experiment.change)


def where(engine: EngineStarted) -> str:
    """ "local on workbench", "kubernetes prod-gpu/ml-team"."""
    return f"{engine.executor} {engine.place}" if engine.place else f"{engine.executor} on {engine.host}"


def status(state: State, *, now: float, alive: bool, pid: int | None) -> dict[str, Any]:
    """The stable interface of `status --json`; documented in the README, versioned by "version"."""
    champion, gain, both = best(state), improvement(state), agreement(state)
    waiting = sum(state.runs[run].started_at is None for run in state.active)
    return {
        "version": STATUS_VERSION,
        "simulated": state.simulated,
        "engine": {
            "alive": alive,
            "pid": pid,
            "executor": state.engine and state.engine.executor,
            "place": state.engine and (state.engine.place or state.engine.host),
        },
        "elapsed_s": round(elapsed(state, now), 1),
        "experiments": _verdicts(state),
        "runs": {"finished": state.ended, "running": len(state.active) - waiting, "queued": waiting},
        "baseline": {
            "commit": state.commit,
            "val_bpb": champion and champion.mean,
            "sd": champion and champion.sd,
            "n": champion.runs if champion else 0,
        },
        "best": champion
        and {
            "experiment": champion.experiment,
            "val_bpb": champion.mean,
            "low": champion.low,
            "high": champion.high,
        },
        "improvement": gain
        and {
            "percent": gain.percent,
            "half_percent": gain.half_percent,
            "gpu_type": gain.gpu_type,
            "runs": gain.runs,
            "start_runs": gain.start_runs,
            "fresh": gain.is_fresh,
            "start_fresh": gain.start_is_fresh,
        },
        "tiers": both and {"rank_correlation": both.rank_correlation, "experiments": both.experiments},
        "noise": {
            gpu_type: {"sd": found.sd, "df": found.df, "measured_df": found.measured_df}
            for gpu_type, found in noises(state).items()
        },
        "budget_s": state.budget_s or None,
        "capacity_s": round(capacity(state, now), 3),
        "ledger": {name: round(seconds, 3) for name, seconds in ledger(state, now).items()},
        "paused": state.pause and {"by": state.pause.by, "reason": state.pause.reason},
        "gate": {"on": state.gate, "held": list(held(state))},
        "lost": state.lost and state.lost.reason,
        "spent_usd": spent_usd(state, now),
        "stop_reason": None if alive or state.last_stop is None else state.last_stop.reason,
    }


def _verdicts(state: State) -> dict[str, int]:
    """Open ones by what they wait for, finished ones by verdict; every verdict is always there."""
    open_now = Counter[str](_awaits(state, state.experiments[name]) for name in state.open)
    return {**{verdict: state.counts.get(verdict, 0) for verdict in VERDICTS}, **open_now}


def _awaits(state: State, experiment: Experiment) -> str:
    return "measured" if is_measured(state, experiment) else experiment.status


def is_measured(state: State, experiment: Experiment) -> bool:
    """Whether all of its runs have ended, and neither a verdict nor another run has followed yet."""
    return experiment.status == "running" and not any(run in state.active for run in experiment.runs)


def results_rows(state: State) -> list[Row]:
    """The session as rows of a results.tsv: the baseline, then every experiment with a verdict, in order."""
    rows = [_row(state, experiment) for experiment in state.experiments.values() if not experiment.is_open]
    return [row for row in rows if row is not None]


def titled(experiment: Experiment) -> str:
    """Its title, and what it changes if that is not the train.py as found."""
    start = "" if experiment.parent in (None, BASELINE) else f" (from {experiment.parent})"
    return f"{experiment.title}{start}"


_UPSTREAM = {"kept": "keep", "discarded": "discard", "crashed": "crash"}


def _row(state: State, experiment: Experiment) -> Row | None:
    measured = estimate(state, experiment.id)
    status_ = _UPSTREAM.get(experiment.status)
    if status_ is None or (measured is None and status_ != "crash"):
        return None
    results = [result for run in experiment.runs if (result := state.runs[run].result) is not None]
    memory = max((result.memory_mb or 0.0 for result in results), default=0.0)
    mark = "SIMULATED: " if state.simulated else ""
    return Row(
        commit=experiment.commit or "none",
        val_bpb=measured.mean if measured else None,
        memory_gb=memory / 1024,
        status=status_,
        description=f"{mark}{titled(experiment)} ({experiment.id}; {experiment.reason or 'baseline'})",
    )
