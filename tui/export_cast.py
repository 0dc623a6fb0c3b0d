"""A film of the dashboard as asciinema plays it (asciicast, version 2): `export --format cast`.

`Film` writes frames given as lines of escape sequences and knows no application; only lines that changed are written.
`film` plays a recording and shoots it. Format: https://docs.asciinema.org/manual/asciicast/v2/
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import takewhile
from pathlib import Path

from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.reel import Reel, Size, frame, staged

FRAMES_PER_S = 5
LINGER_S = 3.0  # on the last frame
PLAIN = "\x1b[0m"
BEGIN, END = "\x1b[?25l\x1b[2J", f"{PLAIN}\x1b[?25h"  # the cursor is hidden while it plays


class Film:
    """Turns frames into the lines of a cast. A frame is a screenful: one strip of styled cells per row."""

    def __init__(self, size: Size, *, title: str, timestamp: int) -> None:
        """`timestamp`: when the session began, seconds since the epoch."""
        self._head = {"version": 2, "width": size[0], "height": size[1], "timestamp": timestamp, "title": title}
        self._rows: Sequence[Strip] = ()

    def head(self) -> str:
        return json.dumps(self._head | {"env": {"TERM": "xterm-256color"}}, ensure_ascii=False)

    def frame(self, at_s: float, rows: Sequence[Strip]) -> str:
        """The line of the cast that shows `rows` at `at_s`, seconds from its beginning; "" if nothing changed."""
        before, self._rows = self._rows, [row.simplify() for row in rows]
        old = [list(row) for row in before] or [[] for _ in rows]
        text = "".join(_changed(number, old[number], list(row)) for number, row in enumerate(self._rows))
        return self._event(at_s, ("" if before else BEGIN) + text) if text else ""

    def end(self, at_s: float) -> str:
        return self._event(at_s, END)

    def _event(self, at_s: float, text: str) -> str:
        return json.dumps([round(at_s, 3), "o", text], ensure_ascii=False)


def _changed(number: int, old: list[Segment], new: list[Segment]) -> str:
    """What turns a row into another: everything from the first piece that differs to the last."""
    if old == new:
        return ""
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    column = sum(piece.cell_length for piece in new[:start])
    pieces = [(f"\x1b[0{_sgr(style)}m", text) for text, style, _ in new[start : _same_end(old, new, start)]]
    return f"\x1b[{number + 1};{column + 1}H" + "".join(style + text for style, text in pieces)


def _same_end(old: list[Segment], new: list[Segment], start: int) -> int:
    """From which piece of `new` on both rows are the same, if what differs is as wide in both."""
    end, width = len(new), 0
    while end > start and len(old) - (len(new) - end) > start and old[end - len(new) - 1] == new[end - 1]:
        end -= 1
        width += new[end].cell_length
    total = sum(piece.cell_length for piece in new)
    return end if sum(piece.cell_length for piece in old) == total else len(new)


def _sgr(style: Style | None) -> str:
    codes = Strip.render_ansi(style, ColorSystem.TRUECOLOR) if style else ""
    return f";{codes}" if codes else ""


async def film(
    path: Path, *, size: Size = (120, 40), theme: str | None = None, seconds: float = 60.0, idle_s: float = 60.0
) -> AsyncIterator[bytes]:
    """The lines of a cast that shows the whole session in `seconds`, its pauses cut to `idle_s` recorded seconds.

    Raises UsageError, RecordingError, LogError.
    """
    reel = Reel(path, idle_s=idle_s)
    await reel.load()
    reel.speed = max(1, round(reel.whole_s / seconds))
    shot = Film(size, title=f"autoresearch-tui · {path.name}", timestamp=int(reel.begins))
    yield _line(shot.head())
    frames = max(1, round(seconds * FRAMES_PER_S))
    async with staged(reel, size, theme) as pilot:
        for number in range(frames + 1):
            await frame(reel, pilot, reel.place(number / frames))
            strips = pilot.app.screen._compositor.render_strips()  # noqa: SLF001  there is no public way to cells
            if event := shot.frame(number / FRAMES_PER_S, strips):
                yield _line(event)
    yield _line(shot.end(seconds + LINGER_S))


def _line(text: str) -> bytes:
    return text.encode("utf-8", "replace") + b"\n"
