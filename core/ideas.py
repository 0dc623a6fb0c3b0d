"""What a researcher answers: a plan of many ideas, each a change to the baseline's train.py. Shapes alone."""

from __future__ import annotations

import msgspec

from core.design import Design
from core.ids import ExperimentId
from core.patch import Change


class Idea(msgspec.Struct, frozen=True, kw_only=True):
    """One change to the baseline's train.py. `cell` names the level of each factor if it belongs to a design."""

    title: str
    change: Change
    hypothesis: str = ""
    cell: dict[str, str] = {}
    promoted: bool = False  # it is to run on the validation tier at once
    repairs: ExperimentId | None = None  # the crashed experiment that it mends
    refused: str = ""  # by its researcher's own check, with the reason: it is recorded and not run


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A wave as its researcher wants it. No ideas: there is nothing left to try, or, with `wait_s`, not yet."""

    reason: str
    ideas: tuple[Idea, ...]
    design: Design | None = None
    phase: str = ""  # of the research: "broad sweep", "architecture", …
    wait_s: float = 0.0  # without ideas: ask again after so many seconds, or when there is news
    by: str = ""  # who planned it, if not the researcher that was asked
