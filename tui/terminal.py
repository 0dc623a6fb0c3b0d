"""What this terminal can do, as far as its environment tells; the clipboard through it; leaving when asked to.

Knows no widget. Nothing here asks the terminal itself: answers take time, and some never come.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from tui.glyphs import is_utf8

COPY_LIMIT = 70_000  # bytes; with base64 what the common terminals take, and still less than a second on a slow line
LEAVE_S = 5.0  # after a signal; then the process ends however it stands
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TRUE_COLOUR = re.compile(r"truecolor|24bit|direct|kitty|ghostty|alacritty|wezterm|iterm", re.IGNORECASE)


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    colours: Literal[0, 16, 256, 16_777_216]
    is_utf8: bool
    multiplexer: Literal["", "tmux", "screen"] = ""
    is_remote: bool = False  # over SSH
    is_light: bool | None = None  # its background, where it tells


def terminal(environ: Mapping[str, str], encoding: str | None) -> Terminal:
    name = environ.get("TERM", "")
    return Terminal(
        colours=_colours(environ, name),
        is_utf8=is_utf8(encoding),
        multiplexer="tmux" if "TMUX" in environ or name.startswith("tmux") else "screen" if "STY" in environ else "",
        is_remote="SSH_CONNECTION" in environ,
        is_light=_is_light(environ.get("COLORFGBG", "")),
    )


def fitting_theme(found: Terminal) -> str:
    """The name of the theme to begin with where nobody chose one."""
    if found.colours <= 16:
        return "terminal"
    return "day" if found.is_light else "night"


def copy_sequence(text: str, found: Terminal) -> tuple[str, bool]:
    """What, written to the terminal, puts `text` on the clipboard of the person before it (OSC 52, also over SSH); and
    whether that is all of it. Control characters other than tab and line end are left out: it may be pasted in a shell.
    """
    data = _CONTROL.sub("", text).encode("utf-8", "replace")
    cut = data[:COPY_LIMIT].decode("utf-8", "ignore").encode()
    plain = f"\x1b]52;c;{base64.b64encode(cut).decode('ascii')}\x07"
    if found.multiplexer == "tmux":  # it takes the one or hands the other on, as its options say
        plain += "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    elif found.multiplexer == "screen":
        parts = [plain[at : at + 500] for at in range(0, len(plain), 500)]
        plain = "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return plain, len(data) <= COPY_LIMIT


def on_signals(loop: asyncio.AbstractEventLoop, leave: Callable[[int], None]) -> None:
    """Calls `leave` in the loop with the exit code (129 hang-up, 143 termination, 130 interrupt); must end the program.

    If it is still there after five seconds the process exits with that code at once.
    """

    def left(number: int) -> None:
        code = 128 + number
        timer = threading.Timer(LEAVE_S, os._exit, (code,))
        timer.daemon = True
        timer.start()
        leave(code)

    for number in SIGNALS:
        loop.add_signal_handler(number, left, int(number))


def off_signals(loop: asyncio.AbstractEventLoop) -> None:
    for number in SIGNALS:
        loop.remove_signal_handler(number)


def _colours(environ: Mapping[str, str], name: str) -> Literal[0, 16, 256, 16_777_216]:
    if environ.get("NO_COLOR") or name in {"dumb", "unknown", ""}:
        return 0
    if _TRUE_COLOUR.search(environ.get("COLORTERM", "")) or _TRUE_COLOUR.search(name):
        return 16_777_216
    return 256 if "256" in name or name.startswith("tmux") else 16


def _is_light(pair: str) -> bool | None:
    """COLORFGBG is "foreground;background" in numbers of the 16 colours; some terminals set it."""
    ground = pair.rpartition(";")[2]
    return int(ground) in {7, 15} if ground.isdigit() else None
