"""Crashed experiments get one attempt each to be mended; here is who is due, and what its model is asked about them.

Pure. What is not mended, or crashes again, stays dropped, and the reason is a fact.
"""

from __future__ import annotations

from core import patch
from core.claude.fences import clean, fenced
from core.claude.planning import unrepairable
from core.claude.view import View
from core.errors import PatchError
from core.state import Experiment
from core.views import source_of

MOST = 4  # at a time; of a whole wave that crashes, a few tell enough
LONGEST_TAIL = 4000  # characters of a log's end
LONGEST_DIFF = 4000
ASKED = (
    "# Crashed, and not repaired yet: {names}\n"
    "Mend those whose idea is worth it by calling repair once for each, all in one answer; edits are made on top of "
    "the change that crashed. Each gets this one attempt. If none is worth it, say in one sentence why and call no "
    "tool. Do not plan a wave now: you are asked for one next."
)


def due(view: View) -> tuple[tuple[Experiment, ...], tuple[Experiment, ...]]:
    """Those to be asked about now, the latest first, and those for which it is too late."""
    state = view.state
    crashed = (each for each in reversed(state.experiments.values()) if each.status == "crashed")
    found = tuple(each for each in crashed if not unrepairable(state, each))
    return found[:MOST], found[MOST:]


def question(view: View, experiments: tuple[Experiment, ...]) -> str:
    """Everything that is needed to mend them; what runs printed is fenced."""
    names = ", ".join(experiment.id for experiment in experiments)
    parts = [_shown(view, experiment) for experiment in experiments]
    return "\n\n".join((ASKED.format(names=names), *parts))


def _shown(view: View, experiment: Experiment) -> str:
    told = (
        f"Title: {clean(experiment.title)}\nHypothesis: {clean(experiment.hypothesis, 600) or 'none'}\n"
        f"Reason: {clean(experiment.reason) or 'it crashed'}"  # which is what the log says
    )
    what = fenced(told, view.state, experiment.id)
    return "\n".join((f"## {experiment.id}", what, _change(view, experiment), _end(view, experiment)))


def _change(view: View, experiment: Experiment) -> str:
    parent = view.state.sources.get(experiment.parent or view.start, view.source)
    try:
        diff = patch.diff(parent, source_of(view.state, experiment.id))
    except (PatchError, KeyError):
        return "Its change cannot be shown."
    return fenced(diff, view.state, f"change of {experiment.id}", LONGEST_DIFF)


def _end(view: View, experiment: Experiment) -> str:
    """Of the log of its latest run that crashed."""
    for run in reversed(experiment.runs):
        result = view.state.runs[run].result
        if result is not None and result.outcome == "crashed":
            tail = view.log_of(run)[-LONGEST_TAIL:] or result.tail or result.reason
            return fenced(tail, view.state, f"end of the log of {run}", LONGEST_TAIL)
    return "There is no log of its crash."
