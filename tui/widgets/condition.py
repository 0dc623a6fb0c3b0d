"""How the session is: live, paused, down, finished …, and what waits for a person, as pieces of the header.

The first piece is the mode of this window; the others are conditions that call for attention. Pure.
"""

from __future__ import annotations

from core import views
from core.setbacks import untrusted
from core.views import is_without_gpus
from tui import numbers
from tui.actions import BY_ID
from tui.glyphs import Glyphs
from tui.keys import Chosen, key_of
from tui.moment import Moment
from tui.paint import EMPTY, Line, line
from tui.safe import line as safe
from tui.widgets.pieces import Piece, piece

REASON = 60  # characters of a reason


def pieces(moment: Moment, glyphs: Glyphs, keys: Chosen) -> list[Piece]:
    """`keys`: as the person has mapped them."""
    reads = [piece(45, line(("read-only", "muted")), EMPTY)] if moment.read_only and moment.mode != "playback" else []
    return [piece(90, *_mode(moment, glyphs, keys)), *reads, *_calls(moment, glyphs, keys)]


def _mode(moment: Moment, glyphs: Glyphs, keys: Chosen) -> tuple[Line, ...]:
    if moment.is_gone:
        return (_said(glyphs.warning, "the session's file is gone", "error bold"),)
    match moment.mode:
        case "loading":
            share = f" {numbers.share(moment.loading)}" if moment.loading is not None else ""
            return (_said(glyphs.idle, f"loading{share}", "accent bold"),)
        case "starting":
            return (_said(glyphs.idle, "starting the engine", "accent bold"), _said(glyphs.idle, "starting", "accent"))
        case "live":
            return (_said(glyphs.alive, "live", "success bold"),)
        case "paused":
            return _paused(moment, glyphs)
        case "down":
            return _down(moment, glyphs, keys)
        case "finished":
            return _finished(moment, glyphs)
        case "playback":
            playing = moment.tape is None or moment.tape.playing
            return (_said(glyphs.play if playing else glyphs.pause, "playback", "accent bold"),)


def _said(glyph: str, words: str, role: str, more: str = "") -> Line:
    return line((f"{glyph} {words}", role), (more, "muted")) if more else line((f"{glyph} {words}", role))


def _paused(moment: Moment, glyphs: Glyphs) -> tuple[Line, ...]:
    pause = moment.state.pause
    if pause is None:
        return (_said(glyphs.pause, "paused", "warning bold"),)
    by = f"paused by {safe(pause.by, 24)}"
    why = f": {safe(pause.reason, REASON)}" if pause.reason else ""
    long = (_said(glyphs.pause, by, "warning bold", why),) if why else ()
    return (*long, _said(glyphs.pause, by, "warning bold"), _said(glyphs.pause, "paused", "warning bold"))


def _down(moment: Moment, glyphs: Glyphs, keys: Chosen) -> tuple[Line, ...]:
    stop = moment.state.last_stop
    why = f": {safe(stop.reason, REASON)}" if moment.state.engine is None and stop and stop.reason else ""
    name = "" if moment.read_only else key_of(BY_ID["start_engine"], keys)
    key = line((" · ", "muted"), (name, "key bold"), (" starts it again", "muted")) if name else EMPTY
    short = line((" · ", "muted"), (name, "key bold"), (" starts", "muted")) if name else EMPTY
    said = _said(glyphs.warning, "engine down", "error bold")
    long = ((*_said(glyphs.warning, "engine down", "error bold", why), *key),) if why else ()
    return (*long, (*said, *key), (*said, *short))


def _finished(moment: Moment, glyphs: Glyphs) -> tuple[Line, ...]:
    stop = moment.state.last_stop
    if moment.state.seq == 0:
        return (_said(glyphs.idle, "no session yet", "muted"),)
    done = _said(glyphs.kept, "finished", "success bold")
    if stop is None or not stop.reason:
        return (done,)
    why = safe(stop.reason, 2 * REASON)
    return (_said(glyphs.kept, "finished", "success bold", f": {why}"), (*done, (f": {safe(why, 30)}", "muted")), done)


