"""The text boundary: what runs, models and files wrote, made fit for cells of a terminal.

Whatever comes in, what goes out has no control, escape, bidi or invisible characters, at most two combining marks on a
character, and a width in cells that Rich and the terminal agree on. Nothing here is parsed as markup, and nothing that
comes out may be: make Segments of it. It knows neither styles nor widgets.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal
from unicodedata import category

from rich.cells import cell_len, get_character_cell_size

LIMIT = 2000  # characters of a line that anyone can want to see
WRAPPED = 20_000  # characters of a text that is wrapped
MARKS = 2  # combining marks kept on one character
TAB = 4
UNKNOWN = "\ufffd"  # stands for what has no agreed look: lone surrogates, private use, characters not yet assigned

_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, modes
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
)
_NEWLINE = re.compile(r"\r\n|[\n\v\f\r\x85\u2028\u2029]")
_INVISIBLE = frozenset(
    "\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f"  # marks to Unicode, nothing to the eye
    + "".join(map(chr, range(0xFE00, 0xFE10)))  # variation selectors: some make the character before them wider
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
    + "".join(map(chr, range(0x1F3FB, 0x1F400)))  # skin tones: no cells or two, terminals differ
)
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")  # letters that look like nothing
_FLAGS = 0x1F1E6  # the first of 26 letters that pair up to flags: one cell or two, terminals differ


def line(text: str, limit: int = LIMIT) -> str:
    """One safe line of at most `limit` characters, the last one "…" where text was left out.

    Escape sequences vanish as a whole, a tab becomes spaces, another white space or line end one space; what has no
    agreed look becomes U+FFFD. Doing it twice changes nothing more.
    """
    if text.isascii() and text.isprintable():
        return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"[:limit]
    made, whole = _safe(text, 4 * limit)
    return made if whole and len(made) <= limit else made[: max(0, limit - 1)] + "…"[:limit]


def fit(text: str, width: int, *, align: Literal["left", "right"] = "left", ellipsis: str = "…") -> str:
    """Exactly `width` terminal cells: the safe text, cut with `ellipsis` or filled with spaces on the other side.

    A wide character is never cut in half. A line of 100 kB costs what its visible beginning costs.
    """
    if width <= 0:
        return ""
    made, whole = _safe(text, 8 * width + 256)
    cells = cell_len(made)
    if cells > width or not whole:
        made = _cut(made, width, ellipsis)
        cells = cell_len(made)
    space = " " * (width - cells)
    return space + made if align == "right" else made + space


def end(text: str, width: int, *, ellipsis: str = "…") -> str:
    """The end of the safe text in at most `width` cells, with `ellipsis` before it where text was left out."""
    made = line(text[-(8 * width + 256) :].strip(), 8 * width + 256)
    if cell_len(made) <= width and len(text) <= 8 * width + 256:
        return made
    room, index = width - cell_len(ellipsis), len(made)
    while index > 0 and room >= (taken := get_character_cell_size(made[index - 1])):
        room, index = room - taken, index - 1
    while index < len(made) and get_character_cell_size(made[index]) == 0:  # a mark without what it stood on
        index += 1
    return ellipsis + made[index:] if width >= cell_len(ellipsis) else ""


def wrap(text: str, width: int) -> list[str]:
    """Safe lines of at most `width` cells each, broken at spaces where there are any; line ends in `text` stay.

    Text beyond 20,000 characters is left out and a last line "…" says so. An empty text is no line.
    """
    if not text or width <= 0:
        return []
    shown = text[:WRAPPED]
    found = [part for each in _NEWLINE.split(_ESCAPE.sub("", shown)) for part in _wrapped(line(each, WRAPPED), width)]
    return [*found, "…"] if len(text) > WRAPPED else found


def _safe(text: str, most: int) -> tuple[str, bool]:
    """The first `most` characters made safe, and whether that was all of them."""
    cut = text[:most]
    if not (cut.isascii() and cut.isprintable()):
        cut = _NEWLINE.sub(" ", _ESCAPE.sub("", cut)).expandtabs(TAB)
        if not (cut.isascii() and cut.isprintable()):
            cut = _shown(cut)
    return cut, len(text) <= most


def _shown(text: str) -> str:
    """Character by character; marks without a character to stand on are dropped."""
    made: list[str] = []
    marks = MARKS
    for character in text:
        shown = character if " " <= character <= "~" else _visible(character)
        if not shown:
            continue
        if shown >= "\u0300" and get_character_cell_size(shown) == 0:
            marks += 1
            if marks > MARKS:
                continue
        else:
            marks = 0
        made.append(shown)
    return "".join(made)


@lru_cache(maxsize=4096)
def _visible(character: str) -> str:
    """What one character other than printable ASCII is shown as: itself, a stand-in or nothing."""
    code = ord(character)
    if _FLAGS <= code < _FLAGS + 26:
        return chr(ord("A") + code - _FLAGS)
    if character in _FILLERS or character.isspace():
        return " "
    if character in _INVISIBLE:
        return ""
    if character.isprintable():
        return character
    return "" if category(character) in {"Cc", "Cf"} else UNKNOWN


def _cut(text: str, width: int, ellipsis: str) -> str:
    """The beginning of a safe text with `ellipsis` behind it, together at most `width` cells."""
    room = width - cell_len(ellipsis)
    return _start(text, width) if room < 0 else _start(text, room) + ellipsis


def _start(text: str, cells: int) -> str:
    """As many whole characters, with their marks, as fit into `cells`."""
    if text.isascii():
        return text[:cells]
    taken = 0
    for index, character in enumerate(text):
        taken += get_character_cell_size(character)
        if taken > cells:
            return text[:index]
    return text


def _wrapped(text: str, width: int) -> list[str]:
    """One safe line broken into lines of at most `width` cells; a word longer than that is broken too."""
    lines: list[str] = []
    while cell_len(text) > width:
        part = _start(text, width)
        if not part:  # one wide character where there is one cell
            text = UNKNOWN + text[1:]
            continue
        space = part.rfind(" ") if text[len(part)] != " " else len(part)
        end = space if part[:space].strip() and space > 0 else len(part)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text]
