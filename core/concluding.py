"""The verdicts' half of the fold: experiments are judged, closed, opened again, merged and split.

The first verdict counts; what is repeated or comes late changes nothing. It judges nothing itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from core import booking
from core import events as ev
from core.draft import Draft
from core.ids import ExperimentId
from core.state import Experiment, Run

_replace = msgspec.structs.replace


def is_told(run: Run) -> bool:
    """It ended by itself, well or badly."""
    return run.result is not None and run.result.outcome in ("finished", "crashed")


def _set(s: Draft, name: ExperimentId, **fields: Any) -> None:
    experiment = s.experiments.get(name)
    if experiment is not None and experiment.is_open:
        s.own("experiments")[name] = _replace(experiment, **fields)


def retested(s: Draft, fact: ev.ExperimentRetested) -> None:
    _set(s, fact.experiment, status="retest", reason=fact.reason, evidence=fact.evidence)


def screened(s: Draft, fact: ev.ExperimentScreened) -> None:
    _set(s, fact.experiment, status="retest", reason=fact.reason, evidence=fact.evidence, screening=fact.evidence)


# --- closed and open --------------------------------------------------------------------------------------------------


def conclude(s: Draft, name: ExperimentId, status: str, reason: str, evidence: ev.Evidence | None) -> None:
    """The first verdict counts: a veto beats a late success, and a repeated fact changes nothing."""
    experiment = s.experiments.get(name)
    if experiment is None or not experiment.is_open:
        return
    close(s, experiment, status, reason=reason, evidence=evidence)
    if status == "kept":
        s.own("uncommitted")[name] = None
    elif len(experiment.of) > 1 and status in ("discarded", "crashed"):
        _split(s, experiment.of)


def close(s: Draft, experiment: Experiment, status: str, **fields: Any) -> None:
    name = experiment.id
    s.own("experiments")[name] = _replace(experiment, status=status, **fields)
    s.own("open").pop(name, None)
    s.own("reruns").pop(name, None)
    s.own("counts")[status] = s.counts.get(status, 0) + 1


def reopen(s: Draft, experiment: Experiment, **fields: Any) -> None:
    """Takes its verdict back and puts it at the end of the queue; `fields` may name another status than the next."""
    booking.rebooked(s, experiment.cut, "vetoed", None)
    s.own("counts")[experiment.status] -= 1
    s.own("open")[experiment.id] = None
    begun = any(run in s.active or is_told(s.runs[run]) for run in experiment.runs)
    status = "running" if begun else "proposed"
    s.own("experiments")[experiment.id] = _replace(
        experiment, **{"status": status, "cut": (), "stopped": False, "vetoed_by": "", **fields}
    )


# --- merges -----------------------------------------------------------------------------------------------------------


def merged(s: Draft, names: tuple[ExperimentId, ...]) -> ev.Evidence | None:
    """Closes the parts of a merge; returns the weakest evidence among them, which the merge starts with."""
    s.merges += 1
    found = [experiment for name in names if (experiment := s.experiments.get(name)) is not None]
    for experiment in found:
        conclude(s, experiment.id, "merged", "put together with others on top of the baseline", None)
    screenings = [experiment.screening for experiment in found if experiment.screening is not None]
    return min(screenings, key=lambda evidence: evidence.log_evidence, default=None)


def _split(s: Draft, names: tuple[ExperimentId, ...]) -> None:
    """A merge of several did not hold: each of its parts is open again."""
    for name in names:
        experiment = s.experiments.get(name)
        if experiment is not None and experiment.status == "merged":
            reopen(s, experiment, status="retest", alone=True)


def rebased(s: Draft, fact: ev.ExperimentRebased) -> None:
    experiment = s.experiments.get(fact.experiment)
    if experiment is None or fact.on not in s.sources:
        return
    if experiment.runs:  # they stay what they are only if its train.py does; what it passed was against another
        if fact.digest == experiment.digest and experiment.is_open and experiment.parent == fact.on:
            s.own("experiments")[fact.experiment] = _replace(experiment, alone=True)  # what it passed still stands
        elif fact.digest == experiment.digest and experiment.is_open:
            judged = _replace(experiment, parent=fact.on, rebased=fact.on, screening=None)
            s.own("experiments")[fact.experiment] = judged
        return
    if fact.digest:
        if s.digests.get(experiment.digest) == fact.experiment and fact.digest != experiment.digest:
            del s.own("digests")[experiment.digest]  # that train.py was never run
        s.own("digests").setdefault(fact.digest, fact.experiment)
        experiment = _replace(experiment, parent=fact.on, digest=fact.digest)
    s.own("experiments")[fact.experiment] = _replace(experiment, rebased=fact.on)


# --- duplicates and baselines -----------------------------------------------------------------------------------------


def count(s: Draft, name: ExperimentId) -> None:
    """One more run says something about it, and about its twin."""
    experiment = s.experiments.get(name)
    for each in (name, experiment.twin if experiment else None):
        if each is not None and (found := s.experiments.get(each)) is not None:
            s.own("experiments")[each] = _replace(found, ended=found.ended + 1)


def duplicate(s: Draft, fact: ev.DuplicateFound) -> None:
    """Its scores become the twin's, as replicates."""
    experiment = s.experiments.get(fact.experiment)
    if experiment is None or not experiment.is_open or fact.twin not in s.experiments or fact.twin == fact.experiment:
        return
    conclude(s, fact.experiment, "duplicate", fact.reason, None)
    booking.repeated(s, fact.experiment)
    s.own("experiments")[fact.experiment] = _replace(s.experiments[fact.experiment], twin=fact.twin)
    for (name, gpu_type), scores in list(s.scores.items()):
        if name == fact.experiment:
            del s.own("scores")[name, gpu_type]
            s.own("scores")[fact.twin, gpu_type] = (*s.scores.get((fact.twin, gpu_type), ()), *scores)
    count(s, fact.twin)
    twin = s.experiments[fact.twin]
    s.own("experiments")[fact.twin] = _replace(twin, repeated_by=(*twin.repeated_by, fact.experiment))


def baseline_moved(s: Draft, fact: ev.BaselineMoved) -> None:
    s.own("uncommitted").pop(fact.experiment, None)
    s.own("sources")[fact.experiment] = fact.source
    if fact.experiment not in s.lineage:
        s.lineage = (*s.lineage, fact.experiment)
    s.baseline, s.commit = fact.experiment, fact.commit
    experiment = s.experiments.get(fact.experiment)
    if experiment is not None:
        s.own("experiments")[fact.experiment] = _replace(experiment, commit=fact.commit)
