"""Glyphs: one cell each, every one with an ASCII twin, for terminals and locales that show nothing else.

Widgets of others (borders, scroll bars) draw beyond this list: `ascii_only` turns any line into ASCII of
the same width, by what a character means here or else by its shape.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

import msgspec
from rich.cells import get_character_cell_size


class Glyphs(msgspec.Struct, frozen=True, kw_only=True):
    """Every field is one cell wide, or a run of such glyphs from little to much; `plus_minus` has its space."""

    # experiments and runs
    proposed: str = "·"
    queued: str = "◦"
    held: str = "‖"  # ⏸ is two cells wide in many terminals
    running: str = "▶"
    retest: str = "↻"
    kept: str = "✓"
    discarded: str = "✗"
    crashed: str = "‼"  # also a GPU that is broken
    vetoed: str = "⊘"
    duplicate: str = "="
    merged: str = "⊕"
    best: str = "★"
    predicted: str = "☆"
    # GPUs
    gpu_ours: str = "■"
    gpu_other: str = "▪"
    gpu_free: str = "□"
    # bars and small charts
    full: str = "█"
    eighths: str = "▏▎▍▌▋▊▉█"
    spark: str = "▁▂▃▄▅▆▇█"
    shade: str = "░"
    # lines
    horizontal: str = "─"
    vertical: str = "│"
    top_left: str = "╭"
    top_right: str = "╮"
    bottom_left: str = "╰"
    bottom_right: str = "╯"
    branch: str = "├"
    last_branch: str = "└"
    cross: str = "┼"
    phase: str = "┊"
    # signs
    left: str = "←"
    right: str = "→"
    up: str = "↑"
    down: str = "↓"
    cursor: str = "▸"
    collapsed: str = "▹"
    ellipsis: str = "…"
    bullet: str = "•"
    alive: str = "●"
    idle: str = "○"
    play: str = "▶"
    pause: str = "‖"
    warning: str = "⚠"
    minus: str = "−"
    plus_minus: str = "± "
    noise: str = "≈"  # no difference that is more than noise
    times: str = "×"
    delta: str = "Δ"
    dash: str = "–"
    dot: str = "·"


UNICODE = Glyphs()
ASCII = Glyphs(
    proposed=".", queued=":", held="H", running=">", retest="~", kept="+", discarded="-", crashed="X", vetoed="/",
    duplicate="=", merged="&", best="*", predicted="^", gpu_ours="#", gpu_other="o", gpu_free="_",
    full="#", eighths="::::####", spark=".,-~=*%#", shade=":", horizontal="-", vertical="|", top_left="|",
    top_right="|", bottom_left="|", bottom_right="|", branch="|", last_branch="`", cross="+", left="<", right=">",
    up="^", down="v", cursor=">", collapsed=">", ellipsis="~", bullet="o", alive="@", idle="o", play=">", pause="H",
    phase="!", warning="!", minus="-", plus_minus="+-", noise="?", times="x", delta="d", dash="-", dot=".",
)  # fmt: skip


def glyphs(environ: Mapping[str, str], encoding: str | None) -> Glyphs:
    """The set for a terminal: ASCII where the encoding is not UTF-8, where the terminal or LC_ALL promises no more, and
    where AUTORESEARCH_ASCII is 1 (0: Unicode anyway).
    """
    wish = environ.get("AUTORESEARCH_ASCII", "").strip().lower()
    if wish:
        return UNICODE if wish in {"0", "false", "no", "none"} else ASCII
    is_plain = environ.get("TERM") in {"linux", "dumb"} or environ.get("LC_ALL") in {"C", "POSIX"}
    return UNICODE if is_utf8(encoding) and not is_plain else ASCII


def is_utf8(encoding: str | None) -> bool:
    try:
        return codecs.lookup(encoding or "ascii").name == "utf-8"
    except LookupError:
        return False


def ascii_only(text: str) -> str:
    """`text` in ASCII, as many cells wide as before."""
    return text if text.isascii() else "".join(map(_twin, text.replace(UNICODE.plus_minus, ASCII.plus_minus)))


def _twins() -> dict[str, str]:
    pairs: dict[str, str] = {}
    for name in (each for each in Glyphs.__struct_fields__ if each != "plus_minus"):
        pairs.update(zip(getattr(UNICODE, name), getattr(ASCII, name), strict=True))
    return pairs


_LINES = dict.fromkeys("╭╮╰╯", "+")  # of a frame; those of the staircase of the chart are no signs of what was kept
_BLOCKS = {"█": "#", "▌": "#", "▐": "#", "▀": '"', "▔": '"', "▕": "|", "▎": "|", "▊": "#", "▁": "_"}
_TWINS = _twins() | _LINES | _BLOCKS | {"·": ".", "±": "~"}


@lru_cache(maxsize=4096)
def _twin(character: str) -> str:
    if character.isascii():
        return character
    if character in _TWINS:
        return _TWINS[character]
    cells = get_character_cell_size(character)
    shape = _shape(character)
    return (shape if len(shape) == cells else "?" * cells) if cells else ""


def _shape(character: str) -> str:
    """The nearest ASCII by shape: box lines, blocks and braille dots; letters lose their accents."""
    code, name = ord(character), unicodedata.name(character, "")
    if 0x2500 <= code < 0x2580:
        upright = any(word in name for word in ("VERTICAL", "UP", "DOWN"))
        level = any(word in name for word in ("HORIZONTAL", "LEFT", "RIGHT"))
        return "+" if upright and level else "|" if upright else "-"
    if 0x2800 <= code < 0x2900:
        return " .:*#"[((code & 0xFF).bit_count() + 1) // 2]
    if 0x2580 <= code < 0x25A0:
        return "#"
    plain = unicodedata.normalize("NFKD", character)[0]
    return plain if plain.isascii() and plain.isprintable() else "?"
