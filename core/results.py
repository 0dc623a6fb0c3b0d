"""results.tsv in and out: the table that upstream's agent keeps of its experiments.

Reading takes what real files contain and never stops: every line that is not blank and not a header becomes either a
row or a problem with its line number. Only bits per byte are taken as val_bpb. Another metric (`val_loss` is nats per
token, `accuracy` is better when higher) cannot be converted: its rows come without a val_bpb and the header gets one
problem. A cell of memory that cannot be read costs the cell, not the row. Knows nothing of git: a commit is any text.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Iterable

import msgspec

HEADER = ("commit", "val_bpb", "memory_gb", "status", "description")

_ALIASES = {
    "commit": ("commit", "hash", "sha", "commit_hash", "git_commit"),
    "val_bpb": ("val_bpb", "bpb", "valbpb", "val_bits_per_byte"),
    "memory_gb": ("memory_gb", "mem_gb", "vram_gb", "peak_memory_gb", "peak_vram_gb", "memory"),
    "memory_mb": ("memory_mb", "mem_mb", "vram_mb", "peak_memory_mb", "peak_vram_mb"),
    "status": ("status", "verdict", "decision", "outcome"),
    "description": ("description", "desc", "notes", "note", "change", "comment", "idea", "hypothesis"),
}
_COLUMNS = {alias: name for name, aliases in _ALIASES.items() for alias in aliases}
_STATUSES = {
    "keep": ("keep", "kept", "keeping", "baseline", "accept", "accepted", "improved", "best", "advance", "advanced"),
    "discard": ("discard", "discarded", "reject", "rejected", "revert", "reverted", "drop", "dropped", "worse"),
    "crash": ("crash", "crashed", "fail", "failed", "failure", "oom", "error", "timeout", "killed", "diverged"),
}
_STATUS = {word: status for status, words in _STATUSES.items() for word in words}
_HIGHER_IS_BETTER = re.compile(r"acc|auc|f1|precision|recall|sharpe|score|reward|r2|bleu|win|profit|map", re.IGNORECASE)
_NOTHING = frozenset({"", "-", "--", "—", "nan", "none", "null", "n/a", "na", "inf", "-inf", "+inf", "?"})
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_NEWLINE = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_MEMORY = re.compile(rf"({_NUMBER.pattern})\s*(?:[GM]i?B)?", re.ASCII | re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(\d{1,3}),(\d+)", re.ASCII)


class Row(msgspec.Struct, frozen=True):
    """One experiment. A crash has no val_bpb; 0.000000 in the file means none."""

    commit: str
    val_bpb: float | None
    memory_gb: float | None
    status: str  # keep, discard or crash
    description: str


class Problem(msgspec.Struct, frozen=True):
    line: int  # 1-based, in the file
    reason: str  # a sentence


class Loaded(msgspec.Struct, frozen=True):
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]


class _Layout(msgspec.Struct, frozen=True):
    """Which cell is what."""

    columns: tuple[str, ...]  # our names; "" for what we do not take
    comma: bool


_UPSTREAM = _Layout(HEADER, False)


def dump(rows: Iterable[Row]) -> str:
    """The file's text, upstream's header included; tabs, newlines and other control characters become one space."""
    return "".join("\t".join(cells) + "\n" for cells in [HEADER, *(_cells_of(row) for row in rows)])


def load(data: bytes) -> Loaded:
    """The rows of a file in whatever encoding, newlines, separators and column order it came."""
    rows: list[Row] = []
    problems: list[Problem] = []
    layout = _UPSTREAM
    for number, line in enumerate(_NEWLINE.split(_decoded(data)), 1):
        if not line.strip():
            continue
        if header := _header(line):
            layout = header
            if "val_bpb" not in header.columns:
                problems.append(Problem(number, _other_metric(line, header)))
            continue
        row = _row(line, layout)
        if isinstance(row, Row):
            rows.append(row)
        else:
            problems.append(Problem(number, row))
    return Loaded(tuple(rows), tuple(problems))


# -- out -------------------------------------------------------------------------------------------------------------


def _cells_of(row: Row) -> tuple[str, ...]:
    crashed = row.status == "crash"
    val_bpb = 0.0 if crashed else _finite(row.val_bpb)
    memory_gb = 0.0 if crashed else _finite(row.memory_gb)
    return _flat(row.commit), f"{val_bpb:.6f}", f"{memory_gb:.1f}", _flat(row.status), _flat(row.description)


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else 0.0


def _flat(text: str) -> str:
    return _CONTROL.sub(" ", text.encode("utf-8", "replace").decode()).strip()


# -- in: the file ----------------------------------------------------------------------------------------------------


def _decoded(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _header(line: str) -> _Layout | None:
    """The layout that a header line describes; None for any other line. A header names things and holds no number."""
    comma = "\t" not in line and "," in line
    cells = [cell.lower().replace(" ", "_") for cell in _split(line, comma, 0)]
    known = [_COLUMNS.get(cell, "") for cell in cells]
    if len(set(known) - {""}) < 2 or any(_NUMBER.fullmatch(cell) for cell in cells):
        return None
    return _Layout(tuple(name if name not in known[:place] else "" for place, name in enumerate(known)), comma)


def _other_metric(line: str, layout: _Layout) -> str:
    cells = _split(line, layout.comma, 0)
    metric = next((cell for cell, name in zip(cells, layout.columns, strict=False) if not name), "")
    if not metric:
        return "The table has no val_bpb column, so its rows come without a result."
    better = "better when higher" if _HIGHER_IS_BETTER.search(metric) else "another unit"
    return f"The metric is {_short(metric)}, not val_bpb ({better}), so its numbers are not taken."


def _split(line: str, comma: bool, columns: int) -> list[str]:
    """The cells of a line: by tabs, else by commas, else by spaces (the last of `columns` may contain some)."""
    if "\t" in line:
        cells = line.split("\t")
    elif comma:
        cells = _comma_separated(line)
    else:
        cells = line.split(None, columns - 1) if columns else line.split()
    return [cell.strip() for cell in cells]


def _comma_separated(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # a cell of more than 128 kB
        return line.split(",")


# -- in: one row -----------------------------------------------------------------------------------------------------


def _row(line: str, layout: _Layout) -> Row | str:
    """The row, or why there is none."""
    cells = _cells(line, layout)
    status = _status(cells.get("status", ""))
    if status is None:
        cells = _by_shape(line, layout)
        status = _status(cells.get("status", ""))
    if status is None:
        return _no_status(cells.get("status", ""))
    number = _number(cells.get("val_bpb", ""))
    if isinstance(number, str):
        return number
    return Row(
        commit=cells.get("commit", ""),
        val_bpb=None if status == "crash" else number or None,
        memory_gb=_memory(cells),
        status=status,
        description=cells.get("description", ""),
    )


def _cells(line: str, layout: _Layout) -> dict[str, str]:
    """By the header. What a ragged row has too much of belongs to the description, if that is the last column."""
    columns, comma = layout.columns, _has_commas(line, layout)
    cells = _split(line, comma, len(columns))
    if len(cells) > len(columns) and columns[-1] == "description":
        separator = ", " if comma else " "
        cells = [*cells[: len(columns) - 1], separator.join(filter(None, cells[len(columns) - 1 :]))]
    return {name: cell for name, cell in zip(columns, cells, strict=False) if name}


def _by_shape(line: str, layout: _Layout) -> dict[str, str]:
    """A row that does not follow the header: commit, val_bpb, perhaps memory, a status, and the rest describes it."""
    comma = _has_commas(line, layout)
    cells = _split(line, comma, 0)
    place = next((at for at, cell in enumerate(cells) if at and cell.lower() in _STATUS), 0)
    if not place:
        return _cells(line, layout)
    numbers = [cell for cell in cells[1:place] if cell]
    found = {"commit": cells[0], "status": cells[place]}
    found["description"] = (", " if comma else " ").join(filter(None, cells[place + 1 :]))
    if "val_bpb" in layout.columns:
        found |= dict(zip(("val_bpb", "memory_gb"), numbers if len(numbers) <= 2 else numbers[:1], strict=False))
    return found


def _has_commas(line: str, layout: _Layout) -> bool:
    """Whether commas separate this line's cells; in a file without a header its first word tells."""
    return "\t" not in line and "," in line and (layout.comma or line.split(None, 1)[0].count(",") > 1)


