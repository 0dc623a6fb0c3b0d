"""The analysis of the wave in view, worked out off the loop: a design's cells are parsed, which may take a second.

One at a time; until it is there, the one before is shown if it is of the same wave. It knows no pane but the one that
asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.widget import Widget

from core.ids import WaveId
from core.state import State, Wave
from tui.moment import Moment
from tui.paint import Line, line
from tui.widgets.effect_lines import parts_of

if TYPE_CHECKING:
    from core.analysis import Analysis

WORKING: tuple[Line, ...] = (line(("Working out the effects of this wave.", "muted")),)


class Analyst:
    """`of` answers at once with what is known; when more is, `tell` is called."""

    def __init__(self, widget: Widget, tell: Callable[[], None]) -> None:
        self._widget, self._tell = widget, tell
        self._asked: tuple[object, ...] = ()
        self._is_busy = False
        self._known: tuple[WaveId, Analysis | None] | None = None

    def of(self, moment: Moment) -> tuple[Analysis | None, bool]:
        """The analysis of the wave in view, and whether anything is known of it at all."""
        wave = moment.wave_shown
        if wave is None:
            return None, True
        parts = parts_of(moment.state, wave)
        is_new = len(parts) != len(self._asked) or any(a is not b for a, b in zip(parts, self._asked, strict=True))
        if is_new and not self._is_busy:
            self._asked, self._is_busy = parts, True
            self._widget.run_worker(self._work(moment.state, wave), name="analysis", group="analysis")
        if self._known is None or self._known[0] != wave.id:
            return None, False
        return self._known[1], True

    async def _work(self, state: State, wave: Wave) -> None:
        try:
            found = await asyncio.to_thread(_analysed, state, wave)
        finally:
            self._is_busy = False
        self._known = (wave.id, found)
        self._tell()


def _analysed(state: State, wave: Wave) -> Analysis | None:
    from core.analysis import wave_analysis  # numpy: 0.1 s that the first frame does not wait for

    return wave_analysis(state, wave)
