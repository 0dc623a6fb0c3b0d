"""What a researcher that thinks aloud says and does, as lines of its transcript.

Answers of its model with the tools they use and what they cost, its notebook, waits, repairs, and who stands in for it.
Pure. All text is a model's and goes through `tui.safe`. It knows the facts of `core.thinking`, not who shows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from core import thinking as th
from core.state import State, Usage
from tui import numbers
from tui.glyphs import Glyphs
from tui.paint import Line, line
from tui.safe import line as safe
from tui.safe import wrap

INDENT = "  "
NAME = 60  # characters of a model's or a tool's name
SENTENCE = 600  # characters of what a tool was asked for, or of why it was refused
SAID = 60  # lines of one answer
THOUGHT = 6  # lines of thinking aloud: its end
KEPT = 500  # answers whose lines are kept
PURPOSES = {"plan": "", "repair": " to repair", "check": " to check"}
Answer = tuple[th.ThinkingFact, ...]  # what belongs to one answer of the model, in order
_made: dict[int, tuple[object, tuple[Line, ...]]] = {}  # lines of answers, by their number


def answers(state: State) -> list[Answer]:
    """What is remembered of the talk, by answer; what belongs to none stands alone. The notebook is not in it."""
    found: list[Answer] = []
    at: dict[int, int] = {}  # number of the answer: its place
    for fact in state.talk:
        call = getattr(fact, "call", None)
        if isinstance(fact, th.NotebookWritten):
            continue
        if call is not None and call in at:
            found[at[call]] = (*found[at[call]], fact)
            continue
        if call is not None:
            at[call] = len(found)
        found.append((fact,))
    return found


def lines(answer: Answer, cells: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """Made again only where something came to it."""
    call, key = getattr(answer[0], "call", None), (answer, cells, glyphs)
    if call is None:
        return tuple(_alone(answer[0], cells, glyphs))
    if len(_made) > KEPT:
        _made.clear()
    if (found := _made.get(call)) is None or found[0] != key:
        found = _made[call] = (key, tuple(_answer(call, answer, cells, glyphs)))
    return found[1]


def _answer(call: int, answer: Answer, cells: int, glyphs: Glyphs) -> Iterator[Line]:
    calls = [fact for fact in answer if isinstance(fact, th.ModelCalled)]
    yield _head(call, answer[0].at, calls, cells, glyphs)
    for is_thought, group in groupby(answer, _kind):
        if is_thought is None:
            for fact in group:
                yield from _deed(fact, cells, glyphs)
        else:
            yield from _speech(group, cells, glyphs, is_thought=is_thought)


def _kind(fact: th.Thinking) -> bool | None:
    """Whether it is a thought, for pieces of speech; None for the rest."""
    return fact.is_thought if isinstance(fact, th.ResearcherSaid) else None


def _head(call: int, at: float, calls: Sequence[th.ModelCalled], cells: int, glyphs: Glyphs) -> Line:
    who = safe(calls[-1].model, NAME) if calls else "the model"
    why = PURPOSES.get(calls[-1].purpose, "") if calls else ""
    now = "" if calls else f" {glyphs.dot} answering"
    said = wrap(f"{who}{why} {glyphs.dot} answer {call}{now}", max(1, cells - 12))
    return line((numbers.clock(at), "muted"), "  ", (said[0] if said else "", "accent" if not calls else "bold"))


def _speech(pieces: Iterable[th.Thinking], cells: int, glyphs: Glyphs, *, is_thought: bool) -> Iterator[Line]:
    """One text of all pieces: of an answer its beginning, of a thought its end."""
    text = "".join(piece.text for piece in pieces if isinstance(piece, th.ResearcherSaid)).strip()
    most, role = (THOUGHT, "muted italic") if is_thought else (SAID, "")
    made = wrap(text[-4 * most * cells :] if is_thought else text, cells - len(INDENT))
    if len(made) > most:
        made = [glyphs.ellipsis, *made[1 - most :]] if is_thought else [*made[: most - 1], glyphs.ellipsis]
    for each in made:
        yield line((INDENT + each, role))


def _deed(fact: th.Thinking, cells: int, glyphs: Glyphs) -> Iterator[Line]:
    if isinstance(fact, th.ToolUsed):
        name = safe(fact.tool, NAME)
        told = f"{name}: {safe(fact.told, SENTENCE)}" if fact.told else name
        yield from _hung(f"{glyphs.cursor} ", told, cells, "" if not fact.error else "muted")
        if fact.error:
            yield from _hung(f"{glyphs.discarded} ", f"refused: {safe(fact.error, SENTENCE)}", cells, "warning")
    elif isinstance(fact, th.ModelCalled):
        if fact.error:
            again = f"; tried again at {numbers.clock(fact.again_at)}" if fact.again_at is not None else ""
            yield from _hung(f"{glyphs.warning} ", f"no answer: {safe(fact.error, SENTENCE)}{again}", cells, "warning")
        if not fact.error or fact.usd:
            yield from _hung("", cost(fact, glyphs), cells, "muted")


def _hung(mark: str, text: str, cells: int, role: str) -> Iterator[Line]:
    """A mark, and the text beside it."""
    for place, each in enumerate(wrap(text, cells - len(INDENT) - len(mark))):
        yield line((INDENT + (mark if place == 0 else " " * len(mark)) + each, role))


def cost(fact: th.ModelCalled | Usage, glyphs: Glyphs) -> str:
    """ "12.3k tokens read, 81 % of them cached · 1.2k written · 14s · $0.123" """
    read = fact.input_tokens + fact.cache_read_tokens + fact.cache_write_tokens
    cached = f", {numbers.share(fact.cache_read_tokens / read)} of them cached" if read else ""
    parts = [
        f"{numbers.short(read)} tokens read{cached}",
        f"{numbers.short(fact.output_tokens)} written",
        numbers.duration(fact.seconds),
        f"${fact.usd:,.3f}",
    ]
    return f" {glyphs.dot} ".join(parts)


def total(state: State) -> Usage:
    """Of all models."""
    used = state.usage.values()
    return Usage(*(sum(getattr(each, name) for each in used) for name in Usage.__struct_fields__))


def page(note: th.NotebookWritten, cells: int, glyphs: Glyphs) -> list[Line]:
    """An entry of its notebook."""
    head = line((numbers.clock(note.at), "muted"), "  ", (f"{glyphs.bullet} notebook", "bold"))
    return [head, *(line((INDENT + text, "")) for text in wrap(note.text, cells - len(INDENT)))]


def _alone(fact: th.ThinkingFact, cells: int, glyphs: Glyphs) -> Iterator[Line]:
    mark, role, said = _event(fact, glyphs)
    room = max(1, cells - 12)
    for place, text in enumerate(wrap(f"{mark} {said}", room)):
        when = numbers.clock(fact.at) if place == 0 else " " * 8
        yield line((when, "muted"), "  ", (text, role))


def _event(fact: th.ThinkingFact, glyphs: Glyphs) -> tuple[str, str, str]:
    """Its mark, its role, and what is said."""
    match fact:
        case th.ResearcherWaits():
            until = numbers.duration(fact.until - fact.at)
            return glyphs.idle, "accent", f"waits for results, at most {until}: {safe(fact.reason, SENTENCE)}"
        case th.StandInAsked(stand_in=""):
            return glyphs.kept, "success", f"is back: {safe(fact.reason, SENTENCE)}"
        case th.StandInAsked():
            return glyphs.warning, "warning", f"{safe(fact.stand_in, NAME)} stands in: {safe(fact.reason, SENTENCE)}"
        case th.RepairTried(by=None):
            return glyphs.crashed, "warning", f"{fact.experiment} is not repaired: {safe(fact.reason, SENTENCE)}"
        case th.RepairTried():
            return glyphs.retest, "", f"{fact.experiment} is repaired as {fact.by}"
    return "?", "muted", type(fact).__name__