# --- what calls for attention -----------------------------------------------------------------------------------------


def _calls(moment: Moment, glyphs: Glyphs, keys: Chosen) -> list[Piece]:
    found = [
        _ended(moment, glyphs),
        _lost(moment, glyphs),
        _hindered(moment, glyphs),
        _held(moment, glyphs, keys),
        _gave_up(moment, glyphs),
        _stopping(moment, glyphs),
    ]
    marked = numbers.count(len(moment.marked), "experiment")
    if moment.marked:  # they are what keys act on, on whatever screen
        found.append(piece(75, _said(glyphs.cursor, f"{marked} marked", "accent bold"), EMPTY))
    paused = piece(60, *_paused(moment, glyphs), EMPTY) if _is_paused_unsaid(moment) else None
    return [each for each in (*found, paused) if each is not None]


def _is_paused_unsaid(moment: Moment) -> bool:
    return moment.state.pause is not None and moment.mode not in ("paused", "finished")


def _ended(moment: Moment, glyphs: Glyphs) -> Piece | None:
    """In a recording: the engine has stopped at this point of it."""
    if moment.mode != "playback" or moment.state.engine is not None or moment.state.last_stop is None:
        return None
    return piece(60, *_finished(moment, glyphs), EMPTY)


def _lost(moment: Moment, glyphs: Glyphs) -> Piece | None:
    lost = moment.state.lost
    if lost is None or moment.mode in ("down", "finished"):
        return None
    words = f"cluster lost for {numbers.duration(moment.now - lost.at)}"
    long = _said(glyphs.warning, words, "error bold", f": {safe(lost.reason, REASON)}")
    return piece(85, long, _said(glyphs.warning, words, "error bold"), _said(glyphs.warning, "lost", "error bold"))


def _hindered(moment: Moment, glyphs: Glyphs) -> Piece | None:
    """No GPU is there, or none that keeps its runs."""
    if moment.mode in ("down", "finished"):
        return None
    types = ", ".join(safe(kind, 24) for kind in untrusted(moment.state))
    if is_without_gpus(moment.state):
        words, more = "no GPU now", ": nothing is launched until one comes"
    elif types:
        words, more = f"runs on {types} are lost at once", ": one at a time is tried"
    else:
        return None
    return piece(82, _said(glyphs.warning, words, "warning bold", more), _said(glyphs.warning, words, "warning bold"))


def _held(moment: Moment, glyphs: Glyphs, keys: Chosen) -> Piece | None:
    waiting = len(views.held(moment.state))
    if not waiting:
        gate = _said(glyphs.held, "gate on", "warning")
        return piece(40, gate, EMPTY) if moment.state.gate else None
    words = f"{numbers.count(waiting, 'wave')} wait{'s' * (waiting == 1)}"
    name = "" if moment.read_only or moment.mode == "playback" else key_of(BY_ID["approve"], keys)
    key = line((": ", "muted"), (name, "key bold")) if name else EMPTY
    long = (*_said(glyphs.held, f"gate on, {words}", "warning bold"), *key)
    return piece(80, long, (*_said(glyphs.held, words, "warning bold"), *key))


def _gave_up(moment: Moment, glyphs: Glyphs) -> Piece | None:
    why = moment.state.gave_up
    if not why or moment.mode in ("down", "finished"):
        return None
    long = _said(glyphs.warning, "researcher gave up", "error bold", f": {safe(why, REASON)}")
    return piece(70, long, _said(glyphs.warning, "researcher gave up", "error bold"))


def _stopping(moment: Moment, glyphs: Glyphs) -> Piece | None:
    stop = moment.state.stop
    if stop is None or moment.mode in ("down", "finished"):
        return None
    words = f"stopping for {safe(stop.by, 24)}"
    how = ": running jobs are stopped" if stop.now else ": running jobs finish first"
    return piece(
        65, _said(glyphs.warning, words, "warning bold", how), _said(glyphs.warning, "stopping", "warning bold")
    )