def _status(text: str) -> str | None:
    """keep, discard or crash by the first word, whatever surrounds it ("✅ KEEP (tie)")."""
    word = re.search(r"[a-z]+", text.lower())
    return _STATUS.get(word[0]) if word else None


def _no_status(text: str) -> str:
    if not text:
        return "The row has no status; it must be keep, discard or crash."
    return f"The status {_short(text)} is not keep, discard or crash."


def _number(text: str) -> float | str | None:
    """Bits per byte; None for an empty cell and its synonyms; a sentence for what is no bits per byte."""
    text = text.strip().strip('"').strip()
    if text.lower() in _NOTHING:
        return None
    if text.endswith("%"):
        return f"The val_bpb {_short(text)} is a percentage; bits per byte were expected."
    text = _DECIMAL_COMMA.sub(r"\1.\2", text) if _DECIMAL_COMMA.fullmatch(text) else text
    if not _NUMBER.fullmatch(text):
        return f"The val_bpb {_short(text)} is not a number."
    value = float(text)
    if value < 0:
        return f"The val_bpb {_short(text)} is negative, which bits per byte cannot be."
    return value if math.isfinite(value) else None


def _memory(cells: dict[str, str]) -> float | None:
    """In GB; 0.0 means unknown."""
    name, scale = ("memory_gb", 1.0) if "memory_gb" in cells else ("memory_mb", 1 / 1024)
    match = _MEMORY.fullmatch(cells.get(name, "").strip('"'))
    value = float(match[1]) * scale if match else 0.0
    return value if value > 0 and math.isfinite(value) else None


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
