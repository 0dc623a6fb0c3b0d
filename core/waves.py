"""From what a researcher says and a run reports to facts. Pure: it knows neither the clock nor the log."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import msgspec

from core import events as ev
from core import patch
from core.errors import PatchError
from core.executor import Ended
from core.ids import ExperimentId, WaveId, experiment_id, wave_id
from core.knobs import parse
from core.patch import Change
from core.researcher import Idea, Plan
from core.state import Experiment, State
from core.verdict import describe
from core.views import remaining, source_of, titled


def proposals(state: State, plan: Plan, *, parent: ExperimentId, by: str, at: float) -> Iterator[ev.Known]:
    """The wave and what becomes of each idea: an experiment, or a rejection with its reason.

    One by one, because checking takes tens of milliseconds and a GPU may be waiting for the first. `parent` is the
    baseline that the plan was made for. Ideas beyond the session's limit of experiments are left out.
    """
    wave = wave_id(len(state.waves) + 1)
    yield ev.WavePlanned(
        at=at, wave=wave, parent=parent, reason=plan.reason, design=plan.design, researcher=by, phase=plan.phase
    )
    left, number, fresh = remaining(state), len(state.experiments) - 1, dict[str, ExperimentId]()
    for idea in plan.ideas:
        if left is not None and len(fresh) >= left:
            break
        fact = _proposal(state, wave, parent, idea, experiment_id(number + 1), fresh, at)
        if isinstance(fact, ev.ExperimentProposed):
            fresh[fact.digest] = fact.experiment
            number += 1
        yield fact
        if isinstance(fact, ev.ExperimentProposed):
            yield from _also(fact, idea, by)


def _also(fact: ev.ExperimentProposed, idea: Idea, by: str) -> Iterator[ev.Known]:
    """What is said of an idea beyond its change."""
    if idea.promoted:
        why = "planned for the validation tier"
        yield ev.ExperimentPromoted(at=fact.at, experiment=fact.experiment, by=by, reason=why)
    if idea.repairs is not None:
        yield ev.RepairTried(at=fact.at, experiment=idea.repairs, by=fact.experiment)


def _proposal(
    state: State,
    wave: WaveId,
    parent: ExperimentId,
    idea: Idea,
    name: ExperimentId,
    fresh: dict[str, ExperimentId],
    at: float,
) -> ev.ExperimentProposed | ev.ProposalRejected:
    old = state.sources[parent]
    try:
        source = patch.apply(old, idea.change)
        reason = patch.check(source, old)
    except PatchError as error:
        source, reason = "", str(error)
    reason = idea.refused or reason
    digest = patch.digest(source, like=old) if reason is None else ""
    twin = (fresh.get(digest) or state.digests.get(digest)) if digest else None
    if twin is not None:
        reason = f"the same train.py as {twin}"
    if reason is not None:
        return ev.ProposalRejected(at=at, wave=wave, title=idea.title, reason=reason, cell=idea.cell, twin=twin)
    return ev.ExperimentProposed(
        at=at,
        experiment=name,
        wave=wave,
        parent=parent,
        change=idea.change,
        digest=digest,
        title=idea.title,
        hypothesis=idea.hypothesis,
        cell=idea.cell,
        lines=_lines(source) - _lines(old) if idea.change.edits else 0,
    )


def _lines(source: str) -> int:
    """Of code: comments, docstrings' layout and blank lines do not count."""
    return len(ast.unparse(parse(source)).splitlines())


def rebased(state: State, name: ExperimentId, at: float) -> Iterator[ev.Known]:
    """An experiment that has not run, moved from its old baseline to the present one."""
    experiment, on = state.experiments[name], state.baseline
    idea = Idea(title=experiment.title, change=experiment.change)
    fact = _proposal(state, experiment.wave or WaveId(""), on, idea, name, {}, at)
    if isinstance(fact, ev.ExperimentProposed):
        reason = f"the baseline has moved from {experiment.parent} to {on}"
        yield ev.ExperimentRebased(at=at, experiment=name, on=on, digest=fact.digest, reason=reason)
    elif fact.twin == name:
        yield _as_it_is(state, name, at)
    else:
        yield ev.ExperimentRebased(at=at, experiment=name, on=on, reason=fact.reason)


