"""The help: every key by group as it is mapped now, dimmed ones with the reason, and what glyphs mean. Made from the
action table, so it is never out of date.

Pure: lines in one, two or three columns by width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tui.actions import ACTIONS, GROUPS, Action, Group, is_there, shown, why_not
from tui.glyphs import Glyphs
from tui.keys import Chosen, key_of, keys_of
from tui.moment import Moment
from tui.paint import EMPTY, Line, Span, line, width
from tui.safe import wrap
from tui.widgets.pieces import cut

KEY = 8  # cells for a key
GAP = 3  # between columns
COLUMN = 52  # cells that a column needs at least
SHARED = 3  # dimmed actions with one reason: it is said once

Block = list[Line]


def manual(moment: Moment, chosen: Chosen, cells: int, glyphs: Glyphs) -> list[Line]:
    """All of it, at most `cells` wide."""
    number = max(1, min(3, (cells + GAP) // (COLUMN + GAP)))
    wide = (cells - GAP * (number - 1)) // number
    blocks = [block for group in GROUPS if (block := _group(group, moment, chosen, wide))]
    return _columns([*blocks, _legend(wide, glyphs), _mouse(wide)], number, wide)


def _group(group: Group, moment: Moment, chosen: Chosen, cells: int) -> Block:
    rows = [
        (action, why_not(action, moment)) for action in ACTIONS if action.group == group and is_there(action, moment)
    ]
    if not rows:
        return _left_out(group, moment, cells)
    counts = Counter(reason for _, reason in rows if reason)
    shared = {reason for reason, number in counts.items() if number >= SHARED}
    lines = [line((GROUPS[group], "accent bold"))]
    lines += [line((text, "warning")) for reason in counts if reason in shared for text in wrap(reason, cells)]
    for action, reason in rows:
        lines += _row(action, "" if reason in shared else reason, chosen, cells, dimmed=bool(reason))
    return lines


def _left_out(group: Group, moment: Moment, cells: int) -> Block:
    if group != "research" or not moment.read_only:
        return []
    said = wrap("This window is read-only: keys that change something are left out.", cells)
    return [line((GROUPS[group], "accent bold")), *(line((text, "muted")) for text in said)]


def _row(action: Action, reason: str, chosen: Chosen, cells: int, *, dimmed: bool) -> Block:
    key = key_of(action, chosen) or "none"
    also = ", ".join(shown(other) for other in keys_of(action, chosen)[1:])
    text = action.help + (f" Also {also}." if also else "")
    role, start = ("muted", "muted") if dimmed else ("", "key bold")
    lines = [line((text, role)) for text in wrap(text, cells - KEY - 1)]
    lines += [line((text, "warning")) for text in wrap(reason, cells - KEY - 1)]
    first: Span = (f"{key[:KEY]:>{KEY}} ", start)
    rest: Span = (" " * (KEY + 1), "")
    return [(first if place == 0 else rest, *spans) for place, spans in enumerate(lines)]


# --- what glyphs mean -------------------------------------------------------------------------------------------------

_SIGNS: tuple[tuple[str, str, str], ...] = (
    ("proposed", "run-queued", "waiting for its first run"),
    ("held", "warning", "waits for approval (y)"),
    ("running", "run-running", "running"),
    ("retest", "retest", "could be noise: runs again"),
    ("kept", "kept", "kept: better beyond the noise"),
    ("discarded", "discarded", "discarded"),
    ("crashed", "crashed", "crashed"),
    ("vetoed", "vetoed", "vetoed by an operator"),
    ("duplicate", "duplicate", "the same as another"),
    ("merged", "merged", "put together with others"),
    ("best", "best", "best so far"),
    ("predicted", "predicted", "predicted to be best"),
    ("gpu_ours", "gpu-ours", "GPU with a run of ours"),
    ("gpu_other", "gpu-other", "GPU held by others"),
    ("gpu_free", "gpu-free", "GPU that is free"),
    ("crashed", "error", "GPU that is broken"),
)


def _legend(cells: int, glyphs: Glyphs) -> Block:
    rows = [cut(line((f"{getattr(glyphs, name):>{KEY}} ", role), (text, "")), cells) for name, role, text in _SIGNS]
    return [line(("Signs", "accent bold")), *rows]


def _mouse(cells: int) -> Block:
    said = (
        "Click selects, a second click opens; the wheel scrolls, on the chart it zooms, and dragging pans; keys in the "
        "bottom line can be clicked."
    )
    return [line(("Mouse", "accent bold")), *(line((text, "")) for text in wrap(said, cells))]


# --- columns ----------------------------------------------------------------------------------------------------------


def _columns(blocks: Sequence[Block], number: int, wide: int) -> list[Line]:
    """Blocks in their order, in columns of about the same height; none is broken."""
    whole = sum(len(block) + 1 for block in blocks)
    columns: list[Block] = [[] for _ in range(number)]
    at = 0
    for block in blocks:
        full = len(columns[at]) + len(block) / 2 > whole / number
        at = min(number - 1, at + 1) if columns[at] and full else at
        columns[at] += [*([EMPTY] if columns[at] else []), *block]
    height = max(map(len, columns))
    return [_side_by_side([column[y] if y < len(column) else EMPTY for column in columns], wide) for y in range(height)]


def _side_by_side(parts: Sequence[Line], wide: int) -> Line:
    spans: list[Span] = []
    for index, part in enumerate(parts):
        spans += part
        if index + 1 < len(parts):
            spans.append((" " * (wide - width(part) + GAP), ""))
    return tuple(spans)
