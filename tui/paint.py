"""What panes hand to the screen: lines of spans, each a safe text with a role; and how they become strips of cells.

A role is a meaning ("kept", "muted bold", "best on selection"); the theme says what it looks like. Texts of spans must
have gone through `tui.safe`. Pure but for the caches of the widths; knows no widget and no theme file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

Span = tuple[str, str]  # text, role
Line = tuple[Span, ...]
Styles = Callable[[str], Style]  # what a role looks like

EMPTY: Line = ()


def line(*spans: Span | str) -> Line:
    """A line of spans; a bare text is in the normal role."""
    return tuple((span, "") if isinstance(span, str) else span for span in spans)


def width(spans: Iterable[Span]) -> int:
    """In terminal cells."""
    return sum(cell_len(text) for text, _ in spans)


def plain(spans: Iterable[Span]) -> str:
    return "".join(text for text, _ in spans)


def fill(spans: Line, cells: int, end: Line = ()) -> Line:
    """`spans` and `end` pushed apart to `cells` terminal cells; `end` goes first where there is no room for both."""
    gap = cells - width(spans) - width(end)
    return (*spans, (" " * gap, ""), *end) if gap > 0 else (*spans, *end)


def over(made: Strip, style: Style) -> Strip:
    """`style` on top of what each cell has; `Strip.apply_style` puts it underneath."""
    return Strip([Segment(text, (own or Style.null()) + style) for text, own, _ in made], made.cell_length)


def _joined(parts: Iterable[tuple[str, Style]]) -> list[Segment]:
    """What looks alike in one segment: each costs 30 bytes on the way to the terminal, a gap between columns too."""
    made: list[tuple[str, Style]] = []
    for text, style in parts:
        if made and (made[-1][1] == style or (text.isspace() and _ground(made[-1][1]) == _ground(style))):
            made[-1] = (made[-1][0] + text, made[-1][1])
        else:
            made.append((text, style))
    return [Segment(text, style) for text, style in made]


def _ground(style: Style) -> tuple[object, ...]:
    """What is seen of a style where there is no ink."""
    ink = style.color if style.reverse else None
    return style.bgcolor, style.reverse, ink, style.underline, style.strike


def strip(spans: Sequence[Span], cells: int, styles: Styles, base: Style) -> Strip:
    """Exactly `cells` terminal cells: cut at the right or filled with `base`."""
    made = Strip(_joined((text, base + styles(role) if role else base) for text, role in spans if text), width(spans))
    return made.adjust_cell_length(cells, base) if made.cell_length != cells else made
