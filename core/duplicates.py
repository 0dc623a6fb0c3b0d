"""Experiments that turn out to compute the same although their train.py differ, by what their runs report.

A `fingerprint:` line covers everything that decides a result. Upstream's `Model config:` covers the model alone: there
two experiments are the same only if they differ in nothing but constants that are known to act through the model,
because changing one of them alone changed the line. Another number of parameters, or another first loss from the same
seed, refutes either. They prove nothing: two learning rates begin with the same loss. For that reason an edit of the
code is never recognised by the model that it makes, only by a fingerprint. Knows states; stops nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from core.events import RunEnded
from core.ids import ExperimentId, number
from core.known import Known
from core.patch import SEED_VARIABLE
from core.state import Experiment, Run, State
from core.verdict import MAX_BPB, counts

SAME_LOSS = 1e-6  # relative: as printed. A first loss comes before the first update, so that nothing adds up
LATE = 0.1  # of its budget: a duplicate that is further is left to finish, and counts as a replicate
Found = tuple[ExperimentId, ExperimentId, str]


def duplicates(state: State) -> tuple[Found, ...]:
    """Open experiments whose first run repeats an earlier experiment: their names, their twins', and why."""
    parts = (state.open, state.experiments, state.waves, state.fingerprints)
    return _latest("", parts, lambda: tuple(_duplicates(state)))


_latest = Known[tuple[Found, ...]](1)


def _duplicates(state: State) -> Iterator[Found]:
    for experiment in (state.experiments[name] for name in state.open):
        runs = [run for run in experiment.runs if counts(state, run)]
        if len(runs) == 1 and (run := state.runs[runs[0]]).fingerprint:
            twin = _twin(state, experiment, run)
            if twin is not None:
                yield experiment.id, twin, _reason(run, twin)


def _twin(state: State, experiment: Experiment, run: Run) -> ExperimentId | None:
    """Of two that are open, the one that reported first is the twin."""
    known = state.fingerprints.get(run.fingerprint, ())
    for place, other in enumerate(state.experiments[name] for name in known):
        is_later = other.is_open and place >= known.index(experiment.id)
        if is_later or other.status in ("crashed", "vetoed", "duplicate"):
            continue
        if any(_refutes(state, run, state.runs[name]) for name in other.runs):
            continue
        if run.exact or _acts_through_model(state, experiment, other):
            return other.id
    return None


def _refutes(state: State, one: Run, other: Run) -> bool:
    """Whether two runs that report the same cannot compute the same."""
    if one.fingerprint != other.fingerprint:
        return False
    if one.params_m is not None and other.params_m is not None and one.params_m != other.params_m:
        return True
    if one.first is None or other.first is None or one.gpu_type != other.gpu_type:
        return False
    (step, loss), (other_step, other_loss) = one.first, other.first
    comparable = step == other_step and (one.seed == other.seed or not _reads_seed(state))
    return comparable and not math.isclose(loss, other_loss, rel_tol=SAME_LOSS)


def _reads_seed(state: State) -> bool:
    """Whether runs differ by their seeds. Upstream's train.py has one seed for all."""
    return any(SEED_VARIABLE in source for source in state.sources.values())


def handed_over(state: State, names: Iterable[ExperimentId]) -> tuple[Run, ...]:
    """The runs of duplicates that have a result: they count for the twin, as its own do."""
    runs = (state.runs[run] for name in names for run in state.experiments[name].runs)
    return tuple(run for run in runs if run.result is not None and _is_scored(run.result))


def _is_scored(result: RunEnded) -> bool:
    return result.outcome == "finished" and result.val_bpb is not None and 0 < result.val_bpb < MAX_BPB


def of_others(state: State, experiment: Experiment) -> str:
    """ " with those of e12": whose runs are among those that an experiment's numbers rest on; "" if only its own."""
    others = dict.fromkeys(run.experiment for run in handed_over(state, experiment.repeated_by))
    return f" with those of {', '.join(others)}" if others else ""


def _reason(run: Run, twin: ExperimentId) -> str:
    what = "configuration" if run.exact else "model, and differs in nothing else"
    return f"it reports the same {what} as {twin}"


def _acts_through_model(state: State, one: Experiment, other: Experiment) -> bool:
    differing = _differing(one, other)
    return bool(differing) and all(_shows(state, one, name) for name in differing)


def _differing(one: Experiment, other: Experiment) -> frozenset[str]:
    """Constants set differently by two changes to one parent; nothing if they cannot be compared."""
    base = other.id if one.parent == other.id else other.parent
    if one.parent != base or one.change.edits or other.change.edits:
        return frozenset()
    theirs = other.change.settings if base == other.parent else {}
    ours = one.change.settings
    return frozenset(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _shows(state: State, like: Experiment, constant: str) -> bool:
    """Whether two siblings that differ in this constant alone reported different models."""
    parent = () if like.parent is None else (like.parent,)
    wave = state.waves.get(like.wave) if like.wave else None
    family = [state.experiments[name] for name in (*parent, *(wave.experiments if wave else ()))]
    reported = [(member, line) for member in family if (line := _line(state, member))]
    return any(
        line != their_line and _differing(*sorted((a, b), key=_newest_first)) == {constant}
        for i, (a, line) in enumerate(reported)
        for b, their_line in reported[:i]
    )


def _newest_first(experiment: Experiment) -> int:
    return -number(experiment.id)


def _line(state: State, experiment: Experiment) -> str:
    return next((line for run in experiment.runs if (line := state.runs[run].fingerprint)), "")
