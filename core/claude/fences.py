"""Untrusted text on its way to a model: control characters out, length limited, fenced so that it stays data.

The fence carries a mark that follows from the session, so that prompts are the same from call to call; text that
contains the mark loses it, so nothing inside can end its fence, whoever knows the mark.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from core.state import State

CUT = " […] "
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-Z\\-_])", re.DOTALL)
_KEPT = {"\n": "\n", "\t": "    "}
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # control, invisible or reordering characters


def mark(state: State) -> str:
    """16 hex digits, the same for all of a session."""
    start = f"{state.session}|{state.started_at}|{state.prepare_digest}"  # not the commit, which moves
    return hashlib.sha256(start.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def clean(text: str, limit: int = 400) -> str:
    """One line of plain characters, at most `limit` long."""
    flat = " ".join(plain(text[: 20 * limit]).split())
    return flat if len(flat) <= limit else flat[: limit - len(CUT)] + CUT.rstrip()


def plain(text: str) -> str:
    """Without terminal escapes, control characters and characters that are invisible or turn the line around.

    A carriage return begins the line anew, as a progress bar's does: only what stood last is kept.
    """
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return "".join(_character(character) for character in "\n".join(lines))


def _character(character: str) -> str:
    if character in _KEPT:
        return _KEPT[character]
    if character.isascii():
        return character if " " <= character <= "~" else ""
    return "" if unicodedata.category(character) in _HIDDEN else character


def fenced(text: str, state: State, what: str, limit: int = 6000) -> str:
    """`text` between marked lines that name it; of a long one the beginning and, mostly, the end are kept."""
    seal, body = mark(state), plain(text)
    while seal in body:
        body = body.replace(seal, "")
    if len(body) > limit:
        head = limit // 4
        body = f"{body[:head]}\n{CUT.strip()}\n{body[-(limit - head) :]}"
    return f"<data-{seal} {clean(what, 80)}>\n{body}\n</data-{seal}>"
