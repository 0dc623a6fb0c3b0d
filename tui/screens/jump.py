"""Jump mode: every pane that can be focused shows a letter; the letter goes there, any other key leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from tui.screens.once import Once

LETTERS = "asdfjklghqwertyuiopzxcvbnm"


def targets(screen: Screen[object]) -> list[Widget]:
    """What can be focused and is seen, in reading order; at most as many as there are letters."""
    seen = [widget for widget in screen.focus_chain if widget.region.area and screen.region.overlaps(widget.region)]
    return sorted(seen, key=lambda widget: (widget.region.y, widget.region.x))[: len(LETTERS)]


def lettered(widgets: Iterable[Widget]) -> dict[str, Widget]:
    return dict(zip(LETTERS, widgets, strict=False))


class Label(Static):
    DEFAULT_CSS = "Label { width: 5; height: 1; background: $key; color: $background; text-style: bold; }"

    def __init__(self, letter: str, region: Region) -> None:
        super().__init__(f"  {letter}  ", markup=False)
        self.styles.position = "absolute"
        self.styles.offset = (region.x + max(0, region.width // 2 - 2), region.y + region.height // 2)


class Jump(Once[Widget | None]):
    """Answers with the widget that was chosen."""

    DEFAULT_CSS = """
    Jump { background: $background 60%; }
    Jump > .hint { dock: bottom; height: 1; background: $panel; color: $muted; width: 100%; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, widgets: Sequence[Widget]) -> None:
        super().__init__()
        self._widgets = lettered(widgets)

    def compose(self) -> ComposeResult:
        for letter, widget in self._widgets.items():
            yield Label(letter, widget.region)
        yield Static("Jump: press a letter, or click. Any other key: stay.", classes="hint", markup=False)

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.dismiss(self._widgets.get(event.key))

    def on_click(self, event: events.Click) -> None:
        at = (event.screen_x, event.screen_y)
        self.dismiss(next((widget for widget in self._widgets.values() if widget.region.contains(*at)), None))

    def action_leave(self) -> None:
        self.dismiss(None)
