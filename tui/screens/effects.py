"""What the wave in view says, full screen: effects with errors, the two-factor grid, the predicted best.

The brackets go to the wave before and after.
"""

from __future__ import annotations

from textual.app import ComposeResult

from tui.moment import Moment
from tui.paint import Line
from tui.remembered import Remembered
from tui.screens.room import Room
from tui.widgets.analyst import WORKING, Analyst
from tui.widgets.effect_lines import effect_lines
from tui.widgets.reader import Reader


class EffectsReader(Reader):
    def __init__(self) -> None:
        super().__init__(id="effects", classes="pane")
        self._analyst = Analyst(self, lambda: self.show(self.moment))
        self._kept: Remembered[list[Line]] = Remembered()

    def text(self, moment: Moment, width: int) -> list[Line]:
        state, wave, glyphs = moment.state, moment.wave_shown, self.looks.glyphs
        found, is_known = self._analyst.of(moment)
        self.border_title = heading(moment).replace("[", "\\[")
        if not is_known:
            return list(WORKING)
        parts = (wave, found, width, glyphs)
        return self._kept.get(parts, lambda: effect_lines(state, moment.wave, found, width, glyphs))


class EffectsScreen(Room):
    def compose_body(self) -> ComposeResult:
        yield EffectsReader()

    def on_mount(self) -> None:
        self.query_one(EffectsReader).focus()


def heading(moment: Moment) -> str:
    """ "Effects of w3, wave 3 of 12 · [ ] other waves"."""
    waves = list(moment.state.waves)
    if moment.wave not in waves:
        return "Effects"
    return f"Effects of {moment.wave}, wave {waves.index(moment.wave) + 1} of {len(waves)} · [ ] other waves"
