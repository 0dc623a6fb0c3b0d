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


def strip(spans: Sequence[Span], cells: int, styles: Styles, base: Style) -> Strip:
    """Exactly `cells` terminal cells: cut at the right or filled with `base`."""
    segments = [Segment(text, base + styles(role) if role else base) for text, role in spans if text]
    made = Strip(segments, width(spans))
    return made.adjust_cell_length(cells, base) if made.cell_length != cells else made
