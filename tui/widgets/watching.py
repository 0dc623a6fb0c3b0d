"""Who else looks at this session, as a piece of the header; nothing where nobody does. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from core.presence import Watcher
from tui.paint import EMPTY, Line, line
from tui.safe import line as safe
from tui.widgets.pieces import Piece, piece

NAMES = 5  # that are told; the others are counted


def watching(watchers: Sequence[Watcher]) -> Piece:
    """ "3 watching: ada, ben ×2, cleo (viewer)"; this window is among them."""
    count = len(watchers)
    if count < 2:
        return piece(0, EMPTY)
    short = line((f"{count} watching", "muted"))
    return piece(8, (*short, *_names(watchers)), short, EMPTY)


def _names(watchers: Sequence[Watcher]) -> Line:
    counted = Counter(watchers)
    told = ", ".join(
        safe(each.name, 24) + ("" if each.may_act else " (viewer)") + (f" ×{count}" if count > 1 else "")
        for each, count in sorted(counted.items())[:NAMES]
    )
    return line((f": {told}{', …' if len(counted) > NAMES else ''}", "muted"))
