"""Which two train.py a diff shows: an experiment's, and its parent's, the baseline's or the very first. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from core import views
from core.errors import PatchError
from core.ids import BASELINE, ExperimentId
from core.state import State
from tui.safe import line

Against = Literal["parent", "baseline", "start"]
AGAINST: tuple[Against, ...] = ("parent", "baseline", "start")
SAID: dict[Against, str] = {"parent": "its parent", "baseline": "the baseline", "start": "the first version"}


class Pair(msgspec.Struct, frozen=True):
    name: ExperimentId
    other: ExperimentId
    before: str
    after: str


def after_that(against: Against) -> Against:
    return AGAINST[(AGAINST.index(against) + 1) % len(AGAINST)]


def pair(state: State, name: ExperimentId | None, against: Against) -> Pair | str:
    """The two sources, or a sentence why there is nothing to compare."""
    experiment = state.experiments.get(name) if name else None
    if experiment is None:
        return "No experiment is selected."
    parent = experiment.parent
    if against == "parent" and parent is None:
        return f"{experiment.id} is the train.py that the session started from: it has no parent."
    other = {"parent": parent or BASELINE, "baseline": state.baseline, "start": BASELINE}[against]
    if other == experiment.id:
        which = "the present baseline" if against == "baseline" else "the first version"
        return f"{experiment.id} is {which} itself: nothing to compare."
    try:
        return Pair(experiment.id, other, views.source_of(state, other), views.source_of(state, experiment.id))
    except KeyError as error:
        return f"The train.py of {line(str(error.args[0]), 40)} is not in this session."
    except (PatchError, RecursionError) as error:
        return f"The train.py of {experiment.id} cannot be made again: {line(str(error))}"
