"""What the pane of the wave shows where there is room to spare: its effects, and the chosen experiment in full.

Pure: lines for a number of lines that would stay empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.state import Experiment
from tui.glyphs import Glyphs
from tui.paint import EMPTY, Line, line
from tui.safe import wrap
from tui.widgets import effect_lines
from tui.widgets.pieces import cut

if TYPE_CHECKING:
    from core.analysis import Analysis

LEAST = 5  # lines below which nothing is added
CHANGE = 3  # lines of the change and of its reason, at least


def more(analysis: Analysis | None, experiment: Experiment | None, cells: int, most: int, glyphs: Glyphs) -> list[Line]:
    """At most `most` lines, the first one empty."""
    if most < LEAST:
        return []
    made = _effects(analysis, cells, most - 1, glyphs)
    left = most - len(made)
    if experiment is not None and left > CHANGE:
        made += _change(experiment, cells, left - 1)
    return made


def _effects(analysis: Analysis | None, cells: int, most: int, glyphs: Glyphs) -> list[Line]:
    """The clearest ones, of a design whose results say something."""
    if analysis is None or analysis.fit is None or analysis.design is None or not analysis.fit.effects:
        return []
    rows = effect_lines.table(analysis.design, analysis.fit, cells, glyphs)
    shown = rows if len(rows) <= most else rows[: min(most, 1 + len(analysis.fit.effects))]  # no half of a legend
    return [EMPTY, *(cut(row, cells) for row in shown)]


def _change(experiment: Experiment, cells: int, most: int) -> list[Line]:
    said: list[Line] = [line((text, "")) for text in wrap(f"{experiment.id}: {experiment.title}", cells)]
    said += [line((text, "muted")) for text in wrap(experiment.hypothesis, cells)]
    return [EMPTY, *said[:most]]
