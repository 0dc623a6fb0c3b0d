"""Bars of whole and partial cells, as texts and as numbers of cells. Pure; knows neither colours nor what is shown."""

from __future__ import annotations

from collections.abc import Sequence

from tui.glyphs import Glyphs


def bar(share: float, cells: int, glyphs: Glyphs) -> tuple[str, str]:
    """The full part and the empty part of a bar of `cells` cells; `share` of one is full, to an eighth of a cell."""
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    whole, part = divmod(eighths, 8)
    filled = glyphs.full * whole + (glyphs.eighths[part - 1] if part else "")
    return filled, glyphs.shade * (cells - len(filled))


def stacked(parts: Sequence[float], cells: int) -> list[int]:
    """Cells for each part, together `cells`, by largest remainder; a part above 0 gets one where there is room."""
    total = sum(parts)
    if total <= 0 or cells <= 0:
        return [0] * len(parts)
    exact = [part / total * cells for part in parts]
    found = [int(each) for each in exact]
    order = sorted(range(len(parts)), key=lambda i: exact[i] - found[i], reverse=True)
    for i in order[: cells - sum(found)]:
        found[i] += 1
    return found
