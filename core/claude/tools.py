"""Uses a tool by name: input is checked at the border, whatever goes wrong becomes a sentence for the model.

Pure. What is to happen is in the answer: a plan, commands, notes. Checking a long list takes tens of milliseconds for
each experiment, so callers that must stay responsive use a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from core.claude import asking, planning, querying
from core.claude.fences import clean
from core.claude.schemas import INPUTS
from core.claude.schemas import TOOLS as TOOLS
from core.claude.view import Unusable as Unusable
from core.claude.view import Used as Used
from core.claude.view import View as View
from core.errors import AutoresearchError

_TOOLS: dict[str, Callable[[Any, View], Used]] = {
    "plan_wave": planning.plan_wave,
    "edit": planning.edit,
    "repair": planning.repair,
    "promote": asking.promote,
    "retest": asking.retest,
    "veto": asking.veto,
    "read_file": querying.read_file,
    "results": querying.results,
    "effects": querying.effects,
    "log_excerpt": querying.log_excerpt,
    "note": asking.note,
    "wait": asking.wait,
}


def use(name: str, arguments: Mapping[str, Any], view: View) -> Used:
    """Never raises: an unknown tool, malformed input and what cannot be done are answered with what to do."""
    act = _TOOLS.get(name)
    if act is None:
        return _failed(name, f"There is no tool {clean(str(name), 40)!r}; there are {', '.join(_TOOLS)}.")
    kind, _ = INPUTS[name]
    try:
        given = msgspec.convert(dict(arguments), kind)
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as error:
        return _failed(name, f"The input of {name} is not as its schema says: {clean(str(error), 300)}. Call it again.")
    try:
        return act(given, view)
    except (Unusable, AutoresearchError) as error:
        return _failed(name, str(error))


def _failed(name: str, sentence: str) -> Used:
    short = clean(sentence, 300)
    return Used(answer=sentence, told=f"{clean(str(name), 40)} was refused: {short}", error=short)
