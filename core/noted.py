"""What is only to be written down: decisions of the plan and sights of the executor, as facts; a run as an order.

Pure; what has an effect outside (a launch, a commit, a question) is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from core import events as ev
from core import executor as seen
from core import policy, waves
from core.ids import WaveId
from core.state import Run, State
from core.views import source_of

Decision = policy.Judge | policy.Screen | policy.AskAgain | policy.Duplicate | policy.Rebase | policy.Merge
Sight = seen.Waiting | seen.Started | seen.Reported | seen.Progressed


def decided(state: State, decision: Decision, at: float) -> Iterator[ev.Known]:
    match decision:
        case policy.Judge(experiment, verdict, reason, evidence):
            yield ev.ExperimentJudged(at=at, experiment=experiment, verdict=verdict, reason=reason, evidence=evidence)
        case policy.Screen(experiment, reason, passed):
            yield ev.ExperimentScreened(at=at, experiment=experiment, reason=reason, evidence=passed)
        case policy.AskAgain(experiment, reason, evidence):
            yield ev.ExperimentRetested(at=at, experiment=experiment, reason=reason, evidence=evidence)
        case policy.Duplicate(experiment, twin, reason):
            yield ev.DuplicateFound(at=at, experiment=experiment, twin=twin, reason=reason)
        case policy.Rebase(experiment):
            yield from waves.rebased(state, experiment, at)
        case policy.Merge(experiments):
            yield from waves.merged(state, experiments, at)


def job(state: State, run: Run) -> seen.Job:
    """What is to be run. Raises PatchError if its experiment's change does not apply."""
    return seen.Job(
        run=run.id,
        source=source_of(state, run.experiment),
        seed=run.seed,
        gpu_type=run.gpu_type,
        experiment=run.experiment,
        wave=state.experiments[run.experiment].wave or WaveId(""),
        tier=run.tier,
    )


def sighted(state: State, sight: Sight) -> Iterator[ev.Known]:
    """Nothing for a run that is not open, and for what is known already."""
    if sight.run not in state.active:
        return
    run = state.runs[sight.run]
    match sight:
        case seen.Started(name, gpu, at) if run.started_at is None:
            yield ev.RunStarted(at=at, run=name, gpu=gpu)
        case seen.Waiting(name, at, reason, needs_a_person) if _is_new(run, reason):
            yield ev.RunWaiting(at=at, run=name, reason=reason, needs_a_person=needs_a_person)
        case seen.Reported() if not run.fingerprint:
            yield ev.RunReported(**msgspec.structs.asdict(sight))
        case seen.Progressed(name, at, now):
            yield ev.RunProgressed(
                at=at, run=name, step=now.step, fraction=now.fraction, loss=now.loss, tokens_per_s=now.tokens_per_s
            )


def _is_new(run: Run, reason: str) -> bool:
    return run.started_at is None and (run.waiting is None or run.waiting.reason != reason)


def reached(state: State, sight: seen.Lost | seen.Found, at: float) -> Iterator[ev.Known]:
    """Nothing for what is known already."""
    if isinstance(sight, seen.Found) and state.lost is not None:
        yield ev.ExecutorFound(at=at)
    elif isinstance(sight, seen.Lost) and (state.lost is None or state.lost.reason != sight.reason):
        yield ev.ExecutorLost(at=at, reason=sight.reason)
