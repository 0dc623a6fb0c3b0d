"""The transport bar of playback: where the tape is, how fast it plays, what comes when; a click goes there.

Marks say where waves begin and where changes were kept. At the beginning of the tape lines below tell what is played,
at its end what came of it; in between there is one where there is room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.geometry import Size

from core import views
from core.player import Player
from tui import numbers
from tui.glyphs import Glyphs
from tui.moment import Moment, Tape
from tui.paint import Line, line, width
from tui.pane import Pane
from tui.remembered import Remembered
from tui.safe import line as safe
from tui.safe import wrap
from tui.widgets.pieces import cut

SHORTEST_BAR = 10  # cells
FIRST_S = 12.0  # seconds of playing in which it is told what is played
MOST = 4  # lines below the bar


class Marks(NamedTuple):
    """Shares of the playing time, 0 to 1."""

    position: float
    waves: Sequence[float] = ()
    kept: Sequence[float] = ()


_marked: Remembered[tuple[Sequence[float], Sequence[float]]] = Remembered()


class Transport(Pane):
    SCOPED_CSS = False  # its height depends on the screen
    DEFAULT_CSS = """
    Transport { dock: bottom; height: auto; margin-bottom: 1; }
    Room.-wide Transport { min-height: 2; }
    """
    FOCUSABLE = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._wanted = 0  # lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._wanted = wanted(self.moment, width, self.looks.glyphs)
        return self._wanted

    def show(self, moment: Moment) -> None:
        super().show(moment)
        needed = wanted(moment, self.size.width, self.looks.glyphs)
        if needed != self._wanted:
            self._wanted = needed
            self.refresh(layout=True)

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        tape = moment.tape
        return transport(moment, tape, self._marks(moment, tape), width, height, self.looks.glyphs) if tape else []

    def _marks(self, moment: Moment, tape: Tape) -> Marks:
        feed = getattr(self.app, "feed", None)
        if not isinstance(feed, Player):
            return Marks(tape.position / tape.length if tape.length else 0.0)
        waves, kept = _marked.get((feed, feed.is_loaded, tape.idle_s), lambda: (feed.marks("wave"), feed.marks("kept")))
        return Marks(feed.share, waves, kept)

    def on_click(self, event: events.Click) -> None:
        feed, tape = getattr(self.app, "feed", None), self.moment.tape
        if not isinstance(feed, Player) or tape is None:
            return
        begin, cells = bar_at(self.moment, tape, self.size.width)
        if event.y == 0 and begin <= event.x < begin + cells:
            feed.seek_share((event.x - begin) / max(1, cells - 1))
        elif event.x < begin:
            feed.toggle()


def transport(moment: Moment, tape: Tape, found: Marks, cells: int, height: int, glyphs: Glyphs) -> list[Line]:
    left, right = _left(tape, glyphs), _right(moment, tape, cells)
    _, room = bar_at(moment, tape, cells)
    first = (*left, *_bar(found, room, glyphs), *right)
    return [cut(first, cells), *_below(moment, tape, cells, glyphs)][:height]


def wanted(moment: Moment, cells: int, glyphs: Glyphs) -> int:
    """Lines that it needs: those below the bar only where there is something to tell."""
    tape = moment.tape
    is_telling = tape is not None and cells > 0 and (is_over(tape) or tape.played_s < FIRST_S)
    return 1 + len(_below(moment, tape, cells, glyphs)) if tape is not None and is_telling else 1


def bar_at(moment: Moment, tape: Tape, cells: int) -> tuple[int, int]:
    """The column at which the bar begins, and its cells."""
    begin = width(_left(tape, _ANY))
    return begin, max(SHORTEST_BAR, cells - begin - width(_right(moment, tape, cells)))


_ANY = Glyphs()  # every glyph is one cell wide


def _left(tape: Tape, glyphs: Glyphs) -> Line:
    speed = "max" if math.isinf(tape.speed) else f"{tape.speed:g}"
    sign = (glyphs.play, "accent bold") if tape.playing else (glyphs.pause, "warning bold")
    return line((" ", ""), sign, (f" {glyphs.times}{speed}".ljust(7), "bold"), (" ", ""))


def _right(moment: Moment, tape: Tape, cells: int) -> Line:
    """Time of the tape, facts, and what was damaged: as much as leaves a bar."""
    whole = numbers.duration(tape.ends - tape.begins)
    here = numbers.duration(max(0.0, tape.at - tape.begins)).rjust(len(whole))
    time = ((f"  {here}", "bold"), (f" / {whole} ", "muted"))
    facts = ((f" fact {tape.position:,} of {tape.length:,} ".rjust(2 * len(f"{tape.length:,}") + 11), "muted"),)
    end = ((" end of the tape ", "accent bold"),) if is_over(tape) else ()
    broken = ((f" {tape.damaged:,} damaged ", "warning"),) if tape.damaged else ()
    played = ((f" {numbers.share(tape.share):>5} ", "muted"),)  # what "50%" goes to; long pauses are not in it
    found: Line = time
    for more in (end, broken, played, facts):
        if width(found) + width(more) <= cells - 3 * SHORTEST_BAR:
            found = (*found, *more)
    return found


def is_over(tape: Tape) -> bool:
    return tape.length > 0 and tape.position >= tape.length


def _bar(found: Marks, cells: int, glyphs: Glyphs) -> Line:
    """Played and to come, with a head; on it waves as ticks and kept changes as stars."""
    head = min(cells - 1, round(found.position * (cells - 1)))
    glyph = [glyphs.horizontal] * cells
    role = ["accent"] * head + ["border"] * (cells - head)
    for share in found.waves:
        _mark(glyph, role, share, glyphs.vertical, "foreground")
    for share in found.kept:
        _mark(glyph, role, share, glyphs.best, "best")
    glyph[head], role[head] = glyphs.alive, "accent bold"
    return _merged(glyph, role)


def _mark(glyph: list[str], role: list[str], share: float, sign: str, meaning: str) -> None:
    at = round(share * (len(glyph) - 1))
    if 0 <= at < len(glyph):
        glyph[at], role[at] = sign, meaning


def _merged(glyphs: list[str], roles: list[str]) -> Line:
    made: list[tuple[str, str]] = []
    for glyph, role in zip(glyphs, roles, strict=True):
        if made and made[-1][1] == role:
            made[-1] = (made[-1][0] + glyph, role)
        else:
            made.append((glyph, role))
    return tuple(made)


def _below(moment: Moment, tape: Tape, cells: int, glyphs: Glyphs) -> list[Line]:
    """At the end what came of it all; before, what the marks mean, what is amiss, and where the recording is from."""
    if is_over(tape):
        return _packed([(f"end: {summary(moment)}", "")], cells)
    idle = f"{tape.idle_s:g}s" if tape.idle_s < 60 else numbers.duration(min(tape.idle_s, 1e9))
    pauses = f"pauses over {idle} are cut" if math.isfinite(tape.idle_s) else "pauses are kept"
    legend = f"{glyphs.vertical} wave  {glyphs.best} kept  {pauses}"
    return _packed([(legend, "muted"), (safe(tape.note), "warning"), (tape.origin, "muted")], cells)


def _packed(texts: Sequence[tuple[str, str]], cells: int) -> list[Line]:
    """Beside each other where they fit, else below; a long one is wrapped."""
    made: list[Line] = []
    for text, role in texts:
        if text and made and width(made[-1]) + 2 + width([(text, role)]) <= cells:
            made[-1] = (*made[-1], ("  ", ""), (text, role))
        elif text:
            made += [line((" ", ""), (part, role)) for part in wrap(text, max(1, cells - 2))]
    return [cut(each, cells) for each in made[:MOST]]


def summary(moment: Moment) -> str:
    """What came of the session, in one sentence."""
    state = moment.state
    kept = len(state.lineage) - 1 if state.lineage else 0
    parts = [
        numbers.count(views.proposed(state), "experiment"),
        f"{kept} kept",
        numbers.count(len(state.waves), "wave"),
    ]
    gain, best = views.improvement(state), views.best(state)
    if best is not None:
        parts.append(f"best val_bpb {numbers.bpb(best.mean)} ({best.experiment})")
    if gain is not None:
        parts.append(f"{numbers.percent(gain.percent, 2)} since the start")
    if state.last_stop is not None and state.last_stop.reason:
        parts.append(safe(state.last_stop.reason, 80))
    return ", ".join(parts)