def _as_it_is(state: State, name: ExperimentId, at: float) -> ev.ExperimentRebased:
    """To the present baseline with its train.py and its runs: that is what its change makes of this one too."""
    experiment = state.experiments[name]
    moved = f"its train.py is the same on top of {state.baseline}"
    alone = "it clashes with what else has passed, so it is tried alone"  # and is where it was
    reason = alone if experiment.parent == state.baseline else moved
    return ev.ExperimentRebased(at=at, experiment=name, on=state.baseline, digest=experiment.digest, reason=reason)


def merged(state: State, names: tuple[ExperimentId, ...], at: float) -> Iterator[ev.Known]:
    """One experiment that makes all these changes to the present baseline; if they clash, the first of them alone."""
    parts = [state.experiments[name] for name in names]
    settings = {name: text for part in parts for name, text in part.change.settings.items()}
    change = Change(settings=settings, edits=tuple(edit for part in parts for edit in part.change.edits))
    shown = [f"{part.id} ({part.title})" for part in parts]
    proven = "; ".join(part.reason for part in parts if part.reason)
    idea = Idea(title=" + ".join(shown), change=change, hypothesis=f"Proven apart, now together: {proven}")
    name = experiment_id(len(state.experiments))
    fact = _proposal(state, parts[0].wave or WaveId(""), state.baseline, idea, name, {}, at)
    if isinstance(fact, ev.ExperimentProposed):
        yield msgspec.structs.replace(fact, of=names)
    elif len(names) > 1:
        yield from merged(state, names[:1], at)
    elif fact.twin == names[0]:
        yield _as_it_is(state, names[0], at)
    else:
        reason = f"cannot be put on top of {state.baseline}: {fact.reason}"
        yield ev.ExperimentJudged(at=at, experiment=names[0], verdict="discarded", reason=reason)


def result(ended: Ended) -> ev.RunEnded:
    """What an executor saw, as a fact."""
    summary = ended.summary
    fact = ev.RunEnded(
        at=ended.at,
        run=ended.run,
        outcome=ended.outcome,
        fingerprint=ended.fingerprint,
        corpus=ended.corpus,
        exit_code=ended.exit_code,
        reason=ended.reason,
        tail=ended.tail,
    )
    if summary is None:
        return fact
    extra = {name: value for name, value in summary.extra.items() if isinstance(value, float | int)}
    return ev.RunEnded(
        **{name: getattr(fact, name) for name in ("at", "run", "outcome", "fingerprint", "corpus", "exit_code")},
        reason=fact.reason,
        val_bpb=summary.val_bpb,
        training_s=summary.training_s,
        total_s=summary.total_s,
        startup_s=extra.get("startup_seconds"),
        eval_s=extra.get("eval_seconds"),
        memory_mb=summary.peak_vram_mb,
        mfu_percent=summary.mfu_percent,
        tokens_m=summary.total_tokens_M,
        steps=summary.num_steps,
        params_m=summary.num_params_M,
    )


def _title(state: State, experiment: Experiment) -> str:
    """What the commit really changes: the baseline may have moved since the experiment was proposed."""
    if experiment.parent == state.baseline:
        return experiment.title
    change = patch.summary(state.sources[state.baseline], source_of(state, experiment.id))
    return f"{change} (proposed as {titled(experiment)})"


def message(state: State, name: ExperimentId) -> str:
    """The commit message of a kept change: what, why, and the numbers it rests on."""
    experiment = state.experiments[name]
    lines = [f"{name}: {_title(state, experiment)}", ""]
    if experiment.hypothesis:
        lines += [experiment.hypothesis, ""]
    evidence = experiment.evidence
    if evidence is not None:
        scores = ", ".join(f"{score:.6f}" for score in state.scores.get((name, evidence.gpu_type), ()))
        lines += [
            f"val_bpb {describe(evidence)}, on {evidence.gpu_type}",
            f"runs: {scores}; run-to-run sd {evidence.noise_sd:.4f}",
        ]
    return "\n".join(lines)
