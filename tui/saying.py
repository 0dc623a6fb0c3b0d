"""What a researcher that thinks aloud says or does at this moment, in one line: its latest words, a tool, a wait.

Pure. Who thinks silently has nothing here. The text is a model's; what comes out is safe.
"""

from __future__ import annotations

from core import thinking as th
from core.state import State
from tui import numbers
from tui.safe import end, line

KEPT = 2000  # characters of an answer that may be looked at


def stands_in(state: State) -> str:
    """ "designed stands in; " while another answers in its place, else ""."""
    return f"{line(state.stand_in, 40)} stands in; " if state.stand_in else ""


def waits(state: State, now: float, most: int) -> str:
    """ "waits for results, 3m10s at most: the depth series" while it has asked for that, else ""."""
    if state.waits is None or state.waits.until <= now:
        return ""
    left = numbers.duration(state.waits.until - now)
    return f"waits for results, {left} at most: {line(state.waits.reason, most)}"


def retry(state: State, now: float, most: int) -> str:
    """ "rate limited; next try in 28s" while its model does not answer, else ""."""
    latest = _latest(state)
    if not isinstance(latest, th.ModelCalled) or not latest.error:
        return ""
    left = (latest.again_at or 0.0) - now
    return line(latest.error, most) + (f"; next try in {numbers.duration(left)}" if left > 0 else "")


def words(state: State, cells: int) -> str:
    """The end of what it says, or the tool it uses, in at most `cells` cells; "" for nothing since it was asked."""
    latest = _latest(state)
    match latest:
        case th.ResearcherSaid():
            return end(_said(state, latest), cells)
        case th.ToolUsed(error=""):
            return line(f"{latest.tool}: {latest.told}" if latest.told else latest.tool, cells)
        case th.ToolUsed():
            return line(f"{latest.tool} refused: {latest.error}", cells)
    return ""


def _latest(state: State) -> th.ThinkingFact | None:
    """Since it was asked."""
    if state.asked is None or not state.talk or state.talk[-1].at < state.asked.at:
        return None
    return state.talk[-1]


def _said(state: State, latest: th.ResearcherSaid) -> str:
    """The pieces that belong together with the latest one."""
    pieces: list[str] = []
    length = 0
    for fact in reversed(state.talk):
        if not isinstance(fact, th.ResearcherSaid) or (fact.call, fact.is_thought) != (latest.call, latest.is_thought):
            break
        pieces.append(fact.text)
        length += len(fact.text)
        if length > KEPT:
            break
    return "".join(reversed(pieces))[-KEPT:]
