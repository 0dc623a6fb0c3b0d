"""What a client says of its terminal, cut to what can do no harm, and the environment of the window made from it. Pure.

Of the variables that a client sends only those about the look of a terminal are taken, and only plain values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tui.glyphs import is_utf8
from tui.serving.entries import Role

COLUMNS, ROWS = 500, 300  # more would cost the server dearly
TAKEN = ("COLORTERM", "COLORFGBG", "NO_COLOR", "TERM_PROGRAM", "AUTORESEARCH_THEME", "AUTORESEARCH_ASCII")
# Of the server's own, for a window that only looks: what it takes to start, and nothing that could be a secret.
PLAIN = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "XDG_CONFIG_HOME")
TERM = "xterm-256color"
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ;:._+-]{0,63}")
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has been let in."""

    name: str
    role: Role
    fingerprint: str
    address: str


def size(columns: int, rows: int) -> tuple[int, int]:
    """Within what a window can be; 80 by 24 where the client does not say."""
    return min(columns or 80, COLUMNS), min(rows or 24, ROWS)


def environment(server: Mapping[str, str], sent: Mapping[str, str], terminal: str, guest: Guest) -> dict[str, str]:
    """`server`: its own, which an operator's window inherits, because it may start the engine; a viewer's does not."""
    looks = (*TAKEN, "TERM", "LANG", "LC_ALL", "LC_CTYPE", "TMUX", "STY", "COLUMNS", "LINES")
    base = {name: value for name, value in server.items() if name not in looks}
    if guest.role == "viewer":
        base = {name: base[name] for name in PLAIN if name in base}
    taken = {name: sent[name] for name in TAKEN if _VALUE.fullmatch(sent.get(name, ""))}
    if not _speaks_utf8(sent):
        taken["AUTORESEARCH_ASCII"] = "1"
    return {
        **base,
        **taken,
        "TERM": terminal if _TERM.fullmatch(terminal) else TERM,
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "utf-8",
        "SSH_CONNECTION": f"{guest.address} 0 service 0",
    }


def _speaks_utf8(sent: Mapping[str, str]) -> bool:
    """One that says nothing does: who has a terminal without UTF-8 has a locale that says so."""
    named = next((sent[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if sent.get(name)), "C.UTF-8")
    return is_utf8(named.partition(".")[2].partition("@")[0] or "ascii")
