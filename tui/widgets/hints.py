"""One line that names the keys a screen has for itself; those of the action table stand in the footer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui.moment import Moment
from tui.paint import Line, Span, width
from tui.pane import Pane

Hint = tuple[str, str]  # key, what it does


def hints(found: Sequence[Hint], cells: int) -> Line:
    """As many as fit, the first first."""
    made: list[Span] = [(" ", "")]
    for key, label in found:
        more: tuple[Span, ...] = ((key, "key bold"), (f" {label}", "muted"), ("  ", ""))
        if width(made) + width(more[:2]) <= cells:
            made += more
    return tuple(made)


class Hints(Pane):
    DEFAULT_CSS = "Hints { height: 1; }"
    FOCUSABLE = False

    def __init__(self, found: Callable[[], Sequence[Hint]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._found = found

    def lines(self, moment: Moment, width: int, height: int) -> list[Line]:
        return [hints(self._found(), width)]
