"""The researcher's transcript as lines: waves with their reason, how they were answered and what became of them;
failures; notes of operators and whether they were read; what it is doing now.

Pure. Lines of a wave that did not change are made once; the state alone is enough, a memory adds what it has seen.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from core.design import Design
from core.events import NoteAdded, NotebookWritten, ResearchFailed
from core.state import State, Wave
from core.views import proposed
from tui import saying, talk
from tui.glyphs import Glyphs
from tui.memory import Answer, Memory
from tui.moment import Moment
from tui.numbers import clock, count, duration, share, short, usd
from tui.paint import EMPTY, Line, Span, line, width
from tui.safe import line as safe
from tui.safe import wrap
from tui.signs import named, word

INDENT = "  "
SEPARATORS = " ·."  # not at the beginning of a line
FACTORS = 6  # named; the rest is counted
SHOWN_REJECTED = 6
PAGES = 200  # of its notebook, the latest
WORDS = 120  # cells of what it says now
Outcome = tuple[tuple[str, int], ...]  # statuses and how many
VERDICTS = ("kept", "discarded", "crashed", "vetoed", "duplicate", "merged")


def transcript(moment: Moment, memory: Memory, cells: int, glyphs: Glyphs) -> list[Line]:
    """Oldest first; what goes on now is `now_line`."""
    state, lines = moment.state, list[Line]()
    for _, _, entry in sorted(_entries(state, memory), key=lambda each: each[:2]):
        match entry:
            case Wave():
                lines += _kept(state, entry, memory.answers.get(entry.id), cells, glyphs)
            case NoteAdded():
                lines += _note(entry, _read(state, entry, memory), cells, glyphs)
            case ResearchFailed():
                lines += _failed(entry, cells, glyphs)
            case NotebookWritten():
                lines += talk.page(entry, cells, glyphs)
            case tuple():
                lines += talk.lines(entry, cells, glyphs)
        lines.append(EMPTY)
    return lines[:-1] or [line((_nothing(moment), "muted"))]


def _entries(state: State, memory: Memory) -> list[tuple[float, int, object]]:
    """With their times; at one time, what is asked comes before what is answered."""
    return [
        *((note.at, 0, note) for note in state.notes),
        *((failure.at, 1, failure) for failure in memory.failures),
        *((answer[0].at, 2, answer) for answer in talk.answers(state)),
        *((page.at, 3, page) for page in state.notebook[-PAGES:]),
        *((wave.planned_at, 4 + index, wave) for index, wave in enumerate(state.waves.values())),
    ]


def _nothing(moment: Moment) -> str:
    if moment.loading is not None:
        return "Reading the session…"
    return (
        "No wave yet: the baseline runs first, then the researcher is asked." if moment.state.seq else "No session yet."
    )


# --- a wave -----------------------------------------------------------------------------------------------------------


def _wave(wave: Wave, answer: Answer | None, outcome: Outcome, cells: int, glyphs: Glyphs) -> tuple[Line, ...]:
    head = line(
        (clock(wave.planned_at), "muted"), "  ", (wave.id, "accent bold"), "  ", *_answered(wave, answer, glyphs)
    )
    body = [line((INDENT + text, "")) for text in wrap(wave.reason, cells - len(INDENT))]
    return (*_cut(head, cells), *body, *_design(wave, cells), *_rejections(wave, answer, cells, glyphs),
            *_cut(_became(outcome, glyphs), cells))  # fmt: skip


def _answered(wave: Wave, answer: Answer | None, glyphs: Glyphs) -> list[Span]:
    parts = [count(len(wave.experiments), "experiment") + f" from {wave.parent}"]
    if answer and answer.asked_at is not None:
        parts.append(f"answered in {duration(wave.planned_at - answer.asked_at)}")
    if answer and answer.slots:
        parts.append(f"{answer.slots} asked for")
    dot = f" {glyphs.dot} "
    who = [(safe(wave.researcher, 40), "bold")] if wave.researcher else []
    waits = [(f"{dot}{glyphs.held} waits for y", "warning bold")] if wave.held else []
    return [*who, ((dot if who else "") + dot.join(parts), "muted"), *waits]


def _design(wave: Wave, cells: int) -> list[Line]:
    if wave.design is None:
        return []
    return [line((INDENT + text, "muted")) for text in wrap(_described(wave.design), cells - len(INDENT))]


def _described(design: Design) -> str:
    factors = [f"{safe(factor.name, 40)} ({len(factor.levels)})" for factor in design.factors]
    more = f" and {len(factors) - FACTORS} more" if len(factors) > FACTORS else ""
    return f"{design.kind}: {', '.join(factors[:FACTORS])}{more}"


def _rejections(wave: Wave, answer: Answer | None, cells: int, glyphs: Glyphs) -> list[Line]:
    if not wave.rejected:
        return []
    known = answer.rejected if answer else ()
    said = f"{INDENT}{glyphs.discarded} {count(wave.rejected, 'proposal')} rejected"
    lines = _cut(line((said, "warning")), cells)
    for each in known[:SHOWN_REJECTED]:
        texts = wrap(f"{safe(each.title, 200)}: {safe(each.reason, 500)}", cells - 6)
        lines += [
            line(("    " + ("  " if place else f"{glyphs.bullet} ") + text, "muted"))
            for place, text in enumerate(texts)
        ]
    if known and (more := wave.rejected - min(len(known), SHOWN_REJECTED)) > 0:
        lines.append(line((f"    {glyphs.ellipsis} and {more} more", "muted")))
    return lines


class _Made(msgspec.Struct):
    """What was made of a wave, and for what."""

    wave: Wave
    answer: Answer | None
    outcome: Outcome
    place: tuple[int, Glyphs]  # cells, glyphs
    lines: tuple[Line, ...]


_made: dict[str, _Made] = {}


def _kept(state: State, wave: Wave, answer: Answer | None, cells: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """The lines of a wave, made again only where something about it changed."""
    found, place = _made.get(wave.id), (cells, glyphs)
    known = found.outcome if found is not None and found.wave is wave else None
    outcome = _outcome(state, wave, known)
    if found is not None and known == outcome and found.answer is answer and found.place == place:
        return found.lines
    lines = _wave(wave, answer, outcome, cells, glyphs)
    _made[wave.id] = _Made(wave, answer, outcome, place, lines)
    return lines


def _outcome(state: State, wave: Wave, known: Outcome | None) -> Outcome:
    """How many experiments of a wave are what; not counted again once all have a verdict."""
    if known and all(status in VERDICTS for status, _ in known) and state.open.keys().isdisjoint(wave.experiments):
        return known
    there = (state.experiments[name] for name in wave.experiments if name in state.experiments)
    counts = Counter[str](word(state, experiment) for experiment in there)
    order = (*VERDICTS, "running", "retest", "measured", "queued", "proposed", "held")
    return tuple((status, counts[status]) for status in order if counts[status])


_WORDS = {"retest": "to run again", "proposed": "waiting", "duplicate": "duplicates", "held": "held back"}


def _became(outcome: Outcome, glyphs: Glyphs) -> Line:
    spans: list[Span] = [(INDENT, "")]
    for status, number in outcome:
        found = named(status, glyphs)
        spans += [(f"{found.glyph} {number} {_WORDS.get(status, status)}", found.role), ("   ", "")]
    return tuple(spans) if outcome else EMPTY


def _cut(spans: Line, cells: int) -> list[Line]:
    """A line of spans, broken between spans where it is too long, and within one that is too long itself."""
    lines: list[Line] = []
    row: list[Span] = []
    for text, role in spans:
        fits = width([*row, (text, role)]) <= cells
        pieces = [text] if fits else wrap(text.strip().lstrip(SEPARATORS), cells - len(INDENT))
        for place, piece in enumerate(pieces):
            if row and (place or not fits):
                lines.append(tuple(row))
                row = [(INDENT, "")]
            row.append((piece, role))
    return [*lines, tuple(row)] if row else lines


# --- notes and failures -----------------------------------------------------------------------------------------------


def _read(state: State, note: NoteAdded, memory: Memory) -> str:
    """Whether the researcher has been asked since: "" if not."""
    for wave in state.waves.values():
        answer = memory.answers.get(wave.id)
        if (answer.asked_at if answer and answer.asked_at is not None else wave.planned_at) >= note.at:
            return f"read for {wave.id}"
    if state.asked is not None and state.asked.at >= note.at:
        return "read; the answer is awaited"
    return ""


def _note(note: NoteAdded, read: str, cells: int, glyphs: Glyphs) -> list[Line]:
    mark = (read, "muted") if read else ("not read yet", "warning")
    head = line(
        (clock(note.at), "muted"),
        "  ",
        (f"{glyphs.right} {safe(note.by, 40)}", "bold"),
        (f" {glyphs.dot} ", "muted"),
        mark,
    )
    return [*_cut(head, cells), *(line((INDENT + text, "")) for text in wrap(note.text, cells - len(INDENT)))]


def _failed(failure: ResearchFailed, cells: int, glyphs: Glyphs) -> list[Line]:
    what = "cannot go on" if failure.fatal else "no answer; it is asked again"
    head = line((clock(failure.at), "muted"), "  ", (f"{glyphs.crashed} {what}", "error"))
    return [*_cut(head, cells), *(line((INDENT + text, "")) for text in wrap(failure.reason, cells - len(INDENT)))]


# --- what goes on -----------------------------------------------------------------------------------------------------


def now_line(moment: Moment, glyphs: Glyphs) -> Line:
    """What the researcher is doing now."""
    state = moment.state
    if state.gave_up:
        return line((f"{glyphs.crashed} gave up: {safe(state.gave_up, 200)}", "error"))
    if moment.mode in ("down", "finished") and moment.tape is None:
        return line((f"{glyphs.idle} no engine runs, so nobody asks it", "muted"))
    if other := saying.stands_in(state):
        return line((f"{glyphs.warning} {other.rstrip('; ')}", "warning"))
    if state.asked is not None:
        return _thinking(moment, glyphs)
    if state.pause is not None:
        return line((f"{glyphs.pause} research is paused; it is asked when it goes on", "warning"))
    if wait := saying.waits(state, moment.now, WORDS):
        return line((f"{glyphs.idle} {wait}", "accent"))
    if state.failures:
        return line(
            (
                f"{glyphs.warning} its last {count(state.failures, 'answer')} failed: {safe(state.failure, 200)}",
                "warning",
            )
        )
    return line((f"{glyphs.idle} waits until GPUs will be free", "muted"))


def _thinking(moment: Moment, glyphs: Glyphs) -> Line:
    state = moment.state
    if state.asked is None:
        return EMPTY
    if retry := saying.retry(state, moment.now, WORDS):
        return line((f"{glyphs.warning} its model does not answer: {retry}", "warning"))
    return line(
        (f"{glyphs.alive} thinking for {duration(moment.now - state.asked.at)}", "accent bold"),
        (f", for {count(state.asked.slots, 'experiment')}", "muted"),
    )


def summary(moment: Moment) -> list[str]:
    """What it has done so far, and what that cost; the least important first."""
    state = moment.state
    parts = [count(len(state.waves), "wave"), count(proposed(state), "experiment"), count(len(state.notes), "note")]
    if state.think_s:
        parts.append(f"last answer took {duration(state.think_s)}")
    return parts + _model(state)


def _model(state: State) -> list[str]:
    """Tokens and money of all answers."""
    used = talk.total(state)
    if not used.calls:
        return [f"model {usd(state.model_usd)}" if state.model_usd else "no model costs"]
    read = used.input_tokens + used.cache_read_tokens + used.cache_write_tokens
    cached = f", {share(used.cache_read_tokens / read)} cached" if read else ""
    tokens = f"{short(read)} tokens read{cached}, {short(used.output_tokens)} written"
    return [count(used.calls, "model answer"), tokens, f"model {usd(state.model_usd)}"]
